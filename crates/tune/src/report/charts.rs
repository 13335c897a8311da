use super::svg::{Chart, Scale, short};
use crate::importance::Importance;
use crate::pareto::front_of;
use crate::samplers::{Axis, Cube};
use crate::{History, TrialRecord, hypervolume};

/// More curves than these, the best ones, hide each other.
const CURVES: usize = 60;
const SLICES: usize = 12;

/// Values by trial, and the best so far.
pub(super) fn history(history: &History) -> Option<String> {
    let complete: Vec<(f64, f64)> = values(history).collect();
    if complete.is_empty() {
        return None;
    }
    let mut sorted: Vec<f64> = complete.iter().map(|(_, value)| history.loss(*value)).collect();
    sorted.sort_by(f64::total_cmp);
    // A few that exploded must not flatten all others.
    let limit = sorted[(sorted.len() - 1) * 95 / 100];
    let shown = complete.iter().map(|(_, value)| *value).filter(|value| history.loss(*value) <= limit);
    let x = Scale::around("trial", complete.iter().map(|(number, _)| *number));
    let mut chart = Chart::new("Values, and the best so far", x, Scale::around("value", shown));
    let (mut best, mut steps) = (f64::INFINITY, Vec::new());
    for (number, value) in &complete {
        chart.dot(*number, *value, "dot", &format!("trial {number}: {value:?}"));
        steps.push((*number, history.loss(best)));
        best = best.min(history.loss(*value));
        steps.push((*number, history.loss(best)));
    }
    chart.line(&steps, "best", "best so far");
    Some(chart.finish())
}

/// What trials reported on the way; dashed where they were ended early.
pub(super) fn curves(history: &History) -> Option<String> {
    let mut trials: Vec<&TrialRecord> = history.trials().iter().filter(|trial| trial.reports.len() > 1).collect();
    let last = |trial: &TrialRecord| trial.last_report().map_or(f64::INFINITY, |(_, values)| history.loss(values[0]));
    trials.sort_by(|a, b| last(a).total_cmp(&last(b)));
    trials.truncate(CURVES);
    if trials.is_empty() {
        return None;
    }
    let points = |trial: &TrialRecord| -> Vec<(f64, f64)> {
        trial.reports.iter().map(|(step, values)| (*step as f64, values[0])).collect()
    };
    let all: Vec<(f64, f64)> = trials.iter().flat_map(|trial| points(trial)).collect();
    let x = Scale::around("step", all.iter().map(|point| point.0));
    let title = format!("Intermediate values of the best {} trials", trials.len());
    let mut chart = Chart::new(&title, x, Scale::around("value", all.iter().map(|point| point.1)));
    for trial in trials {
        let class = if trial.status.name() == "pruned" { "curve pruned" } else { "curve" };
        chart.line(&points(trial), class, &format!("trial {}, {}", trial.number, trial.status.name()));
    }
    Some(chart.finish())
}

/// Values by each parameter.
pub(super) fn slices(history: &History, order: &[Importance]) -> Vec<String> {
    let cube = Cube::of(history);
    let mut parameters: Vec<usize> = (0..cube.len()).collect();
    parameters.sort_by_key(|k| order.iter().position(|one| one.name == cube.parameters[*k].0));
    let slice = |k: usize| {
        let (name, domain, axis) = &cube.parameters[k];
        let points: Vec<(&TrialRecord, f64, f64)> = history
            .trials()
            .iter()
            .filter_map(|t| Some((t, domain.place(t.params.value(name)?)?, t.value()?)))
            .collect();
        let log = matches!(axis, Axis::Interval(interval) if interval.log);
        let x = Scale::around(name, points.iter().map(|point| point.1)).log(log);
        let mut chart =
            Chart::new(&format!("By {name}"), x, Scale::around("value", points.iter().map(|point| point.2)));
        for (trial, x, y) in &points {
            let shown = trial.params.value(name).map(ToString::to_string).unwrap_or_default();
            chart.dot(*x, *y, "dot", &format!("trial {}: {name} = {shown}, {y:?}", trial.number));
        }
        chart.finish()
    };
    parameters.into_iter().take(SLICES).map(slice).collect()
}

/// All parameters of a trial as one line; the best tenth stands out.
pub(super) fn parallel(history: &History) -> Option<String> {
    let cube = Cube::of(history);
    let mut trials: Vec<(f64, Vec<f64>, u64)> = history
        .trials()
        .iter()
        .filter_map(|t| Some((history.loss(t.value()?), cube.point(&t.params)?, t.number)))
        .collect();
    if trials.len() < 2 || cube.len() < 2 {
        return None;
    }
    trials.sort_by(|a, b| a.0.total_cmp(&b.0));
    trials.truncate(300);
    let good = trials.len().div_ceil(10);
    let x = Scale::around("", [0.0, cube.len() as f64 - 1.0].into_iter());
    let mut chart = Chart::new(
        "Parallel coordinates, the best tenth in front",
        x,
        Scale::around("share of range", [0.0, 1.0].into_iter()),
    );
    for (place, (loss, point, number)) in trials.iter().enumerate().rev() {
        let line: Vec<(f64, f64)> = point.iter().enumerate().map(|(k, y)| (k as f64, *y)).collect();
        let class = if place < good { "curve good" } else { "curve" };
        chart.line(&line, class, &format!("trial {number}: {:?}", history.loss(*loss)));
    }
    for (k, (name, _, _)) in cube.parameters.iter().enumerate() {
        chart.text(k as f64, 1.0, name);
    }
    Some(chart.finish())
}

/// The two most important parameters, the best values dark.
pub(super) fn contour(history: &History, order: &[Importance]) -> Option<String> {
    let cube = Cube::of(history);
    let find =
        |place: usize| cube.parameters.iter().find(|(name, _, _)| order.get(place).is_some_and(|o| o.name == *name));
    let (a, b) = (find(0)?, find(1)?);
    let mut points: Vec<(f64, f64, f64, u64)> = history
        .trials()
        .iter()
        .filter_map(|t| {
            Some((
                history.loss(t.value()?),
                a.1.place(t.params.value(&a.0)?)?,
                b.1.place(t.params.value(&b.0)?)?,
                t.number,
            ))
        })
        .collect();
    points.sort_by(|x, y| y.0.total_cmp(&x.0));
    let scale = |(name, _, axis): &(String, crate::Domain, Axis), values: Vec<f64>| {
        Scale::around(name, values.into_iter()).log(matches!(axis, Axis::Interval(interval) if interval.log))
    };
    let x = scale(a, points.iter().map(|point| point.1).collect());
    let y = scale(b, points.iter().map(|point| point.2).collect());
    let mut chart = Chart::new("The two most important parameters, dark where values are good", x, y);
    let count = points.len().max(1);
    for (place, (loss, x, y, number)) in points.iter().enumerate() {
        let class = format!("level{}", place * 5 / count);
        chart.dot(*x, *y, &class, &format!("trial {number}: {:?}", history.loss(*loss)));
    }
    Some(chart.finish())
}

pub(super) fn importances(title: &str, all: &[Importance]) -> Option<String> {
    let count = all.len() as f64;
    let most = all.iter().map(|one| one.share + one.deviation).fold(0.0, f64::max);
    if all.is_empty() {
        return None;
    }
    let y = Scale { label: String::new(), low: 0.0, high: count, log: false };
    let mut chart =
        Chart::new(title, Scale { label: "share".into(), low: 0.0, high: most.max(1e-9) * 1.02, log: false }, y);
    for (place, one) in all.iter().enumerate() {
        let middle = count - place as f64 - 0.5;
        let tip = format!("{}: {} ± {}", one.name, short(one.share), short(one.deviation));
        chart.bar(0.0, one.share, middle, 0.3, "bar", &tip);
        chart.line(
            &[((one.share - one.deviation).max(0.0), middle), (one.share + one.deviation, middle)],
            "error",
            &tip,
        );
        chart.text(most * 0.02, middle + 0.36, &one.name);
    }
    Some(chart.finish())
}

/// The first two objectives and their front; then the volume that the front dominates, trial by trial.
pub(super) fn front(history: &History) -> Option<[String; 2]> {
    let complete: Vec<(&TrialRecord, &[f64])> =
        history.trials().iter().filter_map(|t| Some((t, t.values()?))).collect();
    if history.directions().len() < 2 || complete.is_empty() {
        return None;
    }
    let scale = |j: usize| Scale::around(&format!("objective {j}"), complete.iter().map(|(_, values)| values[j]));
    let mut chart = Chart::new("Objectives, the front in front", scale(0), scale(1));
    for (trial, values) in &complete {
        chart.dot(values[0], values[1], "dot", &format!("trial {}: {values:?}", trial.number));
    }
    for trial in front_of(history) {
        let values = trial.values().unwrap_or_default();
        chart.dot(values[0], values[1], "front", &format!("trial {}: {values:?}", trial.number));
    }
    let losses: Vec<Vec<f64>> = complete.iter().map(|(_, values)| history.losses(values)).collect();
    let points: Vec<&[f64]> = losses.iter().map(Vec::as_slice).collect();
    let reference = crate::samplers::reference(&points);
    // At most this many volumes, as each is counted from the start.
    let step = losses.len().div_ceil(60);
    let volumes: Vec<(f64, f64)> = (step..=losses.len())
        .step_by(step)
        .map(|count| (complete[count - 1].0.number as f64, hypervolume(&losses[..count], &reference)))
        .collect();
    let x = Scale::around("trial", volumes.iter().map(|point| point.0));
    let mut growth = Chart::new("Hypervolume", x, Scale::around("volume", volumes.iter().map(|point| point.1)));
    growth.line(&volumes, "best", "hypervolume");
    Some([chart.finish(), growth.finish()])
}

/// When each trial ran.
pub(super) fn timeline(history: &History) -> Option<String> {
    let first = history.trials().iter().map(|trial| trial.started).min()?;
    let ran: Vec<(&TrialRecord, f64, f64)> = history
        .trials()
        .iter()
        .filter_map(|trial| Some((trial, trial.started.seconds_since(first), trial.finished?.seconds_since(first))))
        .collect();
    let last = ran.iter().map(|(_, _, end)| *end).fold(0.0, f64::max);
    if ran.is_empty() {
        return None;
    }
    let x = Scale { label: "seconds".into(), low: 0.0, high: last.max(1e-6), log: false };
    let y = Scale { label: "trial".into(), low: -1.0, high: history.trials().len() as f64, log: false };
    let mut chart = Chart::new("Timeline", x, y);
    for (trial, start, end) in ran {
        let tip = format!("trial {}, {}, {} s", trial.number, trial.status.name(), short(end - start));
        chart.bar(start, end, trial.number as f64, 0.4, trial.status.name(), &tip);
    }
    Some(chart.finish())
}

fn values(history: &History) -> impl Iterator<Item = (f64, f64)> {
    history.trials().iter().filter_map(|trial| Some((trial.number as f64, trial.value()?)))
}
