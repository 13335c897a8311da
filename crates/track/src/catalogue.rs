use metrics::Unit;

/// How a metric's number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// Only grows, from 0 at the start of the run.
    Counter,
    /// The latest value.
    Gauge,
    /// A distribution in cumulative buckets.
    Histogram,
}

/// One metric as it is exported.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name in the exposition.
    pub name: &'static str,
    /// How its number behaves.
    pub kind: MetricKind,
    /// What its number counts; none where it has no unit.
    pub unit: Option<&'static str>,
    /// Label names. `run` is the run's id.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

pub(crate) const TRAINING_EPOCH: &str = "training_epoch";
pub(crate) const TRAINING_LOSS: &str = "training_loss";
pub(crate) const VALIDATION_LOSS: &str = "validation_loss";
pub(crate) const LEARNING_RATE: &str = "learning_rate";
pub(crate) const TRAINING_DURATION: &str = "training_duration_seconds";
pub(crate) const EPOCH_DURATION: &str = "epoch_duration_seconds";
pub(crate) const BATCH_DURATION: &str = "batch_duration_seconds";
pub(crate) const SAMPLES: &str = "data_loaded_samples_total";
pub(crate) const BATCHES: &str = "data_processed_batches_total";
pub(crate) const CHECKPOINTS: &str = "checkpoints_saved_total";
pub(crate) const TRAINING_ERRORS: &str = "training_errors_total";
pub(crate) const VALIDATION_ERRORS: &str = "validation_errors_total";
pub(crate) const NONFINITE: &str = "training_nonfinite_total";

/// Values of the label `kind` of `training_errors_total`.
pub(crate) const ERROR_KINDS: [&str; 3] = ["checkpoint", "nan", "run"];

/// Upper bounds of the buckets of `batch_duration_seconds`.
pub(crate) const BATCH_BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Upper bounds of the buckets of `epoch_duration_seconds`.
pub(crate) const EPOCH_BUCKETS: [f64; 13] =
    [1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0];

const RUN: &[&str] = &["run"];

/// Every metric that [`PrometheusObserver`](crate::PrometheusObserver) exports. Gauges appear with their first finite value;
/// counters and histograms are there from the start of the run, so that a first increase is seen.
pub const CATALOGUE: &[Metric] = &[
    gauge(TRAINING_EPOCH, None, "Epoch under way or just done; 1 for the first, 0 before it."),
    gauge(
        TRAINING_LOSS,
        None,
        "Training loss of the last reported batch; at the end of an epoch its mean over samples.",
    ),
    gauge(VALIDATION_LOSS, None, "Loss over the validation set, the last time it was measured."),
    gauge(LEARNING_RATE, None, "Learning rate of the last reported step."),
    gauge(TRAINING_DURATION, Some("seconds"), "Wall time since this part of the run started, as of its last event."),
    histogram(EPOCH_DURATION, "Wall time of whole epochs, validation and checkpoint included."),
    histogram(BATCH_DURATION, "Wall time of optimizer steps, of those that the trainer reports."),
    counter(SAMPLES, RUN, "Training samples used in this part of the run, exact at the end of each epoch."),
    counter(BATCHES, RUN, "Optimizer steps done in this part of the run."),
    counter(CHECKPOINTS, RUN, "Checkpoint sets that became durable."),
    counter(
        TRAINING_ERRORS,
        &["run", "kind"],
        "Failures by kind: checkpoint (a set was not saved), nan (a training loss that is no finite number), run (the run failed).",
    ),
    counter(VALIDATION_ERRORS, RUN, "Validations whose loss is no finite number."),
    counter(
        NONFINITE,
        &["run", "metric"],
        "Values kept out of the named metric because they are no finite number, or a negative time.",
    ),
];

impl Metric {
    pub(crate) fn metrics_unit(&self) -> Option<Unit> {
        self.unit.and_then(Unit::from_string)
    }
}

const fn gauge(name: &'static str, unit: Option<&'static str>, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit, labels: RUN, help }
}

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, unit: Some("seconds"), labels: RUN, help }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, unit: None, labels, help }
}
