use std::sync::Arc;

use tapeloom_core::{Outcome, StopFlag};
use tapeloom_train::{OptimizerConfig, Result, TrainConfig};

use crate::support::{StopAt, config, fit, memory};

#[test]
fn the_same_seed_gives_the_same_losses_to_the_bit() -> Result<()> {
    let (a, b) = (fit(config(), memory(), |t| t)?, fit(config(), memory(), |t| t)?);
    assert!(a.losses.len() > 20);
    assert_eq!(a.losses, b.losses);
    assert_eq!(a.weights, b.weights);
    let other = fit(TrainConfig { seed: 4, ..config() }, memory(), |t| t)?;
    assert_ne!(a.losses, other.losses);
    Ok(())
}

/// Stops at a step of an epoch, starts again with the same command, and compares with the run that never stopped.
fn resumed_equals_straight(config: TrainConfig, epoch: u64, step: u64) -> Result<()> {
    let straight = fit(config.clone(), memory(), |t| t)?;
    let store = memory();
    let flag = StopFlag::default();
    let stopper = Arc::new(StopAt { flag: flag.clone(), epoch, step });
    let first = fit(config.clone(), store.clone(), |t| t.resume(true).stop(flag).observer(stopper))?;
    assert_eq!(first.fitted.outcome, Outcome::Stopped);
    let second = fit(config, store, |t| t.resume(true))?;
    assert_eq!(second.fitted.outcome, Outcome::Finished);
    // Each step is taken once, in one part or the other.
    assert_eq!([first.losses, second.losses].concat(), straight.losses);
    assert_eq!(second.weights, straight.weights);
    assert_eq!(second.fitted.history, straight.fitted.history);
    assert_eq!(second.fitted.best, straight.fitted.best);
    Ok(())
}

#[test]
fn a_run_resumed_after_epoch_2_of_4_equals_the_straight_run() -> Result<()> {
    let last = 6; // 165 samples in global batches of 32
    resumed_equals_straight(config(), 2, last)
}

#[test]
fn a_run_stopped_inside_an_epoch_resumes_at_the_next_step() -> Result<()> {
    resumed_equals_straight(config(), 3, 2)
}

#[test]
fn a_found_learning_rate_survives_a_resume() -> Result<()> {
    resumed_equals_straight(TrainConfig { auto_lr_find: true, ..config() }, 2, 3)
}

#[test]
fn the_learning_rate_finder_leaves_the_run_alone_but_for_the_rate() -> Result<()> {
    let found = fit(TrainConfig { auto_lr_find: true, ..config() }, memory(), |t| t)?;
    let rate = found.fitted.learning_rate;
    assert!((1e-6..1.0).contains(&rate), "{rate}");
    let optimizer = OptimizerConfig { learning_rate: rate, ..config().optimizer };
    let given = fit(TrainConfig { optimizer, ..config() }, memory(), |t| t)?;
    assert_eq!(found.losses, given.losses);
    Ok(())
}
