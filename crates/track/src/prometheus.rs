use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tapeloom_core::{Event, Observer, Outcome, RunId, Timestamp};

use crate::catalogue::{
    BATCH_BUCKETS, BATCH_DURATION, BATCHES, CATALOGUE, CHECKPOINTS, EPOCH_BUCKETS, EPOCH_DURATION, ERROR_KINDS,
    LEARNING_RATE, MetricKind, NONFINITE, SAMPLES, TRAINING_DURATION, TRAINING_EPOCH, TRAINING_ERRORS, TRAINING_LOSS,
    VALIDATION_ERRORS, VALIDATION_LOSS,
};
use crate::progress::Progress;

/// Step timings that may wait in memory when nobody scrapes.
const UPKEEP_STEPS: u32 = 4096;

const METADATA: Metadata<'static> = Metadata::new("tapeloom_track", Level::INFO, None);

/// Keeps the metrics of [`CATALOGUE`](crate::CATALOGUE) up to date with one run at a time, in a recorder of its own: the process-wide
/// recorder stays the host's.
///
/// Series carry the label `run`, taken from [`Event::RunStarted`]; a further such event drops the series of the run before.
/// Earlier events belong to no run and are not counted. No gauge or histogram ever holds a number that is not
/// finite; what was kept out is counted in `training_nonfinite_total`.
///
/// ```
/// use tapeloom_core::{Event, Fingerprint, Observer, Timestamp};
/// use tapeloom_track::PrometheusObserver;
/// let metrics = PrometheusObserver::new();
/// let started = Event::RunStarted {
///     run: "run-1".parse()?, config: Fingerprint::of(b"{}"), model: "lstm".into(), parameters: 1, samples: 64,
///     epochs: 2, steps_per_epoch: 1, resumed_epoch: 0,
/// };
/// metrics.observe(Timestamp::default(), &started);
/// assert!(metrics.render().contains("checkpoints_saved_total{run=\"run-1\"} 0"));
/// # Ok::<(), tapeloom_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct PrometheusObserver(Mutex<Option<RunSeries>>);

impl PrometheusObserver {
    /// Before its first run it exports nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All series as Prometheus text exposition 0.0.4, sorted by name.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle().map_or_else(String::new, |handle| sorted(&handle.render()))
    }

    fn handle(&self) -> Option<PrometheusHandle> {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series.as_ref().map(|series| series.recorder.handle())
    }
}

impl Observer for PrometheusObserver {
    fn observe(&self, at: Timestamp, event: &Event) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::RunStarted { run, .. } = event {
            *series = Some(RunSeries::new(run, at));
        }
        if let Some(series) = series.as_mut() {
            series.note(at, event);
        }
    }

    fn flush(&self) {
        if let Some(handle) = self.handle() {
            handle.run_upkeep();
        }
    }
}

/// The series of one run. Handles are kept, so that an update is a few atomic operations.
#[derive(Debug)]
struct RunSeries {
    recorder: PrometheusRecorder,
    run: Label,
    started: Timestamp,
    progress: Progress,
    /// Made when their first finite value comes: a loss of 0 that nobody measured must not show.
    gauges: BTreeMap<&'static str, Gauge>,
    epoch_duration: Histogram,
    batch_duration: Histogram,
    samples: Counter,
    batches: Counter,
    checkpoints: Counter,
    training_errors: BTreeMap<&'static str, Counter>,
    validation_errors: Counter,
    nonfinite: BTreeMap<&'static str, Counter>,
    steps_since_upkeep: u32,
}

impl RunSeries {
    fn new(run: &RunId, started: Timestamp) -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(EPOCH_DURATION.into()), &EPOCH_BUCKETS)
            .and_then(|b| b.set_buckets_for_metric(Matcher::Full(BATCH_DURATION.into()), &BATCH_BUCKETS))
            // Only an empty bucket list is refused.
            .unwrap_or_default()
            .build_recorder();
        for metric in CATALOGUE {
            let (name, unit, help) = (metric.name.into(), metric.metrics_unit(), metric.help.into());
            match metric.kind {
                MetricKind::Counter => recorder.describe_counter(name, unit, help),
                MetricKind::Gauge => recorder.describe_gauge(name, unit, help),
                MetricKind::Histogram => recorder.describe_histogram(name, unit, help),
            }
        }
        let run = Label::new("run", run.to_string());
        let key = |name: &'static str| Key::from_parts(name, vec![run.clone()]);
        let counter = |name| recorder.register_counter(&key(name), &METADATA);
        let histogram = |name| recorder.register_histogram(&key(name), &METADATA);
        let labelled = |name: &'static str, label: &'static str, value: &'static str| {
            let key = Key::from_parts(name, vec![run.clone(), Label::new(label, value)]);
            (value, recorder.register_counter(&key, &METADATA))
        };
        let guarded = CATALOGUE.iter().filter(|metric| metric.kind != MetricKind::Counter);
        Self {
            epoch_duration: histogram(EPOCH_DURATION),
            batch_duration: histogram(BATCH_DURATION),
            samples: counter(SAMPLES),
            batches: counter(BATCHES),
            checkpoints: counter(CHECKPOINTS),
            training_errors: ERROR_KINDS.map(|kind| labelled(TRAINING_ERRORS, "kind", kind)).into(),
            validation_errors: counter(VALIDATION_ERRORS),
            nonfinite: guarded.map(|metric| labelled(NONFINITE, "metric", metric.name)).collect(),
            gauges: BTreeMap::new(),
            progress: Progress::default(),
            steps_since_upkeep: 0,
            run,
            started,
            recorder,
        }
    }

    fn note(&mut self, at: Timestamp, event: &Event) {
        self.progress.note(at, event);
        // `absolute` never lowers a counter, so an estimate that was too high waits for the true count to pass it.
        self.samples.absolute(self.progress.samples());
        self.batches.absolute(self.progress.batches());
        self.set(TRAINING_EPOCH, self.progress.epoch as f64);
        self.set(TRAINING_DURATION, at.seconds_since(self.started).max(0.0));
        match event {
            Event::StepFinished { loss, learning_rate, seconds, .. } => {
                if !self.set(TRAINING_LOSS, *loss) {
                    self.fail("nan");
                }
                self.set(LEARNING_RATE, *learning_rate);
                self.record(BATCH_DURATION, *seconds);
                self.steps_since_upkeep += 1;
                if self.steps_since_upkeep >= UPKEEP_STEPS {
                    self.upkeep();
                }
            }
            Event::ValidationFinished { metrics, .. } => {
                if let Some(loss) = metrics.get("val_loss")
                    && !self.set(VALIDATION_LOSS, *loss)
                {
                    self.validation_errors.increment(1);
                }
            }
            Event::EpochFinished { train_loss, valid_loss, learning_rate, seconds, .. } => {
                self.set(TRAINING_LOSS, *train_loss);
                if let Some(loss) = valid_loss {
                    self.set(VALIDATION_LOSS, *loss);
                }
                self.set(LEARNING_RATE, *learning_rate);
                self.record(EPOCH_DURATION, *seconds);
                self.upkeep();
            }
            Event::CheckpointSaved { .. } => self.checkpoints.increment(1),
            Event::CheckpointFailed { .. } => self.fail("checkpoint"),
            Event::RunFinished { outcome: Outcome::Failed, .. } => self.fail("run"),
            _ => {}
        }
    }

    /// Whether the gauge was set; a number that is not finite is counted instead.
    fn set(&mut self, name: &'static str, value: f64) -> bool {
        if !value.is_finite() {
            self.keep_out(name);
            return false;
        }
        let (recorder, run) = (&self.recorder, &self.run);
        let register = || recorder.register_gauge(&Key::from_parts(name, vec![run.clone()]), &METADATA);
        self.gauges.entry(name).or_insert_with(register).set(value);
        true
    }

    /// One number that is not finite would spoil a histogram's sum for the rest of the run.
    fn record(&self, name: &'static str, seconds: f64) {
        let histogram = if name == EPOCH_DURATION { &self.epoch_duration } else { &self.batch_duration };
        if seconds.is_finite() && seconds >= 0.0 {
            histogram.record(seconds);
        } else {
            self.keep_out(name);
        }
    }

    fn keep_out(&self, metric: &str) {
        if let Some(counter) = self.nonfinite.get(metric) {
            counter.increment(1);
        }
    }

    fn fail(&self, kind: &str) {
        if let Some(counter) = self.training_errors.get(kind) {
            counter.increment(1);
        }
    }

    /// Moves recorded timings into their buckets.
    fn upkeep(&mut self) {
        self.recorder.handle().run_upkeep();
        self.steps_since_upkeep = 0;
    }
}

/// The exporter goes through hash maps; people and diffs like one order. Buckets keep theirs.
fn sorted(exposition: &str) -> String {
    let mut families: Vec<Vec<&str>> = exposition.split("\n\n").map(|family| family.lines().collect()).collect();
    families.retain(|lines| !lines.is_empty());
    for lines in &mut families {
        if !lines.iter().any(|line| line.starts_with("# TYPE") && line.ends_with("histogram")) {
            let comments = lines.iter().take_while(|line| line.starts_with('#')).count();
            lines[comments..].sort_unstable();
        }
    }
    families.sort_unstable();
    families.into_iter().flatten().flat_map(|line| [line, "\n"]).collect()
}
