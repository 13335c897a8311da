//! A run as a trainer tells it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tapeloom_core::{Event, Fingerprint, Observer, Outcome, Timestamp};

/// Steps of an epoch; the last batch is smaller than the others.
pub(crate) const STEPS: u64 = 100;
/// 99 batches of 64 and one of 16.
pub(crate) const SAMPLES: u64 = 99 * 64 + 16;

/// A moment, in seconds after midnight.
pub(crate) fn at(seconds: f64) -> Timestamp {
    Timestamp::from_micros(1_546_214_400_000_000 + (seconds * 1e6) as i64)
}

pub(crate) fn started(run: &str, resumed_epoch: u64) -> Event {
    Event::RunStarted {
        run: run.parse().expect("a valid run id"),
        config: Fingerprint::of(b"config"),
        model: "lstm_attention".into(),
        parameters: 12_345,
        samples: SAMPLES,
        epochs: 3,
        steps_per_epoch: STEPS,
        resumed_epoch,
    }
}

pub(crate) fn step(epoch: u64, step: u64, loss: f64) -> Event {
    Event::StepFinished {
        epoch,
        step,
        global_step: (epoch - 1) * STEPS + step,
        loss,
        learning_rate: 1e-3,
        grad_norm: 1.5,
        samples: if step == STEPS { 16 } else { 64 },
        seconds: 0.1,
    }
}

pub(crate) fn validated(epoch: u64, loss: f64) -> Event {
    let metrics = BTreeMap::from([("val_loss".to_owned(), loss), ("val_mae".to_owned(), 0.1)]);
    Event::ValidationFinished { epoch, global_step: epoch * STEPS, metrics, seconds: 2.0 }
}

pub(crate) fn epoch_finished(epoch: u64, train_loss: f64, improved: bool) -> Event {
    Event::EpochFinished {
        epoch,
        train_loss,
        valid_loss: Some(train_loss + 0.01),
        learning_rate: 1e-3,
        samples: SAMPLES,
        seconds: 13.0,
        improved,
    }
}

/// Three epochs planned, stopped early after two; steps take 0.1 s, validation 2 s, a checkpoint 1 s; every 50th step and
/// the last of an epoch are reported.
pub(crate) fn run(run: &str) -> Vec<(Timestamp, Event)> {
    let mut events = vec![(at(0.0), started(run, 0))];
    for epoch in 1..=2_u64 {
        let begin = (epoch - 1) as f64 * 13.0;
        let loss = 0.7 - 0.01 * epoch as f64;
        events.extend([
            (at(begin), Event::EpochStarted { epoch }),
            (at(begin + 5.0), step(epoch, 50, loss + 0.02)),
            (at(begin + 10.0), step(epoch, STEPS, loss)),
            (at(begin + 12.0), validated(epoch, loss + 0.01)),
            (at(begin + 13.0), saved(epoch)),
            (at(begin + 13.0), epoch_finished(epoch, loss, epoch == 1)),
        ]);
    }
    events.push((at(26.0), Event::RunFinished { outcome: Outcome::EarlyStopped, epochs: 2, seconds: 26.0 }));
    events
}

pub(crate) fn saved(epoch: u64) -> Event {
    Event::CheckpointSaved { name: format!("epoch-{epoch:04}"), epoch, bytes: 1 << 20, seconds: 1.0 }
}

pub(crate) fn feed(observer: &dyn Observer, events: &[(Timestamp, Event)]) {
    events.iter().for_each(|(at, event)| observer.observe(*at, event));
    observer.flush();
}

/// A writer whose text can be looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
