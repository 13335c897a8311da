//! What a run mends by itself: a loss that is no number, passes that do not fit, a gradient outside of f16.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tapeloom_core::{
    BlobStore, Event, Fingerprint, MatrixWindows, MemoryLedger, MemoryStore, Outcome, Recorder, Stamp, WindowSource,
    WindowSpec,
};
use tapeloom_dist::Threads;
use tapeloom_model::burn::module::Module;
use tapeloom_model::burn::tensor::{Device, Tensor};
use tapeloom_model::{Forecaster, LinearConfig, ModelConfig, Network, Pass};
use tapeloom_train::{
    CheckpointConfig, ClusterConfig, DebugConfig, Error, Fitted, LoaderConfig, Precision, RecoveryConfig, Result,
    TrainConfig, Trainer, TrainerBuilder,
};

use crate::support::{config, memory, network, panel, weights};

/// A source one of whose targets is no number, as often as it may.
#[derive(Debug)]
struct Poisoned {
    windows: MatrixWindows,
    sample: usize,
    left: AtomicUsize,
}

impl Poisoned {
    fn always(windows: MatrixWindows, sample: usize) -> Self {
        Self { windows, sample, left: AtomicUsize::new(usize::MAX) }
    }

    fn once(windows: MatrixWindows, sample: usize) -> Self {
        Self { left: AtomicUsize::new(1), ..Self::always(windows, sample) }
    }
}

impl WindowSource for Poisoned {
    fn spec(&self) -> &WindowSpec {
        self.windows.spec()
    }
    fn len(&self) -> usize {
        self.windows.len()
    }
    fn gather(&self, ids: &[usize], inputs: &mut [f32], targets: &mut [f32]) -> tapeloom_core::Result<()> {
        self.windows.gather(ids, inputs, targets)?;
        // Gathered in a row, the sample is sound: so is the unit of the targets, which is found first.
        let in_order = ids.windows(2).all(|pair| pair[0] < pair[1]);
        let left = |left: usize| left.checked_sub(1);
        for (id, target) in ids.iter().zip(targets) {
            if *id == self.sample && !in_order && self.left.fetch_update(SeqCst, SeqCst, left).is_ok() {
                *target = f32::NAN;
            }
        }
        Ok(())
    }
    fn stamp(&self, id: usize) -> tapeloom_core::Result<Stamp> {
        self.windows.stamp(id)
    }
    fn symbols(&self) -> &[String] {
        self.windows.symbols()
    }
    fn fingerprint(&self) -> Fingerprint {
        self.windows.fingerprint()
    }
}

struct Run {
    fitted: Fitted<Forecaster>,
    events: Vec<Event>,
    actions: Vec<String>,
}

fn linear() -> TrainConfig {
    TrainConfig {
        model: ModelConfig::Linear(LinearConfig::default()),
        max_epochs: 1,
        batch_size: 8,
        audit_trail: true,
        checkpoint: CheckpointConfig { every_n_steps: 5, ..config().checkpoint },
        ..config()
    }
}

fn run(
    config: TrainConfig,
    train: &dyn WindowSource,
    store: Arc<dyn BlobStore>,
    adjust: impl FnOnce(TrainerBuilder) -> TrainerBuilder,
) -> Result<Run> {
    let valid = panel(2, 3, 60, 0.8);
    let (recorder, ledger) = (Arc::new(Recorder::default()), Arc::new(MemoryLedger::default()));
    let first = network(&config, train);
    let builder =
        Trainer::builder(config, Device::flex()).store(store).observer(recorder.clone()).ledger(ledger.clone());
    let fitted = adjust(builder).build()?.fit(first, train, &valid)?;
    let events = recorder.events().into_iter().map(|(_, event)| event).collect();
    Ok(Run { fitted, events, actions: ledger.records().into_iter().map(|r| r.action).collect() })
}

fn warnings(events: &[Event], name: &str) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Warning { code, message } if code == name => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[test]
fn a_step_that_breaks_is_rolled_back_and_skipped() -> Result<()> {
    let (clean, bad) = (panel(1, 3, 400, 0.8), Poisoned::once(panel(1, 3, 400, 0.8), 700));
    let config = TrainConfig { max_epochs: 8, ..linear() };
    let straight = run(config.clone(), &clean, memory(), |t| t)?;
    let healed = run(config, &bad, memory(), |t| t)?;
    assert_eq!(healed.fitted.outcome, Outcome::Finished);
    assert_eq!(healed.fitted.progress.rollbacks(), 1);
    assert_eq!(healed.fitted.progress.skipped().len(), 1);
    let told = warnings(&healed.events, "rolled_back");
    assert!(told.len() == 1 && told[0].contains("rollback 1 of 3"), "{told:?}");
    assert_eq!(healed.actions.iter().filter(|action| *action == "run.rolled_back").count(), 1);
    let (a, b) = (straight.fitted.history[7].valid_loss, healed.fitted.history[7].valid_loss);
    assert!((a - b).abs() < 0.01 * a, "{a} {b}");
    Ok(())
}

#[test]
fn rollbacks_are_bounded_and_then_the_cause_is_named() -> Result<()> {
    let bad = Poisoned::always(panel(1, 3, 60, 0.8), 33);
    let recovery = RecoveryConfig { max_rollbacks: 2, ..RecoveryConfig::default() };
    let debug = DebugConfig { detect_anomaly: true, ..DebugConfig::default() };
    // The sample comes once in each epoch.
    let config = TrainConfig { max_epochs: 3, recovery, debug, ..linear() };
    let error = run(config.clone(), &bad, memory(), |t| t).err().expect("the third time is one too many");
    let text = error.to_string();
    assert!(text.contains("first seen in target y of sample 33"), "{text}");
    let two = run(TrainConfig { max_epochs: 2, ..config }, &bad, memory(), |t| t)?;
    assert_eq!((two.fitted.progress.rollbacks(), two.fitted.outcome), (2, Outcome::Finished));
    Ok(())
}

/// A run that is stopped after a rollback, with and without a set of its own since, goes on as if it had not been.
#[test]
fn a_run_that_went_back_resumes_exactly() -> Result<()> {
    let bad = Poisoned::always(panel(1, 3, 100, 0.8), 200);
    let config = TrainConfig { max_epochs: 2, ..linear() };
    let straight = run(config.clone(), &bad, memory(), |t| t)?;
    assert_eq!(straight.fitted.progress.rollbacks(), 2);
    let steps = straight.fitted.progress.global_step;
    for stop_after in 1..steps {
        let (store, flag) = (memory(), tapeloom_core::StopFlag::default());
        let stopper = Arc::new(StopAfter(flag.clone(), stop_after));
        run(config.clone(), &bad, store.clone(), |t| t.resume(true).stop(flag).observer(stopper))?;
        let second = run(config.clone(), &bad, store, |t| t.resume(true))?;
        assert_eq!(weights(&second.fitted.network), weights(&straight.fitted.network), "stopped after {stop_after}");
        assert_eq!(second.fitted.history, straight.fitted.history, "stopped after {stop_after}");
        assert_eq!(second.fitted.progress.skipped(), straight.fitted.progress.skipped());
    }
    Ok(())
}

#[derive(Debug)]
struct StopAfter(tapeloom_core::StopFlag, u64);

impl tapeloom_core::Observer for StopAfter {
    fn observe(&self, _: tapeloom_core::Timestamp, event: &Event) {
        if matches!(event, Event::StepFinished { global_step, .. } if *global_step == self.1) {
            self.0.stop();
        }
    }
}

/// A network that a device of six samples can hold, on the threads that have such a device.
#[derive(Module, Debug)]
struct Tight {
    inner: Forecaster,
}

impl Network for Tight {
    fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let small = std::thread::current().name().is_some_and(|name| name.ends_with("small"));
        assert!(windows.dims()[0] <= 6 || !small, "CUDA_ERROR_OUT_OF_MEMORY: out of memory");
        self.inner.forward(windows, pass)
    }
}

fn fit_tight(config: &TrainConfig, collective: Option<Threads>) -> Result<(Vec<f32>, Vec<Event>)> {
    let (train, valid) = (panel(1, 3, 60, 0.8), panel(2, 1, 8, 0.8));
    let recorder = Arc::new(Recorder::default());
    let builder = Trainer::builder(config.clone(), Device::flex()).store(memory()).observer(recorder.clone());
    let builder = match collective {
        Some(rank) => builder.collective(Arc::new(rank)),
        None => builder,
    };
    let fitted = builder.build()?.fit(Tight { inner: network(config, &train) }, &train, &valid)?;
    let events = recorder.events().into_iter().map(|(_, event)| event).collect();
    Ok((weights(&fitted.network.inner), events))
}

#[test]
fn passes_that_do_not_fit_are_halved_on_all_ranks_and_the_global_batch_stays() -> Result<()> {
    let config = TrainConfig { max_epochs: 2, ..config() };
    let (large, _) = fit_tight(&config, None)?;
    let on_ranks = |names: &'static [&'static str]| -> Result<Vec<(Vec<f32>, Vec<Event>)>> {
        let ranks = Threads::group(names.len(), Threads::DEADLINE)?;
        std::thread::scope(|scope| {
            let runs: Vec<_> = ranks
                .into_iter()
                .zip(names)
                .map(|(rank, name)| {
                    let (config, thread) = (&config, std::thread::Builder::new().name((*name).to_owned()));
                    thread.spawn_scoped(scope, move || fit_tight(config, Some(rank))).expect("a thread")
                })
                .collect();
            runs.into_iter().map(|run| run.join().expect("no rank panics")).collect()
        })
    };
    for (names, told) in [(&["small"][..], 1), (&["a", "small", "c"][..], 3)] {
        let results = on_ranks(names)?;
        let halved: Vec<String> = results.iter().flat_map(|(_, events)| warnings(events, "pass_halved")).collect();
        assert_eq!(halved.len(), told, "{halved:?}");
        assert!(
            halved.iter().all(|text| text.contains("passes are 4 samples now, the global batch stays 32")),
            "{halved:?}"
        );
        for (small, _) in &results {
            assert!(small.iter().zip(&large).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }
    Ok(())
}

#[test]
fn a_sample_that_does_not_fit_is_an_error() {
    #[derive(Module, Debug)]
    struct Never {
        inner: Forecaster,
    }
    impl Network for Never {
        fn forward(&self, windows: Tensor<3>, pass: &Pass) -> Tensor<2> {
            // The check of the validation set runs without gradients.
            assert!(!windows.device().is_autodiff(), "out of memory");
            self.inner.forward(windows, pass)
        }
    }
    let train = panel(1, 3, 60, 0.8);
    let never = Never { inner: network(&config(), &train) };
    let trainer = Trainer::builder(config(), Device::flex()).store(memory()).build().expect("sound");
    let error = trainer.fit(never, &train, &train).expect_err("nothing fits");
    assert!(matches!(error, Error::OutOfMemory { samples: 1, .. }), "{error}");
    assert!(error.to_string().contains("lower batch_size"), "{error}");
}

#[test]
fn f16_learns_with_a_scaled_loss_and_survives_overflow() -> Result<()> {
    let train = panel(1, 3, 200, 0.8);
    let precision = |precision| TrainConfig {
        max_epochs: 4,
        cluster: ClusterConfig { precision, ..ClusterConfig::default() },
        ..linear()
    };
    let single = run(precision(Precision::F32), &train, memory(), |t| t)?;
    let half = run(precision(Precision::F16Mixed), &train, memory(), |t| t)?;
    let last = |run: &Run| run.fitted.history[3].valid_loss;
    assert!((last(&single) - last(&half)).abs() < 0.02, "{} {}", last(&single), last(&half));
    assert_ne!(weights(&single.fitted.network), weights(&half.fitted.network));
    // Weights stay f32, and the first scale is too large for this loss: some steps are held back.
    let held = warnings(&half.events, "loss_scale_halved");
    assert!(held.len() < 12, "{held:?}");
    Ok(())
}

#[test]
fn budgets_are_kept() -> Result<()> {
    let train = panel(1, 3, 60, 0.8);
    let mut small = TrainConfig { model: config().model, ..linear() };
    small.budget.max_memory_gb = Some(1e-5);
    let error = run(small.clone(), &train, memory(), |t| t).err().expect("a plan too large");
    assert!(error.to_string().starts_with("budget.max_memory_gb = 0.00001: the run needs about"), "{error}");
    // The plan of a small model fits into 2 MB; the process does not.
    small.budget.max_memory_gb = Some(0.002);
    let store = memory();
    let error = run(small, &train, store.clone(), |t| t).err().expect("more in use than allowed");
    assert!(matches!(error, Error::OverBudget { .. }), "{error}");
    assert!(!store.list("checkpoints/")?.is_empty(), "a set was left");
    Ok(())
}

#[test]
fn a_share_of_the_processors_is_kept_by_pausing() -> Result<()> {
    let train = panel(1, 3, 100, 0.8);
    let mut config = TrainConfig {
        model: crate::support::config().model,
        loader: LoaderConfig { num_workers: 0, ..LoaderConfig::default() },
        max_epochs: 3,
        ..linear()
    };
    let time = |config: &TrainConfig| -> Result<(f64, Vec<f32>)> {
        let start = std::time::Instant::now();
        let run = run(config.clone(), &train, Arc::new(MemoryStore::default()), |t| t)?;
        Ok((start.elapsed().as_secs_f64(), weights(&run.fitted.network)))
    };
    let (free, weights_free) = time(&config)?;
    // A quarter of one processor.
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.budget.max_cpu_percent = Some(25.0 / cores as f64);
    let (bound, weights_bound) = time(&config)?;
    assert!(bound > 2.0 * free, "{free} s without, {bound} s with a limit");
    assert_eq!(weights_free, weights_bound);
    Ok(())
}
