use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, Fingerprinter, Scaler, Stamp, Timestamp, WindowSource, WindowSpec};

use super::Forecasts;
use crate::{Error, Result};

/// Cross-validation that respects time: groups of moments in order, some of which are tested on while the others train.
///
/// With one test group it is purged k-fold; with more it is combinatorial purged cross-validation (Lopez de Prado, "Advances
/// in financial machine learning", 2018, chapters 7 and 12). A training sample whose target overlaps the time of a test group
/// is dropped (purge), and so are the `embargo_bars` moments behind a test group. Training on what comes after a test is meant
/// for choosing among methods; only a walk-forward says what would have been earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossValidation {
    /// Groups of moments, of almost equal size. Default 6.
    pub groups: usize,
    /// Groups that are tested on at once. Default 2.
    pub test_groups: usize,
    /// Moments dropped from training behind each test group. Default 0.
    pub embargo_bars: usize,
}

impl Default for CrossValidation {
    fn default() -> Self {
        Self { groups: 6, test_groups: 2, embargo_bars: 0 }
    }
}

/// One way to cut: what to train on, and a part for each group to test on.
#[derive(Debug)]
pub struct CrossFold<'a> {
    /// Training samples, scaled by what they alone gave where the source is raw.
    pub train: Subset<'a>,
    /// Test samples by group, scaled alike.
    pub tests: Vec<(usize, Subset<'a>)>,
}

impl CrossValidation {
    /// All ways to cut a source, in a fixed order. Give unscaled windows, or a scaler that saw all of the data leaks into
    /// every fold.
    ///
    /// # Errors
    /// [`Error::Invalid`] for sizes that do not fit, a source that is scaled already, or a fold without samples.
    pub fn folds<'a>(&self, source: &'a dyn WindowSource) -> Result<Vec<CrossFold<'a>>> {
        if self.test_groups == 0 || self.test_groups >= self.groups || self.groups > 20 {
            let value = format!("{} of {}", self.test_groups, self.groups);
            return Err(Error::invalid("test_groups", value, "give 2 to 20 groups, and test on some but not all"));
        }
        if source.spec().scaler.is_some() {
            return Err(Error::invalid(
                "source",
                "scaled windows",
                "give raw ones; each fold fits a scaler of its own",
            ));
        }
        let stamps = (0..source.len()).map(|id| source.stamp(id)).collect::<Result<Vec<Stamp>, _>>()?;
        let times: Vec<Timestamp> = stamps.iter().map(|s| s.time).collect::<BTreeSet<_>>().into_iter().collect();
        if times.len() < self.groups {
            return Err(Error::invalid("groups", self.groups, format!("the source has {} moments", times.len())));
        }
        let moment = |time: Timestamp| times.partition_point(|t| *t < time);
        let group_of: Vec<usize> = stamps.iter().map(|s| moment(s.time) * self.groups / times.len()).collect();
        let ways = (0_u32..1 << self.groups).filter(|way| way.count_ones() as usize == self.test_groups);
        ways.map(|way| {
            let tested = |group: usize| way >> group & 1 == 1;
            let spans: Vec<(Timestamp, Timestamp, usize)> = (0..self.groups)
                .filter(|group| tested(*group))
                .filter_map(|group| {
                    let inside = || stamps.iter().zip(&group_of).filter(move |(_, g)| **g == group).map(|(s, _)| s);
                    let (from, to) = (inside().map(|s| s.time).min()?, inside().map(|s| s.target_end).max()?);
                    Some((from, to, moment(inside().map(|s| s.time).max()?) + 1))
                })
                .collect();
            let kept = |id: &usize| {
                let stamp = &stamps[*id];
                let at = moment(stamp.time);
                spans.iter().all(|(from, to, behind)| {
                    let overlaps = stamp.time <= *to && *from <= stamp.target_end;
                    let embargoed = (*behind..*behind + self.embargo_bars).contains(&at);
                    !overlaps && !embargoed
                })
            };
            let ids: Vec<usize> = (0..stamps.len()).filter(|id| !tested(group_of[*id])).filter(kept).collect();
            if ids.is_empty() {
                return Err(Error::invalid("groups", self.groups, "purge and embargo leave nothing to train on"));
            }
            let scaler = fit_scaler(source, &ids, &stamps)?;
            let subset = |ids: Vec<usize>| Subset::new(source, ids, scaler.clone());
            let of = |group: usize| (0..stamps.len()).filter(|id| group_of[*id] == group).collect();
            let tests =
                (0..self.groups).filter(|group| tested(*group)).map(|group| (group, subset(of(group)))).collect();
            Ok(CrossFold { train: subset(ids), tests })
        })
        .collect()
    }

    /// Lets `forecast` train on each fold and forecast its tests, and joins the forecasts to paths: each path goes through all
    /// of the time once, and every forecast is in exactly one path.
    ///
    /// # Errors
    /// As [`CrossValidation::folds`]; whatever `forecast` refuses.
    pub fn paths(
        &self,
        source: &dyn WindowSource,
        mut forecast: impl FnMut(&Subset<'_>, &Subset<'_>) -> Result<Forecasts>,
    ) -> Result<Vec<Forecasts>> {
        let mut by_group: Vec<Vec<Forecasts>> = vec![Vec::new(); self.groups];
        for fold in self.folds(source)? {
            for (group, test) in &fold.tests {
                by_group[*group].push(forecast(&fold.train, test)?);
            }
        }
        let count = by_group.iter().map(Vec::len).min().unwrap_or(0);
        let mut parts: Vec<_> = by_group.into_iter().map(Vec::into_iter).collect();
        Ok((0..count).map(|_| Forecasts::join(parts.iter_mut().filter_map(Iterator::next))).collect())
    }
}

/// Mean and standard deviation of each feature over the last rows of some windows.
fn fit_scaler(source: &dyn WindowSource, ids: &[usize], stamps: &[Stamp]) -> Result<Scaler> {
    let (spec, width) = (source.spec(), source.spec().features.len());
    let (mut sums, mut squares) = (vec![0.0_f64; width], vec![0.0_f64; width]);
    let (mut window, mut targets) = (vec![0.0; spec.window_len()], vec![0.0; spec.targets.len()]);
    for id in ids {
        source.gather(&[*id], &mut window, &mut targets)?;
        let last = &window[window.len() - width..];
        for ((sum, square), x) in sums.iter_mut().zip(&mut squares).zip(last) {
            *sum += f64::from(*x);
            *square += f64::from(*x) * f64::from(*x);
        }
    }
    let count = ids.len() as f64;
    let mean: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
    let std = squares.iter().zip(&mean).map(|(square, mean)| (square / count - mean * mean).max(0.0).sqrt());
    let times = || ids.iter().map(|id| stamps[*id].time);
    Ok(Scaler {
        std: std.map(|s| if s > 1e-12 { s as f32 } else { 1.0 }).collect(),
        mean: mean.iter().map(|m| *m as f32).collect(),
        fitted_from: times().min().unwrap_or_default(),
        fitted_to: times().max().unwrap_or_default(),
        rows: ids.len() as u64,
    })
}

/// Some samples of a source, scaled.
#[derive(Clone, Debug)]
pub struct Subset<'a> {
    source: &'a dyn WindowSource,
    ids: Vec<usize>,
    spec: WindowSpec,
    fingerprint: Fingerprint,
}

impl<'a> Subset<'a> {
    fn new(source: &'a dyn WindowSource, ids: Vec<usize>, scaler: Scaler) -> Self {
        let mut print = Fingerprinter::default();
        print.add(source.fingerprint().as_bytes());
        ids.iter().for_each(|id| {
            print.add(&(*id as u64).to_le_bytes());
        });
        let spec = WindowSpec { scaler: Some(scaler), ..source.spec().clone() };
        Self { source, ids, spec, fingerprint: print.finish() }
    }

    /// Numbers of the samples in the source.
    #[must_use]
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }
}

impl WindowSource for Subset<'_> {
    fn spec(&self) -> &WindowSpec {
        &self.spec
    }

    fn len(&self) -> usize {
        self.ids.len()
    }

    fn gather(&self, ids: &[usize], inputs: &mut [f32], targets: &mut [f32]) -> tapeloom_core::Result<()> {
        tapeloom_core::check_gather(&self.spec, self.len(), ids, inputs.len(), targets.len())?;
        let theirs: Vec<usize> = ids.iter().map(|id| self.ids[*id]).collect();
        self.source.gather(&theirs, inputs, targets)?;
        self.spec.scaler.as_ref().map_or(Ok(()), |scaler| scaler.apply(inputs))
    }

    fn stamp(&self, id: usize) -> tapeloom_core::Result<Stamp> {
        let refuse = || tapeloom_core::Error::invalid("sample id", id, format!("this subset holds {}", self.len()));
        self.source.stamp(*self.ids.get(id).ok_or_else(refuse)?)
    }

    fn symbols(&self) -> &[String] {
        self.source.symbols()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}
