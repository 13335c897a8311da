//! The console's words for each event.

use tapeloom_core::{Event, Outcome};

use crate::progress::Progress;
use crate::words::{clean, count, duration, number, short};

/// The line that an event is worth wherever it is shown; none for what a bar or a step line shows.
pub(crate) fn milestone(event: &Event, progress: &Progress) -> Option<String> {
    let line = match event {
        Event::RunStarted { run, model, parameters, samples, epochs, steps_per_epoch, resumed_epoch, .. } => {
            let resumed = match resumed_epoch {
                0 => String::new(),
                epoch => format!(", resumed after epoch {epoch}"),
            };
            format!(
                "run {run}: {} with {} parameters, {} samples, at most {epochs} epochs of {} steps{resumed}",
                clean(model),
                count(*parameters),
                count(*samples),
                count(*steps_per_epoch),
            )
        }
        Event::EpochFinished { train_loss, valid_loss, learning_rate, samples, seconds, improved, .. } => {
            let valid = valid_loss.map(|loss| format!("val_loss {}", number(loss)));
            let rate = (*seconds > 0.0).then(|| rate(*samples as f64 / seconds));
            let parts = [
                Some(epoch(progress)),
                Some(format!("train_loss {}", number(*train_loss))),
                valid,
                Some(learning_rate_of(*learning_rate)),
                Some(duration(*seconds)),
                rate,
                eta(progress),
                improved.then(|| "improved".to_owned()),
            ];
            join(parts)
        }
        Event::CheckpointFailed { name, reason } => {
            format!("warning: checkpoint {} was not saved: {}", clean(name), clean(reason))
        }
        Event::TrialFinished { trial, value, seconds } => {
            let value = value.map_or_else(|| "failed".to_owned(), |value| format!("value {}", number(value)));
            format!("trial {trial}  {value}  {}", duration(*seconds))
        }
        Event::Warning { code, message } => format!("warning: {} ({})", clean(message), clean(code)),
        Event::RunFinished { outcome, epochs, seconds } => {
            let how = match outcome {
                Outcome::Finished => "finished: every epoch was trained",
                Outcome::EarlyStopped => "early stopping: the monitored metric no longer improved",
                Outcome::Stopped => "stopped on request",
                Outcome::Failed => "failed: the error tells why",
                _ => "over",
            };
            let noun = if *epochs == 1 { "epoch" } else { "epochs" };
            format!("{how}; {epochs} {noun} in all, {} in this run", duration(*seconds))
        }
        _ => return None,
    };
    Some(line)
}

/// Where a step stands, for a line of its own.
pub(crate) fn step(loss: f64, learning_rate: f64, progress: &Progress) -> String {
    let steps = match progress.steps_per_epoch {
        0 => format!("step {}", progress.step),
        all => format!("step {}/{all}", progress.step),
    };
    join([Some(epoch(progress)), Some(steps), Some(measures(loss, learning_rate, progress))])
}

/// Loss, learning rate, speed and what is left, for a step line or beside a bar.
pub(crate) fn measures(loss: f64, learning_rate: f64, progress: &Progress) -> String {
    join([
        Some(format!("loss {}", number(loss))),
        Some(learning_rate_of(learning_rate)),
        progress.rate().map(rate),
        eta(progress),
    ])
}

/// `epoch 3/20`.
pub(crate) fn epoch(progress: &Progress) -> String {
    match progress.epochs {
        0 => format!("epoch {}", progress.epoch),
        all => format!("epoch {}/{all}", progress.epoch),
    }
}

fn learning_rate_of(value: f64) -> String {
    format!("lr {value:.2e}")
}

fn rate(samples_per_second: f64) -> String {
    format!("{} samples/s", short(samples_per_second))
}

/// Left out once nothing is left.
fn eta(progress: &Progress) -> Option<String> {
    progress.remaining().filter(|seconds| *seconds > 0.0).map(|seconds| format!("ETA {}", duration(seconds)))
}

fn join(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}
