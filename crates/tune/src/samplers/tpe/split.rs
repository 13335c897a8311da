use std::collections::BTreeSet;

use crate::pareto::{largest_volume, ranks};
use crate::{History, TrialRecord, TrialStatus};

/// Which trials count as good, kept up to date as results come.
///
/// Complete trials that break no constraint come first, by value; then pruned ones, by how far they came and their last value;
/// then those that break a constraint, by how much. The first tenth is good: for one objective 25 at most.
#[derive(Clone, Debug, Default)]
pub(super) struct Split {
    ranked: Vec<(Key, u64)>,
    good: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Key {
    class: u8,
    first: f64,
    second: f64,
}

impl Split {
    pub(super) fn len(&self) -> usize {
        self.ranked.len()
    }

    pub(super) fn insert(&mut self, key: Key, number: u64) {
        let at = self.ranked.partition_point(|other| before(other, &(key, number)));
        self.ranked.insert(at, (key, number));
    }

    pub(super) fn remove(&mut self, key: Key, number: u64) {
        let at = self.ranked.partition_point(|other| before(other, &(key, number)));
        if self.ranked.get(at).is_some_and(|(_, other)| *other == number) {
            self.ranked.remove(at);
        }
    }

    /// Chooses the good ones anew. Returns those that are good now and those that were, as far as they differ.
    pub(super) fn choose(&mut self, history: &History) -> (Vec<u64>, Vec<u64>) {
        let tenth = self.ranked.len().div_ceil(10);
        let good = if history.directions().len() == 1 {
            self.ranked.iter().take(tenth.min(25)).map(|(_, number)| *number).collect()
        } else {
            self.of_several(history, tenth)
        };
        let joined = good.difference(&self.good).copied().collect();
        let left = self.good.difference(&good).copied().collect();
        self.good = good;
        (joined, left)
    }

    pub(super) fn good(&self) -> &BTreeSet<u64> {
        &self.good
    }

    /// Whole fronts as long as they fit; of the one that does not, what dominates the largest volume (Ozaki and others,
    /// "Multiobjective tree-structured Parzen estimator", JAIR 2022).
    fn of_several(&self, history: &History, count: usize) -> BTreeSet<u64> {
        let feasible = self.ranked.partition_point(|(key, _)| key.class == 0);
        let complete = &self.ranked[..feasible];
        let losses: Vec<Vec<f64>> = complete
            .iter()
            .map(|(_, number)| history.losses(history.trials()[*number as usize].values().unwrap_or_default()))
            .collect();
        let points: Vec<&[f64]> = losses.iter().map(Vec::as_slice).collect();
        let ranks = ranks(&points, count);
        let mut good = BTreeSet::new();
        for rank in 0.. {
            let front: Vec<usize> = (0..points.len()).filter(|i| ranks[*i] == rank).collect();
            let room = count - good.len();
            if front.is_empty() || room == 0 {
                break;
            }
            if front.len() <= room {
                good.extend(front.iter().map(|i| complete[*i].1));
                continue;
            }
            let points: Vec<&[f64]> = front.iter().map(|i| points[*i]).collect();
            let chosen = largest_volume(&points, &reference(&points), room);
            good.extend(chosen.into_iter().map(|i| complete[front[i]].1));
        }
        let rest = self.ranked[feasible..].iter().take(count - good.len().min(count));
        good.extend(rest.map(|(_, number)| *number));
        good
    }
}

impl Key {
    /// None for a trial that is no evidence.
    pub(super) fn of(history: &History, trial: &TrialRecord) -> Option<Self> {
        if !trial.is_evidence() {
            return None;
        }
        let violation = trial.violation().unwrap_or(0.0);
        if violation > 0.0 {
            return Some(Self { class: 2, first: violation, second: 0.0 });
        }
        match &trial.status {
            TrialStatus::Complete { values } => {
                let first = if values.len() == 1 { history.loss(values[0]) } else { 0.0 };
                Some(Self { class: 0, first, second: 0.0 })
            }
            _ => {
                let (step, values) = trial.last_report().map_or((None, None), |(step, v)| (Some(step), v.first()));
                let value = values.map_or(f64::INFINITY, |value| history.loss(*value));
                let value = if value.is_nan() { f64::INFINITY } else { value };
                Some(Self { class: 1, first: step.map_or(f64::INFINITY, |step| -(step as f64)), second: value })
            }
        }
    }
}

/// A little beyond the worst of each objective.
pub(crate) fn reference(points: &[&[f64]]) -> Vec<f64> {
    let count = points.first().map_or(0, |point| point.len());
    let worst = |j: usize| points.iter().map(|point| point[j]).fold(f64::NEG_INFINITY, f64::max);
    let beyond = |worst: f64| {
        let reference = (1.1 * worst).max(0.9 * worst);
        if reference == 0.0 { 1e-12 } else { reference }
    };
    (0..count).map(|j| beyond(worst(j))).collect()
}

fn before(a: &(Key, u64), b: &(Key, u64)) -> bool {
    let (x, y) = (&a.0, &b.0);
    let order = x.class.cmp(&y.class).then(x.first.total_cmp(&y.first)).then(x.second.total_cmp(&y.second));
    order.then(a.1.cmp(&b.1)).is_lt()
}
