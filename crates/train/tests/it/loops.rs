use std::sync::Arc;

use tapeloom_core::{Event, Outcome, Recorder, WindowSource};
use tapeloom_dist::{Collective, Solo, Threads};
use tapeloom_model::burn::tensor::Device;
use tapeloom_model::{LinearConfig, ModelConfig};
use tapeloom_train::{EarlyStoppingConfig, EpochOrder, Error, OptimizerConfig, Result, Step, TrainConfig, Trainer};

use crate::support::{config, fit, memory, network, panel, weights};

#[test]
fn accumulated_batches_equal_one_large_batch() -> Result<()> {
    let run = |batch_size, accumulate_grad_batches| {
        let optimizer = OptimizerConfig { accumulate_grad_batches, ..config().optimizer };
        fit(TrainConfig { batch_size, optimizer, max_epochs: 2, ..config() }, memory(), |t| t)
    };
    let (large, small) = (run(32, 1)?, run(8, 4)?);
    for (a, b) in large.weights.iter().zip(&small.weights) {
        assert!((a - b).abs() < 1e-3, "{a} against {b}");
    }
    assert_eq!(large.losses.len(), small.losses.len());
    Ok(())
}

#[test]
fn training_finds_a_planted_signal() -> Result<()> {
    let (train, valid) = (panel(1, 3, 400, 0.8), panel(2, 3, 100, 0.8));
    for (model, epochs) in [(config().model, 25), (ModelConfig::Linear(LinearConfig::default()), 10)] {
        // A head of four ReLUs is dead from the start under some seeds; this one is not.
        let config = TrainConfig { max_epochs: epochs, model, seed: 4, ..config() };
        let trainer = Trainer::builder(config.clone(), Device::flex()).store(memory()).build()?;
        let fitted = trainer.fit(network(&config, &train), &train, &valid)?;
        // A loss of 1 is what forecasting zero costs; the signal explains 94 % of the variance.
        let last = fitted.history.last().map(|e| e.valid_loss);
        assert!(last.is_some_and(|loss| loss < 0.3), "{}: {last:?}", config.model.name());
    }
    Ok(())
}

#[test]
fn early_stopping_waits_for_patience_and_for_min_epochs() -> Result<()> {
    // A rate of almost nothing never improves by min_delta.
    let still = |min_epochs| TrainConfig {
        min_epochs,
        max_epochs: 9,
        optimizer: OptimizerConfig { learning_rate: 1e-12, ..config().optimizer },
        early_stopping: EarlyStoppingConfig { patience: 2, min_delta: 0.001 },
        ..config()
    };
    let early = fit(still(1), memory(), |t| t)?.fitted;
    assert_eq!((early.outcome, early.history.len()), (Outcome::EarlyStopped, 3));
    assert_eq!(fit(still(6), memory(), |t| t)?.fitted.history.len(), 6);
    Ok(())
}

#[test]
fn validation_runs_inside_the_epoch_when_asked() -> Result<()> {
    let recorder = Arc::new(Recorder::default());
    let config = TrainConfig { val_check_interval: 0.5, max_epochs: 1, ..config() };
    fit(config, memory(), |t| t.observer(recorder.clone()))?;
    let checks = recorder.events().into_iter().filter(|(_, e)| matches!(e, Event::ValidationFinished { .. }));
    assert_eq!(checks.count(), 2);
    Ok(())
}

#[test]
fn clipping_bounds_the_step_and_reports_the_norm_before() -> Result<()> {
    let train = panel(1, 2, 40, 0.8);
    let run = |gradient_clip_norm| -> Result<(f64, Vec<f32>)> {
        let optimizer = OptimizerConfig { gradient_clip_norm, epsilon: 1.0, ..config().optimizer };
        let config = TrainConfig { optimizer, model: ModelConfig::Linear(LinearConfig::default()), ..config() };
        let spec = config.spec(train.spec());
        let mut step = Step::new(network(&config, &train), spec, &config, &Device::flex(), Arc::new(Solo::new()));
        let report = step.run(&train, &EpochOrder::new(1, 1, train.len(), 32).batch(0), 1.0, 0)?;
        Ok((report.grad_norm, weights(step.network())))
    };
    let ((norm, free), (clipped_norm, clipped)) = (run(0.0)?, run(1e-3)?);
    assert_eq!(norm, clipped_norm);
    assert!(norm > 1e-3);
    assert_ne!(free, clipped);
    Ok(())
}

#[test]
fn two_ranks_train_as_one() -> Result<()> {
    let config = TrainConfig { max_epochs: 2, ..config() };
    let one = fit(config.clone(), memory(), |t| t)?;
    let ranks = Threads::group(2, Threads::DEADLINE)?;
    let traces: Vec<_> = std::thread::scope(|scope| {
        let run = |rank: Threads| {
            let config = config.clone();
            scope.spawn(move || fit(config, memory(), |t| t.collective(Arc::new(rank))))
        };
        let runs: Vec<_> = ranks.into_iter().map(run).collect();
        runs.into_iter().map(|run| run.join().expect("no rank panics")).collect::<Result<_>>()
    })?;
    assert_eq!(traces[0].weights, traces[1].weights);
    assert_eq!(traces[0].losses, traces[1].losses);
    for (a, b) in one.weights.iter().zip(&traces[0].weights) {
        assert!((a - b).abs() < 1e-3, "{a} against {b}");
    }
    Ok(())
}

#[test]
fn a_rank_that_fails_takes_its_peers_along() -> Result<()> {
    let ranks = Threads::group(2, Threads::DEADLINE)?;
    let results: Vec<_> = std::thread::scope(|scope| {
        let run = |rank: Threads| {
            // Rank 1 asks for a metric that does not exist, so it ends at the end of the first epoch.
            let monitor = if rank.rank() == 1 { "nothing" } else { "val_loss" }.to_owned();
            let config = TrainConfig { monitor, ..config() };
            scope.spawn(move || fit(config, memory(), |t| t.collective(Arc::new(rank))).map(|_| ()))
        };
        let runs: Vec<_> = ranks.into_iter().map(run).collect();
        runs.into_iter().map(|run| run.join().expect("no rank panics")).collect()
    });
    assert!(matches!(results[0], Err(Error::Dist(_))), "{:?}", results[0]);
    assert!(matches!(results[1], Err(Error::Invalid { .. })), "{:?}", results[1]);
    Ok(())
}
