//! The options of a run, each by what it does.

use std::sync::Arc;

use tapeloom_core::{Event, MatrixWindows, Outcome, Recorder, WindowSource};
use tapeloom_model::burn::tensor::Device;
use tapeloom_model::{LinearConfig, ModelConfig, Objective, Predict, Predictor};
use tapeloom_train::{
    AverageKind, AveragingConfig, CheckpointConfig, Checkpointer, DebugConfig, EpochOrder, OptimizerConfig,
    OptimizerKind, ParameterGroup, Result, ScheduleConfig, Shape, Step, TrainConfig, Trainer,
};

use crate::support::{config, fit, memory, network, panel, weights};

fn steps(config: TrainConfig) -> Result<(Outcome, u64, usize)> {
    let store = memory();
    let trace = fit(config, store.clone(), |t| t)?;
    Ok((trace.fitted.outcome, trace.fitted.progress.global_step, Checkpointer::new(store).sets()?.len()))
}

#[test]
fn a_limit_of_steps_ends_the_run_inside_an_epoch_with_a_set() -> Result<()> {
    assert_eq!(steps(TrainConfig { max_steps: Some(8), ..config() })?, (Outcome::Finished, 8, 2));
    Ok(())
}

#[test]
fn a_fast_dev_run_takes_few_steps_and_leaves_nothing() -> Result<()> {
    let debug = DebugConfig { fast_dev_run: 2, ..DebugConfig::default() };
    assert_eq!(steps(TrainConfig { debug, auto_lr_find: true, ..config() })?, (Outcome::Finished, 2, 0));
    Ok(())
}

#[test]
fn overfitting_a_few_batches_drives_their_loss_down() -> Result<()> {
    let debug = DebugConfig { overfit_batches: 1, ..DebugConfig::default() };
    let optimizer = OptimizerConfig { learning_rate: 0.02, ..config().optimizer };
    let trace = fit(TrainConfig { debug, optimizer, seed: 4, max_epochs: 150, ..config() }, memory(), |t| t)?;
    let history = &trace.fitted.history;
    assert_eq!(trace.losses.len(), 150);
    assert!(history[149].train_loss < 0.7 * history[0].train_loss, "{:?}", history[149]);
    Ok(())
}

#[test]
fn validation_comes_each_so_many_steps() -> Result<()> {
    let recorder = Arc::new(Recorder::default());
    let config = TrainConfig { val_check_interval: 2.0, max_epochs: 2, ..config() };
    fit(config, memory(), |t| t.observer(recorder.clone()))?;
    let at = |event: &Event| match event {
        Event::ValidationFinished { global_step, .. } => Some(*global_step),
        _ => None,
    };
    let steps: Vec<u64> = recorder.events().iter().filter_map(|(_, event)| at(event)).collect();
    assert_eq!(steps, [2, 4, 6, 8, 10, 12]);
    Ok(())
}

#[test]
fn sets_come_each_so_many_steps_and_only_the_newest_stays() -> Result<()> {
    let (store, recorder) = (memory(), Arc::new(Recorder::default()));
    let checkpoint = CheckpointConfig { every_n_epochs: 0, every_n_steps: 4, save_top_k: 0, ..config().checkpoint };
    fit(TrainConfig { checkpoint, max_epochs: 2, ..config() }, store.clone(), |t| t.observer(recorder.clone()))?;
    let name = |event: &Event| match event {
        Event::CheckpointSaved { name, .. } => Some(name.clone()),
        _ => None,
    };
    let saved: Vec<String> = recorder.events().iter().filter_map(|(_, event)| name(event)).collect();
    assert_eq!(
        saved,
        ["epoch-000000-step-000004", "epoch-000001-step-000002", "epoch-000001-step-000006", "epoch-000002"]
    );
    assert_eq!(Checkpointer::new(store).sets()?, ["epoch-000002"]);
    Ok(())
}

/// Each way to train learns the planted signal, and stops and resumes to the bit.
#[test]
fn every_optimizer_and_schedule_learns_and_resumes_exactly() -> Result<()> {
    let kinds = [
        (OptimizerKind::AdamW, 0.01),
        (OptimizerKind::Adam, 0.01),
        (OptimizerKind::Sgd, 0.1),
        (OptimizerKind::Lion, 0.003),
        (OptimizerKind::RmsProp, 0.01),
        (OptimizerKind::AdaGrad, 0.05),
        (OptimizerKind::Lamb, 0.01),
    ];
    let shapes = [
        Shape::Constant,
        Shape::Linear,
        Shape::Cosine,
        Shape::OneCycle,
        Shape::Exponential,
        Shape::Step,
        Shape::Plateau,
    ];
    for ((kind, learning_rate), shape) in kinds.into_iter().zip(shapes) {
        let momentum = if kind == OptimizerKind::Sgd { 0.9 } else { 0.0 };
        let optimizer = OptimizerConfig { kind, learning_rate, momentum, ..config().optimizer };
        let schedule = ScheduleConfig { shape, warmup_steps: 3, plateau_patience: 0, ..ScheduleConfig::default() };
        let averaging = AveragingConfig { kind: AverageKind::Swa, start_epoch: 3, ..AveragingConfig::default() };
        let model = ModelConfig::Linear(LinearConfig::default());
        let config = TrainConfig { model, optimizer, schedule, averaging, max_epochs: 12, ..config() };
        let straight = fit(config.clone(), memory(), |t| t)?;
        let history = &straight.fitted.history;
        assert!(history[11].valid_loss < 0.9 * history[0].valid_loss, "{kind:?} {shape:?}: {history:?}");
        let store = memory();
        let cut = TrainConfig { max_minutes: Some(1e-9), ..config.clone() };
        assert_eq!(fit(cut, store.clone(), |t| t)?.fitted.outcome, Outcome::Stopped);
        for at in [5, 17] {
            let (flag, limit) = (tapeloom_core::StopFlag::default(), at);
            let stopper = Arc::new(StopAt(flag.clone(), limit));
            fit(config.clone(), store.clone(), |t| t.resume(true).stop(flag).observer(stopper))?;
        }
        let resumed = fit(config, store, |t| t.resume(true))?;
        assert_eq!(resumed.weights, straight.weights, "{kind:?} {shape:?}");
        assert_eq!(weights(&resumed.fitted.averaged), weights(&straight.fitted.averaged), "{kind:?} {shape:?}");
        assert_eq!(resumed.fitted.history, straight.fitted.history, "{kind:?} {shape:?}");
    }
    Ok(())
}

#[derive(Debug)]
struct StopAt(tapeloom_core::StopFlag, u64);

impl tapeloom_core::Observer for StopAt {
    fn observe(&self, _: tapeloom_core::Timestamp, event: &Event) {
        if matches!(event, Event::StepFinished { global_step, .. } if *global_step == self.1) {
            self.0.stop();
        }
    }
}

#[test]
fn groups_freeze_parameters_and_spare_them_decay() -> Result<()> {
    let train = panel(1, 2, 40, 0.8);
    let moved = |optimizer: OptimizerConfig| -> Result<Vec<bool>> {
        let config = TrainConfig { optimizer, ..config() };
        let first = network(&config, &train);
        let before = weights(&first);
        let spec = config.spec(train.spec());
        let mut step = Step::new(first, spec, &config, &Device::flex(), Arc::new(tapeloom_dist::Solo::new()));
        step.run(&train, &EpochOrder::new(1, 1, train.len(), 32).batch(0), 0.1, 0)?;
        Ok(weights(step.network()).iter().zip(&before).map(|(a, b)| a != b).collect())
    };
    let count = |moved: &[bool]| moved.iter().filter(|moved| **moved).count();
    let all = moved(config().optimizer)?;
    let group = |path: &str, rate_factor| ParameterGroup { path: path.into(), rate_factor, weight_decay: Some(0.0) };
    let none = moved(OptimizerConfig { groups: vec![group("LstmAttention", 0.0)], ..config().optimizer })?;
    let some = moved(OptimizerConfig { groups: vec![group("head", 0.0)], ..config().optimizer })?;
    assert!(count(&all) > 500 && count(&none) == 0, "{} {}", count(&all), count(&none));
    assert!((1..count(&all)).contains(&count(&some)), "{}", count(&some));
    // With no gradient to speak of, only decay moves a weight: then vectors stay where they are.
    let still = OptimizerConfig { weight_decay: 0.9, gradient_clip_norm: 1e-30, epsilon: 1.0, ..config().optimizer };
    let decayed = moved(still.clone())?;
    let matrices = moved(OptimizerConfig { decay_matrices_only: true, ..still })?;
    assert!(count(&matrices) < count(&decayed) && count(&matrices) > 0, "{} {}", count(&matrices), count(&decayed));
    Ok(())
}

#[test]
fn clipping_by_value_bounds_every_number() -> Result<()> {
    let train = panel(1, 2, 40, 0.8);
    let sgd = OptimizerConfig { kind: OptimizerKind::Sgd, weight_decay: 0.0, ..config().optimizer };
    let optimizer = OptimizerConfig { gradient_clip_norm: 0.0, gradient_clip_value: 1e-3, ..sgd };
    let config = TrainConfig { optimizer, model: ModelConfig::Linear(LinearConfig::default()), ..config() };
    let first = network(&config, &train);
    let before = weights(&first);
    let spec = config.spec(train.spec());
    let mut step = Step::new(first, spec, &config, &Device::flex(), Arc::new(tapeloom_dist::Solo::new()));
    let report = step.run(&train, &EpochOrder::new(1, 1, train.len(), 32).batch(0), 1.0, 0)?;
    let moved: Vec<f32> = weights(step.network()).iter().zip(&before).map(|(a, b)| (a - b).abs()).collect();
    assert!(moved.iter().all(|by| *by <= 1.001e-3), "{moved:?}");
    assert!(report.grad_norm > 1e-3 && moved.iter().any(|by| *by > 0.999e-3), "{report:?} {moved:?}");
    Ok(())
}

#[test]
fn the_average_is_what_validation_and_the_predictor_see() -> Result<()> {
    let averaging = AveragingConfig { kind: AverageKind::Ema, decay: 0.5, start_epoch: 1 };
    let (store, train) = (memory(), panel(1, 3, 60, 0.8));
    let trace = fit(TrainConfig { averaging, ..config() }, store.clone(), |t| t)?;
    let averaged = weights(&trace.fitted.averaged);
    assert_ne!(averaged, trace.weights);
    let loaded = Checkpointer::new(store).predictor("epoch-000004", &Device::flex())?;
    let kept = Predictor::new(trace.fitted.spec.clone(), &trace.fitted.averaged, &Device::flex());
    let mut window = vec![0.0; train.spec().window_len()];
    train.gather(&[7], &mut window, &mut [0.0])?;
    assert_eq!(loaded.predict(&window)?, kept.predict(&window)?);
    let valid =
        tapeloom_train::validate(&trace.fitted.averaged, &panel(2, 3, 40, 0.8), &trace.fitted.spec, &Device::flex())?;
    assert_eq!(valid["val_loss"], trace.fitted.history[3].valid_loss);
    Ok(())
}

#[test]
fn samples_of_no_weight_are_as_if_they_were_not_there() -> Result<()> {
    let (train, spoilt) = (panel(1, 3, 60, 0.8), panel(7, 3, 60, 0.0));
    let (half, config) = (train.len() / 2, TrainConfig { max_epochs: 6, ..config() });
    // The first half of one panel and the second half of another, whose samples do not count.
    let both = Halves(train.clone(), spoilt);
    let weights_of = |source: &dyn WindowSource, counted: Vec<f32>| -> Result<Vec<f32>> {
        let trainer = Trainer::builder(config.clone(), Device::flex()).store(memory()).sample_weights(counted);
        let fitted = trainer.build()?.fit(network(&config, source), source, &panel(2, 3, 40, 0.8))?;
        Ok(weights(&fitted.network))
    };
    let count: Vec<f32> = (0..train.len()).map(|id| f32::from(u8::from(id < half))).collect();
    let (a, b) = (weights_of(&train, count.clone())?, weights_of(&both, count)?);
    // Units of targets differ, since those are found over all samples; so does the loss's scale, but not by much.
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 0.2), "{a:?} {b:?}");
    let equal = weights_of(&train, vec![3.0; train.len()])?;
    let plain = fit(config.clone(), memory(), |t| t)?.weights;
    assert!(equal.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-3));
    let short = Trainer::builder(config.clone(), Device::flex()).store(memory()).sample_weights(vec![1.0; 3]);
    let error = short.build()?.fit(network(&config, &train), &train, &train).expect_err("too few");
    assert!(error.to_string().contains("sample_weights = 3 numbers: give 165 finite numbers"), "{error}");
    Ok(())
}

/// The first half of one source, the second of another.
#[derive(Debug)]
struct Halves(MatrixWindows, MatrixWindows);

impl WindowSource for Halves {
    fn spec(&self) -> &tapeloom_core::WindowSpec {
        self.0.spec()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn gather(&self, ids: &[usize], inputs: &mut [f32], targets: &mut [f32]) -> tapeloom_core::Result<()> {
        let width = self.0.spec().window_len();
        for ((id, input), target) in ids.iter().zip(inputs.chunks_mut(width)).zip(targets.chunks_mut(1)) {
            let half = if *id < self.0.len() / 2 { &self.0 } else { &self.1 };
            half.gather(&[*id], input, target)?;
        }
        Ok(())
    }
    fn stamp(&self, id: usize) -> tapeloom_core::Result<tapeloom_core::Stamp> {
        self.0.stamp(id)
    }
    fn symbols(&self) -> &[String] {
        self.0.symbols()
    }
    fn fingerprint(&self) -> tapeloom_core::Fingerprint {
        self.0.fingerprint()
    }
}

#[test]
fn class_weights_shift_what_is_forecast() -> Result<()> {
    // Classes without a pattern, one in three of class 1.
    let base = panel(1, 3, 60, 0.0);
    let segments: Vec<tapeloom_core::Segment> = base
        .segments()
        .iter()
        .map(|segment| {
            let targets = (0..segment.targets.len()).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
            tapeloom_core::Segment { targets, ..segment.clone() }
        })
        .collect();
    let train = MatrixWindows::all(base.spec().clone(), base.symbols().to_vec(), segments.into())?;
    let share_of_one = |class_weights: Vec<f32>| -> Result<f32> {
        let objective = Objective::CrossEntropy { classes: 2 };
        let model = ModelConfig::Linear(LinearConfig::default());
        let optimizer = OptimizerConfig { learning_rate: 0.05, ..config().optimizer };
        let config = TrainConfig { objective, model, class_weights, optimizer, max_epochs: 12, ..config() };
        let trainer = Trainer::builder(config.clone(), Device::flex()).store(memory()).build()?;
        let fitted = trainer.fit(network(&config, &train), &train, &train)?;
        let predictor = Predictor::new(fitted.spec.clone(), &fitted.network, &Device::flex());
        Ok(predictor.predict(&vec![0.0; train.spec().window_len()])?[1])
    };
    let (plain, weighted) = (share_of_one(vec![])?, share_of_one(vec![1.0, 2.0])?);
    assert!((plain - 1.0 / 3.0).abs() < 0.1, "{plain}");
    assert!((weighted - 0.5).abs() < 0.1, "{weighted}");
    Ok(())
}

#[test]
fn the_profiler_times_each_phase() -> Result<()> {
    let debug = DebugConfig { profiler: true, ..DebugConfig::default() };
    let trace = fit(TrainConfig { debug, max_epochs: 1, ..config() }, memory(), |t| t)?;
    let phases = trace.fitted.profile.phases();
    for phase in ["gather", "forward", "backward", "reduce", "update", "wait", "validate", "checkpoint"] {
        assert!(phases.contains_key(phase), "{phase} of {phases:?}");
    }
    assert_eq!(phases["forward"].count, 11);
    assert!(trace.fitted.profile.chrome_trace().contains("\"name\":\"backward\""));
    Ok(())
}

#[test]
fn the_rate_test_leaves_its_curve() -> Result<()> {
    let trace = fit(TrainConfig { auto_lr_find: true, max_epochs: 1, ..config() }, memory(), |t| t)?;
    let test = trace.fitted.rate_test.expect("it ran");
    assert!(test.curve.len() > 20 && test.rate == trace.fitted.learning_rate);
    assert!(test.curve.windows(2).all(|pair| pair[0][0] < pair[1][0]));
    Ok(())
}

#[test]
fn a_network_of_another_size_is_refused_at_resume() -> Result<()> {
    let store = memory();
    fit(TrainConfig { max_epochs: 1, ..config() }, store.clone(), |t| t)?;
    let other = TrainConfig { model: ModelConfig::Linear(LinearConfig::default()), max_epochs: 1, ..config() };
    let error = fit(other, store, |t| t.resume(true)).err().expect("another model").to_string();
    assert!(error.contains("made with another config (model."), "{error}");
    Ok(())
}
