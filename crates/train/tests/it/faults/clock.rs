use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tapeloom_core::{Clock, Timestamp};
use tapeloom_train::{CheckpointConfig, Result, TrainConfig};

use crate::support::{config, fit, memory};

/// Shows another century at each look.
#[derive(Debug, Default)]
struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let looks = self.0.fetch_add(1, Ordering::SeqCst);
        let century = 100 * 365 * 24 * 3600 * 1_000_000_i64;
        Timestamp::from_micros(century * [3, -2, 5, 0, -7][looks as usize % 5])
    }
}

#[test]
fn a_clock_that_jumps_changes_nothing() -> Result<()> {
    let straight = fit(config(), memory(), |t| t)?;
    let checkpoint = CheckpointConfig { every_n_minutes: 1.0, ..config().checkpoint };
    let timed = TrainConfig { max_minutes: Some(60.0), checkpoint, ..config() };
    let run = tapeloom_core::RunId::generate(&tapeloom_core::SystemClock)?;
    let jumped = fit(timed, memory(), |t| t.clock(Arc::new(Jumping::default())).run(run))?;
    assert_eq!(jumped.losses, straight.losses);
    assert_eq!(jumped.weights, straight.weights);
    assert_eq!(jumped.fitted.history, straight.fitted.history);
    assert!(jumped.fitted.progress.seconds >= 0.0);
    Ok(())
}
