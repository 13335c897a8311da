use std::sync::Arc;

use tapeloom_core::{
    BlobStore, Event, Ledger, MemoryLedger, MemoryStore, Outcome, Receipt, Record, Recorder, WindowSource,
};
use tapeloom_dist::Solo;
use tapeloom_model::burn::tensor::Device;
use tapeloom_model::{LinearConfig, ModelConfig};
use tapeloom_train::{
    CheckpointConfig, Checkpointer, Error, OptimizerConfig, RecoveryConfig, Result, Step, TrainConfig, Trainer,
};

use crate::support::{config, fit, memory, network, panel, weights};

#[derive(Debug)]
struct FullDisk(MemoryStore);

impl BlobStore for FullDisk {
    fn put(&self, name: &str, bytes: &[u8]) -> tapeloom_core::Result<()> {
        if name.contains("epoch-000002/optimizer") {
            return Err(tapeloom_core::Error::io("write", name, std::io::ErrorKind::StorageFull.into()));
        }
        self.0.put(name, bytes)
    }
    fn get(&self, name: &str) -> tapeloom_core::Result<Vec<u8>> {
        self.0.get(name)
    }
    fn list(&self, prefix: &str) -> tapeloom_core::Result<Vec<String>> {
        self.0.list(prefix)
    }
    fn delete(&self, name: &str) -> tapeloom_core::Result<()> {
        self.0.delete(name)
    }
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_the_older_set_whole() -> Result<()> {
    let (store, recorder) = (Arc::new(FullDisk(MemoryStore::default())), Arc::new(Recorder::default()));
    let error = fit(config(), store.clone(), |t| t.observer(recorder.clone())).err().expect("the disk is full");
    assert!(error.to_string().contains("epoch-000002"), "{error}");
    let checkpointer = Checkpointer::new(store);
    assert_eq!(checkpointer.sets()?, [Checkpointer::set_name(1)]);
    assert!(checkpointer.predictor(&Checkpointer::set_name(1), &Device::flex()).is_ok());
    let events = recorder.events();
    assert!(events.iter().any(|(_, e)| matches!(e, Event::CheckpointFailed { .. })));
    assert!(matches!(events.last(), Some((_, Event::RunFinished { outcome: Outcome::Failed, epochs: 2, .. }))));
    Ok(())
}

#[derive(Debug)]
struct BrokenLedger;

impl Ledger for BrokenLedger {
    fn append(&self, _: &Record) -> tapeloom_core::Result<Receipt> {
        Err(tapeloom_core::Error::io("append to", "audit.log", std::io::ErrorKind::StorageFull.into()))
    }
}

#[test]
fn a_run_without_evidence_does_not_run() {
    let error = fit(config(), memory(), |t| t.ledger(Arc::new(BrokenLedger))).err();
    assert!(matches!(error, Some(Error::Evidence(_))), "{error:?}");
}

#[test]
fn the_ledger_tells_the_story_of_a_run() -> Result<()> {
    let ledger = Arc::new(MemoryLedger::default());
    let two = TrainConfig { max_epochs: 2, audit_trail: true, ..config() };
    fit(two, memory(), |t| t.ledger(ledger.clone()).actor("desk-7"))?;
    let records = ledger.records();
    let actions: Vec<&str> = records.iter().map(|r| r.action.as_str()).collect();
    assert_eq!(actions, ["run.started", "checkpoint.saved", "checkpoint.saved", "run.finished"]);
    assert!(records.iter().all(|r| r.actor == "desk-7" && r.outcome == "success"));
    Ok(())
}

#[test]
fn divergence_is_named_before_weights_are_lost() -> Result<()> {
    let ledger = Arc::new(MemoryLedger::default());
    let optimizer = OptimizerConfig { learning_rate: 1e30, gradient_clip_norm: 0.0, ..config().optimizer };
    let recovery = RecoveryConfig { max_rollbacks: 0, ..RecoveryConfig::default() };
    let wild = TrainConfig { optimizer, recovery, ..config() };
    let error = fit(wild, memory(), |t| t.ledger(ledger.clone())).err().expect("it diverges");
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("lower the learning rate"), "{error}");
    assert!(ledger.records().last().is_some_and(|r| r.action == "run.failed" && r.outcome == "failure"));
    Ok(())
}

#[test]
fn what_the_config_needs_must_be_given() {
    let refusal = |config: TrainConfig, store: bool| {
        let builder = Trainer::builder(config, Device::flex());
        let builder = if store { builder.store(memory()) } else { builder };
        builder.build().expect_err("something is missing").to_string()
    };
    let encrypt = CheckpointConfig { encrypt: true, ..config().checkpoint };
    let error = refusal(TrainConfig { checkpoint: encrypt, ..config() }, true);
    assert!(error.starts_with("checkpoint.encrypt = true: the given store writes in clear"), "{error}");
    assert!(refusal(TrainConfig { audit_trail: true, ..config() }, true).contains("needs a ledger"));
    assert!(refusal(config(), false).contains("pass a store"));
    assert!(refusal(TrainConfig { batch_size: 0, ..config() }, true).contains("batch_size = 0"));
}

#[test]
fn an_unknown_monitor_lists_the_known_ones() {
    let odd = TrainConfig { monitor: "val_sharpe".into(), ..config() };
    let error = fit(odd, memory(), |t| t).err().expect("no such metric").to_string();
    assert!(error.contains("val_sharpe") && error.contains("val_ic, val_loss, train_loss"), "{error}");
}

#[test]
fn an_empty_or_foreign_validation_set_is_refused() -> Result<()> {
    let train = panel(1, 2, 40, 0.5);
    let trainer = || Trainer::builder(config(), Device::flex()).store(memory()).build();
    let empty = tapeloom_core::MatrixWindows::new(train.spec().clone(), vec![], [].into(), vec![])?;
    let error = trainer()?.fit(network(&config(), &train), &train, &empty).expect_err("no samples");
    assert!(error.to_string().starts_with("valid = 0 samples"), "{error}");
    let mut spec = train.spec().clone();
    spec.features[0] = "other".into();
    let other = tapeloom_core::MatrixWindows::all(spec, vec!["S0".into(), "S1".into()], train.segments().into())?;
    assert!(trainer()?.fit(network(&config(), &train), &train, &other).is_err());
    Ok(())
}

/// A squared error beyond `f32` has a gradient that is not: neither weights nor moments may move.
#[test]
fn a_loss_that_is_not_finite_moves_nothing_even_where_gradients_are() -> Result<()> {
    let config = TrainConfig { model: ModelConfig::Linear(LinearConfig::default()), ..config() };
    let train = panel(1, 2, 40, 0.8);
    let mut spec = config.spec(train.spec());
    let mut step = |scale: f32| -> Result<_> {
        // Targets are divided by their unit.
        spec.target_scale = vec![scale];
        let mut step =
            Step::new(network(&config, &train), spec.clone(), &config, &Device::flex(), Arc::new(Solo::new()));
        let before = (weights(step.network()), step.encode_optimizer()?);
        let report = step.run(&train, &[0, 1, 2, 3], 0.1, 7);
        Ok((report, before, (weights(step.network()), step.encode_optimizer()?)))
    };
    let (report, before, after) = step(1e-23)?;
    let error = report.expect_err("an infinite loss");
    assert!(matches!(error, Error::Diverged { what: "loss", step: 7, .. }), "{error}");
    assert!(before == after, "weights or moments moved");
    let (report, before, after) = step(1.0)?;
    assert!(report.is_ok() && before.0 != after.0 && before.1 != after.1);
    Ok(())
}
