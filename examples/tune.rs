//! A study over the trainer: any field of the config by its path, trials that are not worth more end early, and the winner is
//! held against the number of trials.
//!
//! `cargo run --example tune`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::{Arc, Mutex, OnceLock};

use tapeloom::core::{Event, Observer, StopFlag, Timestamp, WindowSource};
use tapeloom::data::{CsvSource, Fold, Pipeline, PipelineConfig, Split};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, ModelConfig};
use tapeloom::train::{CheckpointConfig, TrainConfig, Trainer};
use tapeloom::tune::{Advice, ParamValue, Percentile, Space, Study, Trial, TrialOutcome};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let prices = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/sp500.csv.gz");
    let source = CsvSource::bars(prices, "SPX").date_format("%m/%d/%Y");
    let frame = Pipeline::new(PipelineConfig::daily())?.csv(source).run_blocking()?;
    let fold = Split::walk_forward(1, 252, 252)?.embargo(5).folds(&frame)?.remove(0);

    let space = Space::builder()
        .log_float("optimizer.learning_rate", 1e-5..=1e-1)
        .log_float("optimizer.weight_decay", 1e-6..=1e-1)
        .int_step("batch_size", 64..=256, 64)
        .build()?;
    let study = Study::builder(space).pruner(Percentile::median(1)).build()?;
    study.optimize(12, |trial| objective(trial, &fold))?;

    for trial in study.trials()? {
        println!("{:2} {:?} after {} epochs: {:?}", trial.number, trial.params, trial.reports.len(), trial.status);
    }
    let best = study.best().ok_or("every trial was ended early")?;
    println!("best of {}: trial {}, {:?}", study.trials()?.len(), best.number, best.params);
    Ok(())
}

/// Trains one model with the trial's parameters; the best validation loss is its value.
fn objective(trial: &Trial, fold: &Fold) -> Result<TrialOutcome, AnyError> {
    let mut config = TrainConfig {
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
    for (path, value) in trial.params().iter() {
        config = match value {
            ParamValue::Float(x) => config.with_field(path, *x)?,
            ParamValue::Int(x) => config.with_field(path, *x)?,
            ParamValue::Category(x) => config.with_field(path, x.as_str())?,
            other => return Err(format!("{path} = {other:?} is of a kind that this example does not know").into()),
        };
    }
    let device = Device::flex();
    let network = Forecaster::new(&config.spec(fold.train.spec()), config.seed, &device)?;
    let stop = StopFlag::default();
    let reporter = Arc::new(Reporter {
        trial: trial.clone(),
        stop: stop.clone(),
        best: Mutex::new(f64::NAN),
        end: OnceLock::new(),
    });
    let trainer = Trainer::builder(config, device).stop(stop).observer(reporter.clone()).build()?;
    trainer.fit(network, &fold.train, &fold.valid)?;
    let best = *reporter.best.lock().map_err(|e| e.to_string())?;
    Ok(reporter.end.get().cloned().map_or_else(|| TrialOutcome::from(best), TrialOutcome::from))
}

/// Tells the study each validation loss, and stops the run when the study has seen enough.
#[derive(Debug)]
struct Reporter {
    trial: Trial,
    stop: StopFlag,
    best: Mutex<f64>,
    end: OnceLock<Advice>,
}

impl Observer for Reporter {
    fn observe(&self, _: Timestamp, event: &Event) {
        let Event::ValidationFinished { epoch, metrics, .. } = event else { return };
        if let Ok(mut best) = self.best.lock() {
            *best = best.min(metrics["val_loss"]);
        }
        let advice = self.trial.report(*epoch, metrics["val_loss"]);
        let advice = advice.unwrap_or_else(|e| Advice::Return(e.to_string()));
        if advice.ends() && self.end.set(advice).is_ok() {
            self.stop.stop();
        }
    }
}
