use std::collections::{BTreeMap, BTreeSet};

use super::Mode;
use super::axis::Axis;
use super::parzen::Parzen;
use crate::{Domain, Params};

/// Parameters that are drawn together, and the two densities that they are drawn from.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) parameters: Vec<(String, Domain)>,
    pub(super) good: Parzen,
    pub(super) bad: Parzen,
}

impl Block {
    pub(super) fn new(parameters: Vec<(String, Domain)>, several_objectives: bool) -> Self {
        let axes: Vec<Axis> = parameters.iter().filter_map(|(_, domain)| Axis::of(domain)).collect();
        // With several objectives the good ones are a front, and age says nothing about its points.
        Self { good: Parzen::new(&axes, !several_objectives), bad: Parzen::new(&axes, true), parameters }
    }

    /// Where a trial lies on the axes; none when it does not have all of the parameters, or has values that they can't take.
    pub(super) fn places(&self, params: &Params) -> Option<Vec<f64>> {
        self.parameters.iter().map(|(name, domain)| domain.place(params.value(name)?)).collect()
    }
}

/// Cuts the parameters into blocks by the sets of parameters that trials had.
pub(super) fn cut(
    mode: Mode,
    sets: &BTreeSet<Vec<String>>,
    domains: &BTreeMap<String, Domain>,
) -> Vec<Vec<(String, Domain)>> {
    let names: BTreeSet<&String> = sets.iter().flatten().collect();
    let learned = names.into_iter().filter_map(|name| {
        let domain = domains.get(name)?;
        Axis::of(domain).map(|_| (name.clone(), domain.clone()))
    });
    match mode {
        Mode::Univariate => learned.map(|parameter| vec![parameter]).collect(),
        Mode::Multivariate => {
            let common: Vec<_> = learned.filter(|(name, _)| sets.iter().all(|set| set.contains(name))).collect();
            if common.is_empty() { Vec::new() } else { vec![common] }
        }
        // Parameters that always come together are drawn together.
        Mode::Group => {
            let mut blocks: BTreeMap<Vec<bool>, Vec<(String, Domain)>> = BTreeMap::new();
            for (name, domain) in learned {
                let signature = sets.iter().map(|set| set.contains(&name)).collect();
                blocks.entry(signature).or_default().push((name, domain));
            }
            let mut blocks: Vec<_> = blocks.into_values().collect();
            blocks.sort_by(|a, b| a[0].0.cmp(&b[0].0));
            blocks
        }
    }
}
