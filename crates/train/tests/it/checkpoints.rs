use std::sync::Arc;

use tapeloom_core::{BlobStore, Event, FsStore, MemoryStore, Recorder};
use tapeloom_model::Predict;
use tapeloom_model::burn::tensor::Device;
use tapeloom_train::{Checkpointer, Comparison, Error, Forecasts, Latest, Mode, OptimizerConfig, Result, TrainConfig};

use crate::support::{config, fit, memory, panel};

fn trained() -> Result<Arc<MemoryStore>> {
    let store = memory();
    fit(TrainConfig { max_epochs: 3, ..config() }, store.clone(), |t| t)?;
    Ok(store)
}

/// Leaves no more than the start of a set's weights.
fn tear(store: &Arc<MemoryStore>, set: &str) -> Result<()> {
    let weights = Checkpointer::new(store.clone()).manifest(set)?.parts[0].blob().to_owned();
    Ok(store.put(&format!("checkpoints/{set}/{weights}"), b"torn")?)
}

#[test]
fn the_best_and_the_newest_sets_are_kept() -> Result<()> {
    let store = memory();
    let trace = fit(TrainConfig { max_epochs: 8, ..config() }, store.clone(), |t| t)?;
    let mut order: Vec<_> = trace.fitted.history.iter().collect();
    order.sort_by(|a, b| a.monitored.total_cmp(&b.monitored));
    let mut want: Vec<String> = order[..2].iter().map(|e| Checkpointer::set_name(e.epoch)).collect();
    want.push(Checkpointer::set_name(8));
    want.sort();
    want.dedup();
    assert_eq!(Checkpointer::new(store).sets()?, want);
    assert_eq!(trace.fitted.best, Some(Checkpointer::set_name(order[0].epoch)));
    Ok(())
}

#[test]
fn a_loaded_model_gives_the_same_numbers() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(FsStore::open(folder.path())?);
    let trace = fit(config(), store.clone(), |t| t)?;
    let loaded = Checkpointer::new(store).predictor(&Checkpointer::set_name(4), &Device::flex())?;
    let kept = tapeloom_model::Predictor::new(trace.fitted.spec.clone(), &trace.fitted.network, &Device::flex());
    let source = panel(9, 2, 20, 0.5);
    assert_eq!(Forecasts::of(&loaded, &source)?, Forecasts::of(&kept, &source)?);
    assert_eq!(loaded.spec(), kept.spec());
    Ok(())
}

#[test]
fn any_changed_or_missing_byte_is_named_and_refused() -> Result<()> {
    let store = trained()?;
    let checkpointer = Checkpointer::new(store.clone());
    let set = checkpointer.sets()?.pop().expect("a set");
    let manifest = checkpointer.manifest(&set)?;
    for part in &manifest.parts {
        let name = format!("checkpoints/{set}/{}", part.blob());
        let good = store.get(&name)?;
        // Every 97th byte and the last one; the hash does not care which.
        for at in (0..good.len()).step_by(97).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            store.put(&name, &bad)?;
            let error = checkpointer.part(&set, &manifest, &part.name).expect_err("a flipped bit");
            assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains(&part.name), "{error}");
        }
        store.put(&name, &good[..good.len() - 1])?;
        assert!(checkpointer.part(&set, &manifest, &part.name).is_err_and(|e| e.to_string().contains(&part.name)));
        store.put(&name, &good)?;
    }
    assert!(checkpointer.predictor(&set, &Device::flex()).is_ok());
    Ok(())
}

#[test]
fn a_torn_newest_set_is_passed_over_and_reported() -> Result<()> {
    let store = trained()?;
    let checkpointer = Checkpointer::new(store.clone());
    let sets = checkpointer.sets()?;
    let newest = sets.last().expect("a set");
    tear(&store, newest)?;
    let Latest { sound, passed_over } = checkpointer.latest()?;
    assert_eq!(sound.map(|(set, _)| set).as_ref(), sets.get(sets.len() - 2));
    assert!(passed_over.iter().any(|e| e.to_string().contains(newest)));

    let recorder = Arc::new(Recorder::default());
    fit(TrainConfig { max_epochs: 3, ..config() }, store, |t| t.resume(true).observer(recorder.clone()))?;
    let warned = |e: &Event| matches!(e, Event::Warning { code, .. } if code == "checkpoint_damaged");
    assert!(recorder.events().iter().any(|(_, e)| warned(e)));
    Ok(())
}

#[test]
fn a_store_of_damaged_sets_is_not_trained_over() -> Result<()> {
    let store = trained()?;
    for set in Checkpointer::new(store.clone()).sets()? {
        tear(&store, &set)?;
    }
    let error = fit(TrainConfig { max_epochs: 3, ..config() }, store, |t| t.resume(true)).err().expect("no sound set");
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    Ok(())
}

#[test]
fn a_set_without_its_manifest_does_not_exist() -> Result<()> {
    let store = trained()?;
    let checkpointer = Checkpointer::new(store.clone());
    let before = checkpointer.sets()?;
    store.delete(&format!("checkpoints/{}/manifest.json", before[before.len() - 1]))?;
    assert_eq!(checkpointer.sets()?, before[..before.len() - 1]);
    Ok(())
}

#[test]
fn an_unknown_format_is_refused() -> Result<()> {
    let store = trained()?;
    let checkpointer = Checkpointer::new(store.clone());
    let set = checkpointer.sets()?.pop().expect("a set");
    let name = format!("checkpoints/{set}/manifest.json");
    let text = String::from_utf8(store.get(&name)?).expect("text");
    store.put(&name, text.replace("\"format\": 2", "\"format\": 99").as_bytes())?;
    assert!(checkpointer.manifest(&set).is_err_and(|e| e.to_string().contains("format 99")));
    Ok(())
}

#[test]
fn a_checkpoint_of_another_run_is_refused() -> Result<()> {
    let store = trained()?;
    let other = TrainConfig { seed: 99, max_epochs: 3, ..config() };
    let error = fit(other, store.clone(), |t| t.resume(true)).err().expect("another config");
    assert!(matches!(error, Error::Mismatch { what: "config", .. }), "{error}");
    assert!(error.to_string().contains("seed = 3, this run has 99"), "{error}");
    let error = fit(TrainConfig { max_epochs: 3, ..config() }, store, |t| t).err().expect("not asked to resume");
    assert!(error.to_string().contains("resume, or give an empty store"), "{error}");
    Ok(())
}

/// A set that format 1 wrote, before the store held configs.
fn old_set() -> Result<Arc<MemoryStore>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoint-format-1");
    let (kept, store) = (FsStore::open(folder)?, memory());
    for name in kept.list("checkpoints/")? {
        store.put(&name, &kept.get(&name)?)?;
    }
    Ok(store)
}

#[test]
fn a_set_of_format_1_forecasts_what_it_did() -> Result<()> {
    let loaded = Checkpointer::new(old_set()?).predictor("epoch-000002", &Device::flex())?;
    let now = Forecasts::of(&loaded, &panel(9, 1, 16, 0.5))?;
    let then: Vec<f64> =
        serde_json::from_str(include_str!("../fixtures/checkpoint-format-1/forecasts.json")).expect("numbers");
    assert_eq!(now.rows().len(), then.len());
    // Sums of f32 differ a little from processor to processor.
    assert!(now.rows().iter().zip(then).all(|(now, then)| (now.value - then).abs() < 1e-6));
    Ok(())
}

#[test]
fn a_run_of_format_1_goes_on() -> Result<()> {
    let recorder = Arc::new(Recorder::default());
    let four = TrainConfig { max_epochs: 4, ..config() };
    let resumed = fit(four, old_set()?, |t| t.resume(true).observer(recorder.clone()))?.fitted;
    assert_eq!(resumed.history.len(), 4);
    assert_eq!(resumed.history[1].train_loss, 1.013_056_413_332_621_2);
    let told = |e: &Event| matches!(e, Event::Warning { code, .. } if code == "config_not_compared");
    assert!(recorder.events().iter().any(|(_, e)| told(e)));
    Ok(())
}

#[test]
fn an_inspection_lists_tensors_and_finds_damage() -> Result<()> {
    let store = trained()?;
    let checkpointer = Checkpointer::new(store.clone());
    let inspection = checkpointer.inspect("epoch-000003")?;
    assert_eq!(inspection.manifest.settings["seed"], 3);
    let [weights, optimizer] = &inspection.parts[..] else { panic!("two parts") };
    let numbers = |tensors: &[tapeloom_train::TensorReport]| -> usize {
        tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    };
    assert_eq!(numbers(&optimizer.tensors), 2 * numbers(&weights.tensors) + 1);
    assert!(weights.tensors.iter().all(|t| t.dtype == "F32" && t.bytes == 4 * t.shape.iter().product::<usize>()));
    assert!(weights.tensors.iter().any(|tensor| tensor.name.contains("head")), "{weights:?}");
    tear(&store, "epoch-000003")?;
    assert!(checkpointer.inspect("epoch-000003").is_err_and(|e| e.to_string().contains("weights.burnpack")));
    Ok(())
}

#[test]
fn runs_are_compared_by_what_differs() -> Result<()> {
    let manifest = |learning_rate| -> Result<_> {
        let optimizer = OptimizerConfig { learning_rate, ..config().optimizer };
        let store = memory();
        fit(TrainConfig { optimizer, max_epochs: 2, ..config() }, store.clone(), |t| t)?;
        Checkpointer::new(store).manifest("epoch-000002")
    };
    let comparison = Comparison::of(&[manifest(0.01)?, manifest(0.002)?], Mode::Min);
    let differing: Vec<_> = comparison.settings.into_iter().collect();
    assert_eq!(differing, [("optimizer.learning_rate".to_owned(), vec!["0.01".to_owned(), "0.002".to_owned()])]);
    assert!(comparison.same_data);
    assert!(comparison.runs.iter().all(|run| run.epochs == 2 && run.steps == 12 && run.best.is_some()));
    Ok(())
}
