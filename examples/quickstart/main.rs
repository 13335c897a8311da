//! Real data in, a trained, evaluated and loaded-back LSTM-attention model out, on the CPU, without network or services.
//!
//! ```text
//! cargo run --example quickstart
//! ```
//!
//! Everything it makes lies in `runs/<id>/`.
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

mod market;
mod page;
mod score;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tapeloom::core::{Clock, FsStore, Ledger, Observer, Record, RunId, SystemClock, WindowSource};
use tapeloom::data::{FeatureFrame, Fold};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, Predict, Predictor};
use tapeloom::seal::{AuditLog, Key, SealedStore, verify};
use tapeloom::track::{Console, Jsonl};
use tapeloom::train::{Checkpointer, Fitted, Forecasts, TrainConfig, Trainer};

type AnyError = Box<dyn std::error::Error>;

/// What all folds of the run share.
struct Run {
    id: RunId,
    folder: PathBuf,
    config: TrainConfig,
    device: Device,
    key: Key,
    audit: Arc<AuditLog>,
    observers: Vec<Arc<dyn Observer>>,
}

/// One trained fold.
struct Trained {
    trainer: Trainer,
    fitted: Fitted<Forecaster>,
    best: Predictor,
}

fn main() -> Result<(), AnyError> {
    let started = Instant::now();
    let run = Run::open()?;
    println!("run {} in {}\n", run.id, run.folder.display());

    println!("1. data");
    let (pipeline, frame) = market::load()?;
    market::describe(&frame);
    fs::write(run.folder.join("pipeline.json"), serde_json::to_string_pretty(pipeline.config())?)?;
    fs::write(run.folder.join("validation.json"), serde_json::to_string_pretty(frame.report())?)?;
    println!("   causality: {}", pipeline.check_causal_blocking(2)?);
    let folds = market::folds(&frame)?;
    run.audit
        .append(&Record::new("quickstart", "data.prepared", "feature frame").detail("data", frame.fingerprint()))?;

    println!("\n2. training, one model for each fold of the walk-forward");
    let trained = folds.iter().enumerate().map(|(i, fold)| run.train(i + 1, fold)).collect::<Result<Vec<_>, _>>()?;

    println!("\n3. evaluation out of sample");
    let forecasts: Vec<Forecasts> =
        trained.iter().zip(&folds).map(|(t, fold)| Forecasts::of(&t.best, &fold.test)).collect::<Result<_, _>>()?;
    let scorecard = score::scorecard(Forecasts::join(forecasts), &folds)?;
    println!("{}\n", score::table(&scorecard.card));
    println!("{}", score::verdict(&scorecard.card));
    fs::write(run.folder.join("evaluation.json"), serde_json::to_string_pretty(&scorecard.card)?)?;
    let report = run.folder.join("report.html");
    page::report(&run.id, &frame, &folds, &trained, &scorecard).write(&report)?;

    println!("\n4. the checkpoint, loaded back");
    let (last, fold) = (trained.last().ok_or("no fold")?, folds.last().ok_or("no fold")?);
    run.show_round_trip(trained.len(), last, fold, &frame)?;
    run.close(&report, started)
}

impl Run {
    fn open() -> Result<Self, AnyError> {
        let clock = Arc::new(SystemClock);
        let id = RunId::generate(&*clock)?;
        let folder = Path::new("runs").join(id.as_str());
        fs::create_dir_all(&folder)?;
        // In production the key comes from a secret store; a file that only you can read does for a first run.
        let key = Key::load_or_create("runs/quickstart.key")?;
        let config = TrainConfig::from_toml(include_str!("config.toml"))?;
        fs::write(folder.join("config.toml"), config.to_toml()?)?;
        let audit = AuditLog::open(folder.join("audit.log"), Some(&key), clock as Arc<dyn Clock>)?.run(id.clone());
        let audit = Arc::new(audit);
        let jsonl = Arc::new(Jsonl::open(folder.join("metrics.jsonl"))?);
        let console = Arc::new(Console::stderr().log_every_n_steps(config.log_every_n_steps));
        Ok(Self { id, folder, config, device: Device::flex(), key, audit, observers: vec![console, jsonl] })
    }

    /// Checkpoints of one fold: files below the run's folder, encrypted.
    fn store(&self, fold: usize) -> Result<SealedStore<FsStore>, AnyError> {
        Ok(SealedStore::new(FsStore::open(self.folder.join(format!("fold-{fold}")))?, self.key.clone()))
    }

    fn train(&self, number: usize, fold: &Fold) -> Result<Trained, AnyError> {
        let (train, valid, test) = (fold.train.len(), fold.valid.len(), fold.test.len());
        println!("   fold {number}: {train} training, {valid} validation, {test} test windows");
        let network = Forecaster::new(&self.config.spec(fold.train.spec()), self.config.seed, &self.device)?;
        let builder = Trainer::builder(self.config.clone(), self.device.clone())
            .run(format!("{}-fold{number}", self.id).parse()?)
            .store(Arc::new(self.store(number)?))
            .ledger(self.audit.clone())
            .actor("quickstart");
        let builder = self.observers.iter().fold(builder, |builder, observer| builder.observer(observer.clone()));
        let trainer = builder.build()?;
        let fitted = trainer.fit(network, &fold.train, &fold.valid)?;
        let set = fitted.best.clone().ok_or("no checkpoint was kept")?;
        let best = trainer.checkpointer().predictor(&set, &self.device)?;
        Ok(Trained { trainer, fitted, best })
    }

    /// Opens the store anew, as another process would, and compares with the network in memory.
    fn show_round_trip(
        &self,
        number: usize,
        last: &Trained,
        fold: &Fold,
        frame: &FeatureFrame,
    ) -> Result<(), AnyError> {
        let checkpointer = Checkpointer::new(Arc::new(self.store(number)?));
        let newest = checkpointer.sets()?.pop().ok_or("no checkpoint")?;
        let loaded = checkpointer.predictor(&newest, &self.device)?;
        let kept = Predictor::new(last.fitted.spec.clone(), &last.fitted.network, &self.device);
        let (time, window) = frame.last_window("SPX").ok_or("SPX is in the data")?;
        let (a, b) = (kept.predict_raw(&window)?, loaded.predict_raw(&window)?);
        println!("   last window of SPX, {}: in memory {:+.6}, loaded from {newest} {:+.6}", time.date(), a[0], b[0]);
        let all = (Forecasts::of(&kept, &fold.test)?, Forecasts::of(&loaded, &fold.test)?);
        if a != b || all.0 != all.1 {
            return Err("the loaded model gives other numbers".into());
        }
        println!("   equal to the bit, as are all {} forecasts of the test block", all.0.rows().len());
        println!("   best set by {}: {}", self.config.monitor, last.fitted.best.as_deref().unwrap_or("none"));
        debug_assert_eq!(last.trainer.run().as_str(), format!("{}-fold{number}", self.id));
        Ok(())
    }

    fn close(self, report: &Path, started: Instant) -> Result<(), AnyError> {
        let log = self.audit.path().to_owned();
        drop(self.audit);
        let verified = verify(&log, Some(&self.key))?;
        let folder = self.folder.display();
        println!("\n5. what is where");
        println!("   report            {}", report.display());
        println!("   config            {folder}/config.toml, pipeline.json");
        println!("   checkpoints       {folder}/fold-*/checkpoints/, encrypted with runs/quickstart.key");
        println!("   metrics           {folder}/metrics.jsonl, evaluation.json, validation.json");
        println!("   audit log         {folder}/audit.log, {} records, chain verified", verified.records);
        println!("\ntry next: change examples/quickstart/config.toml and run again; cargo run --example builder;");
        println!("          cargo run --example serve; docs/guide/README.md for the whole tour");
        println!("done in {:.0} s", started.elapsed().as_secs_f64());
        Ok(())
    }
}
