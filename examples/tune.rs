//! A study over the trainer: fields of the config by their paths; trials that are not worth more end early.
//!
//! `cargo run --example tune`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::{Arc, OnceLock};

use tapeloom::core::{Event, Observer, StopFlag, Timestamp, WindowSource};
use tapeloom::data::{CsvSource, Fold, Pipeline, PipelineConfig, Split};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, ModelConfig};
use tapeloom::train::{CheckpointConfig, TrainConfig, Trainer};
use tapeloom::tune::{Advice, Percentile, Space, Study, Trial, TrialOutcome};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let prices = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/sp500.csv.gz");
    let source = CsvSource::bars(prices, "SPX").date_format("%m/%d/%Y");
    let frame = Pipeline::new(PipelineConfig::daily())?.csv(source).run_blocking()?;
    let fold = Split::walk_forward(1, 252, 252)?.embargo(5).folds(&frame)?.remove(0);

    let rates = Space::builder().log_float("optimizer.learning_rate", 1e-5..=1e-1);
    let space = rates.log_float("optimizer.weight_decay", 1e-6..=1e-1).build()?;
    let study = Study::builder(space).pruner(Percentile::median(1)).build()?;
    study.optimize(12, |trial| objective(trial, &fold))?;
    for trial in study.trials()? {
        println!("{:2} {:?} after {} epochs: {:?}", trial.number, trial.params, trial.reports.len(), trial.status);
    }
    println!("best: {:?}", study.best().ok_or("every trial was ended early")?.params);
    Ok(())
}

/// Trains one model with the trial's parameters; the best validation loss is its value.
fn objective(trial: &Trial, fold: &Fold) -> Result<TrialOutcome, AnyError> {
    let config = TrainConfig {
        seed: trial.seed(),
        model: ModelConfig::named("linear")?,
        min_epochs: 1,
        max_epochs: 8,
        auto_lr_find: false,
        audit_trail: false,
        checkpoint: CheckpointConfig {
            encrypt: false,
            save_top_k: 0,
            every_n_epochs: 0,
            ..CheckpointConfig::default()
        },
        ..TrainConfig::default()
    };
    let mut paths = trial.params().iter().map(|(path, _)| path);
    let config = paths
        .try_fold(config, |config, path| Ok::<_, AnyError>(config.with_field(path, trial.params().float(path)?)?))?;
    let device = Device::flex();
    let network = Forecaster::new(&config.spec(fold.train.spec()), config.seed, &device)?;
    let reporter = Arc::new(Reporter { trial: trial.clone(), stop: StopFlag::default(), end: OnceLock::new() });
    let trainer = Trainer::builder(config, device).stop(reporter.stop.clone()).observer(reporter.clone()).build()?;
    let fitted = trainer.fit(network, &fold.train, &fold.valid)?;
    let best = fitted.history.iter().map(|epoch| epoch.valid_loss).fold(f64::NAN, f64::min);
    Ok(reporter.end.get().cloned().map_or_else(|| best.into(), TrialOutcome::from))
}

/// Tells the study each validation loss, and stops the run when the study has seen enough.
#[derive(Debug)]
struct Reporter {
    trial: Trial,
    stop: StopFlag,
    end: OnceLock<Advice>,
}

impl Observer for Reporter {
    fn observe(&self, _: Timestamp, event: &Event) {
        let Event::ValidationFinished { epoch, metrics, .. } = event else { return };
        let advice = self.trial.report(*epoch, metrics["val_loss"]);
        let advice = advice.unwrap_or_else(|e| Advice::Return(e.to_string()));
        if advice.ends() && self.end.set(advice).is_ok() {
            self.stop.stop();
        }
    }
}
