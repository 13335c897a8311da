use std::collections::BTreeSet;

use tapeloom_core::{Event, Observer, Outcome};
use tapeloom_track::{CATALOGUE, MetricKind, PrometheusObserver};

use crate::exposition::Exposition;
use crate::support::{SAMPLES, STEPS, at, feed, run, saved, started, step, validated};

fn scrape(metrics: &PrometheusObserver) -> Exposition {
    Exposition::parse(&metrics.render()).expect("a valid exposition")
}

#[test]
fn a_run_feeds_every_metric_of_the_catalogue() {
    let metrics = PrometheusObserver::new();
    feed(&metrics, &run("run-1"));
    let seen = scrape(&metrics);
    let names: BTreeSet<&str> = CATALOGUE.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), CATALOGUE.len(), "a name is listed twice");
    assert_eq!(seen.families.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for metric in CATALOGUE {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            _ => "unknown",
        };
        let family = &seen.families[metric.name];
        assert_eq!((family.kind.as_str(), family.help.as_str()), (kind, metric.help), "{}", metric.name);
        for sample in &family.samples {
            let labels: BTreeSet<&str> =
                sample.labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
            assert_eq!(labels, metric.labels.iter().copied().collect(), "{}", metric.name);
        }
    }
}

#[test]
fn values_are_those_of_the_events() {
    let metrics = PrometheusObserver::new();
    feed(&metrics, &run("run-1"));
    let seen = scrape(&metrics);
    let value = |name: &str| seen.value(name, &[("run", "run-1")]);
    assert_eq!(value("training_epoch"), Some(2.0));
    assert_eq!(value("training_loss"), Some(0.7 - 0.02));
    assert_eq!(value("learning_rate"), Some(1e-3));
    assert_eq!(value("training_duration_seconds"), Some(26.0));
    assert_eq!(value("checkpoints_saved_total"), Some(2.0));
    assert_eq!(value("data_loaded_samples_total"), Some(2.0 * SAMPLES as f64));
    assert_eq!(value("data_processed_batches_total"), Some(2.0 * STEPS as f64));
    assert_eq!(value("epoch_duration_seconds_count"), Some(2.0));
    assert_eq!(value("epoch_duration_seconds_sum"), Some(26.0));
    assert_eq!(value("batch_duration_seconds_count"), Some(4.0));
    let bucket = |le| seen.value("batch_duration_seconds_bucket", &[("run", "run-1"), ("le", le)]);
    assert_eq!((bucket("0.05"), bucket("0.1"), bucket("+Inf")), (Some(0.0), Some(4.0), Some(4.0)));
    assert_eq!(value("validation_errors_total"), Some(0.0));
}

#[test]
fn steps_between_two_reports_are_counted() {
    let metrics = PrometheusObserver::new();
    let value = |name: &str| scrape(&metrics).value(name, &[("run", "a")]);
    metrics.observe(at(0.0), &started("a", 1));
    metrics.observe(at(0.0), &Event::EpochStarted { epoch: 2 });
    assert_eq!(value("data_loaded_samples_total"), Some(0.0));
    metrics.observe(at(5.0), &step(2, 50, 0.7));
    assert_eq!(value("data_loaded_samples_total"), Some(50.0 * 64.0));
    assert_eq!(value("data_processed_batches_total"), Some(50.0));
    metrics.observe(at(10.0), &step(2, STEPS, 0.7));
    assert_eq!(value("data_loaded_samples_total"), Some(SAMPLES as f64), "49 full batches and the small last one");
    metrics.observe(at(13.0), &crate::support::epoch_finished(2, 0.7, true));
    assert_eq!(value("data_loaded_samples_total"), Some(SAMPLES as f64));
    assert_eq!(value("data_processed_batches_total"), Some(STEPS as f64));
}

#[test]
fn an_epoch_sets_a_count_of_samples_right() {
    let metrics = PrometheusObserver::new();
    let value = || scrape(&metrics).value("data_loaded_samples_total", &[("run", "a")]);
    metrics.observe(at(0.0), &started("a", 0));
    metrics.observe(at(0.0), &Event::EpochStarted { epoch: 1 });
    // Only the small last batch is reported, so the others look as small.
    metrics.observe(at(10.0), &step(1, STEPS, 0.7));
    assert_eq!(value(), Some(16.0 * STEPS as f64));
    metrics.observe(at(13.0), &crate::support::epoch_finished(1, 0.7, true));
    assert_eq!(value(), Some(SAMPLES as f64));
    // An epoch that is cut short and trained again has used its samples twice.
    metrics.observe(at(13.0), &Event::EpochStarted { epoch: 2 });
    metrics.observe(at(14.0), &step(2, 10, 0.7));
    metrics.observe(at(15.0), &Event::EpochStarted { epoch: 2 });
    metrics.observe(at(16.0), &step(2, 10, 0.7));
    assert_eq!(value(), Some((SAMPLES + 2 * 640) as f64));
}

#[test]
fn counters_start_at_zero_and_gauges_with_their_first_value() {
    let metrics = PrometheusObserver::new();
    metrics.observe(at(0.0), &started("a", 0));
    let seen = scrape(&metrics);
    for kind in ["checkpoint", "nan", "run"] {
        assert_eq!(seen.value("training_errors_total", &[("run", "a"), ("kind", kind)]), Some(0.0), "{kind}");
    }
    assert_eq!(seen.value("checkpoints_saved_total", &[("run", "a")]), Some(0.0));
    assert_eq!(seen.value("epoch_duration_seconds_count", &[("run", "a")]), Some(0.0));
    assert!(!seen.families.contains_key("training_loss"), "a loss of 0 that nobody measured");
}

#[test]
fn failures_are_counted_by_kind() {
    let metrics = PrometheusObserver::new();
    metrics.observe(at(0.0), &started("a", 0));
    metrics.observe(at(1.0), &Event::CheckpointFailed { name: "x".into(), reason: "disk full".into() });
    metrics.observe(at(2.0), &validated(1, f64::NAN));
    metrics.observe(at(3.0), &step(1, 1, f64::INFINITY));
    metrics.observe(at(4.0), &Event::RunFinished { outcome: Outcome::Failed, epochs: 0, seconds: 4.0 });
    let seen = scrape(&metrics);
    for kind in ["checkpoint", "nan", "run"] {
        assert_eq!(seen.value("training_errors_total", &[("run", "a"), ("kind", kind)]), Some(1.0), "{kind}");
    }
    assert_eq!(seen.value("validation_errors_total", &[("run", "a")]), Some(1.0));
}

#[test]
fn not_a_number_never_reaches_a_gauge_or_a_sum() {
    let metrics = PrometheusObserver::new();
    metrics.observe(at(0.0), &started("a", 0));
    metrics.observe(at(1.0), &step(1, 1, 0.5));
    let Event::StepFinished { epoch, global_step, samples, .. } = step(1, 2, 0.5) else { return };
    let (loss, learning_rate, grad_norm, seconds) = (f64::NAN, f64::NAN, f64::NAN, f64::NAN);
    let bad = Event::StepFinished { epoch, step: 2, global_step, loss, learning_rate, grad_norm, samples, seconds };
    metrics.observe(at(2.0), &bad);
    let seen = scrape(&metrics);
    let kept_out = |metric| seen.value("training_nonfinite_total", &[("run", "a"), ("metric", metric)]);
    assert_eq!(seen.value("training_loss", &[("run", "a")]), Some(0.5));
    assert_eq!(seen.value("batch_duration_seconds_sum", &[("run", "a")]), Some(0.1));
    assert_eq!(kept_out("training_loss"), Some(1.0));
    assert_eq!(kept_out("learning_rate"), Some(1.0));
    assert_eq!(kept_out("batch_duration_seconds"), Some(1.0));
    assert_eq!(kept_out("validation_loss"), Some(0.0));
}

#[test]
fn a_new_run_replaces_the_series_of_the_old_one() {
    let metrics = PrometheusObserver::new();
    feed(&metrics, &run("old"));
    metrics.observe(at(30.0), &started("new", 0));
    metrics.observe(at(31.0), &saved(1));
    let seen = scrape(&metrics);
    assert_eq!(seen.value("checkpoints_saved_total", &[("run", "new")]), Some(1.0));
    assert!(!metrics.render().contains("run=\"old\""), "{}", metrics.render());
}

#[test]
fn two_observers_do_not_share_a_recorder() {
    let (one, two) = (PrometheusObserver::new(), PrometheusObserver::new());
    feed(&one, &run("one"));
    feed(&two, &run("two"));
    let (one, two) = (one.render(), two.render());
    assert!(one.contains("run=\"one\"") && !one.contains("run=\"two\"") && !two.contains("run=\"one\""));
}
