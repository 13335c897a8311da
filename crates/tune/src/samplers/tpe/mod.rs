//! The tree-structured Parzen estimator.

pub(crate) mod axis;
mod blocks;
mod cache;
mod column;
pub(crate) mod parzen;
pub(crate) mod split;

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use self::axis::Axis;
use self::blocks::Block;
use self::cache::Cache;
use self::parzen::Parzen;
use super::{Proposal, Request, Sampler};
use crate::{Domain, Draws, Error, ParamValue, Params, Result};

/// The tree-structured Parzen estimator: proposes what is likely under the density of good trials and unlikely under that of
/// all others (Bergstra and others, "Algorithms for hyper-parameter optimization", NeurIPS 2011; for several objectives Ozaki
/// and others, JAIR 2022). The sampler of choice from ten trials to tens of thousands.
///
/// Parameters that come together are drawn together. Trials that run count as bad ones, so that workers do not try the same.
/// Numbers and rules are those of Optuna 5 (bandwidths from neighbours, the best tenth but at most 25, 24 candidates), but for
/// the cut into groups, which is on here.
#[derive(Debug, Default)]
pub struct Tpe {
    config: TpeConfig,
    cache: Mutex<Option<Cache>>,
}

/// What a [`Tpe`] can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TpeConfig {
    /// Trials that are drawn at random first; 10 by default.
    pub startup: u64,
    /// Candidates of which the best is proposed; 24 by default.
    pub candidates: u64,
    /// Which parameters are drawn together. By default those that always come together when there is one objective, and none
    /// when there are several: a front is seldom where its neighbours' mixtures are.
    pub mode: Option<Mode>,
    /// Whether trials that run count as bad ones; true by default.
    pub constant_liar: bool,
}

/// Which parameters a [`Tpe`] draws together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Those that always come together.
    Group,
    /// Those that every trial has; the others one by one.
    Multivariate,
    /// None.
    Univariate,
}

impl Default for TpeConfig {
    fn default() -> Self {
        Self { startup: 10, candidates: 24, mode: None, constant_liar: true }
    }
}

impl Tpe {
    /// With other settings.
    #[must_use]
    pub const fn new(config: TpeConfig) -> Self {
        Self { config, cache: Mutex::new(None) }
    }

    /// Lets `read` see what is known of the history.
    fn with<T>(&self, request: &Request<'_>, read: impl FnOnce(&Cache) -> T) -> T {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Cache::new(request.history, &self.config);
        let known = match &mut *cache {
            Some(known) if known.is_of(request.history) => known,
            other => other.insert(fresh()),
        };
        known.update(request.history);
        read(known)
    }

    /// The best of several candidates.
    fn best(&self, good: &Parzen, bad: &Parzen, draws: &mut Draws, parameters: &[(String, Domain)]) -> Vec<ParamValue> {
        let (mut values, mut places) = (Vec::new(), Vec::new());
        for _ in 0..self.config.candidates {
            let drawn = good.sample(draws);
            let (value, place): (Vec<_>, Vec<_>) =
                drawn.iter().zip(parameters).map(|(place, (_, domain))| domain.value_at(*place)).unzip();
            values.push(value);
            places.push(place);
        }
        let scores = good.ln_density(&places).into_iter().zip(bad.ln_density(&places)).map(|(l, g)| l - g);
        let best = scores.enumerate().reduce(|a, b| if b.1 > a.1 { b } else { a });
        best.map(|(best, _)| values.swap_remove(best)).unwrap_or_default()
    }

    fn draw(&self, request: &Request<'_>, block: &Block) -> Params {
        let names = block.parameters.iter().map(|(name, _)| name.clone());
        let mut draws = request.draws(&format!("tpe.{}", block.parameters[0].0));
        names.zip(self.best(&block.good, &block.bad, &mut draws, &block.parameters)).collect()
    }

    /// One parameter by itself.
    fn alone(&self, request: &Request<'_>, cache: &Cache, name: &str, domain: &Domain) -> ParamValue {
        let mut draws = request.draws(name);
        let (Some(axis), true) = (Axis::of(domain), cache.split.len() as u64 >= self.config.startup) else {
            return domain.sample(&mut draws);
        };
        let [good, bad] = cache.values_of(name, domain);
        let several = request.history.directions().len() > 1;
        let density = |values: Vec<(u64, f64)>, fades: bool| {
            let mut density = Parzen::new(std::slice::from_ref(&axis), fades);
            values.into_iter().for_each(|(number, place)| density.insert(number, &[place]));
            density.settle();
            density
        };
        let (good, bad) = (density(good, !several), density(bad, true));
        let parameter = [(name.to_owned(), domain.clone())];
        self.best(&good, &bad, &mut draws, &parameter).swap_remove(0)
    }
}

impl Sampler for Tpe {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        self.with(request, |cache| {
            let known = cache.split.len() as u64;
            if known < self.config.startup {
                let params = request.fill(|name, domain| Ok(domain.sample(&mut request.draws(name))))?;
                return Ok(Some(Proposal::new(params, "random, to start with")));
            }
            let mut ahead: Vec<Option<Params>> = vec![None; cache.blocks.len()];
            let params = request.fill(|name, domain| {
                let has = |block: &Block| block.parameters.iter().any(|(other, _)| other == name);
                let Some(block) = cache.blocks.iter().position(has) else {
                    return Ok(self.alone(request, cache, name, domain));
                };
                let drawn = ahead[block].get_or_insert_with(|| self.draw(request, &cache.blocks[block]));
                let value = drawn.value(name).cloned();
                value.ok_or_else(|| Error::invalid(name, domain, "the sampler lost it; this is a defect"))
            })?;
            Ok(Some(Proposal::new(params, format!("tpe, from {} good of {known} trials", cache.split.good().len()))))
        })
    }

    fn suggest(&self, request: &Request<'_>, name: &str, domain: &Domain) -> Result<ParamValue> {
        Ok(self.with(request, |cache| self.alone(request, cache, name, domain)))
    }

    fn identity(&self) -> String {
        let TpeConfig { startup, candidates, mode, constant_liar } = &self.config;
        let mode = mode.map_or("default".to_owned(), |mode| format!("{mode:?}"));
        format!("tpe ({mode}, startup {startup}, candidates {candidates}, liar {constant_liar})").to_lowercase()
    }

    fn check(&self, _: Option<&crate::Space>, _: usize) -> Result<()> {
        if self.config.candidates == 0 {
            return Err(Error::invalid("candidates of tpe", 0, "draw at least one"));
        }
        Ok(())
    }
}
