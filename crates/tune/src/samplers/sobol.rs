use super::cube::Cube;
use super::{Proposal, Request, Sampler};
use crate::Result;

/// Spreads trials evenly by a scrambled Sobol sequence (Owen's scrambling in Burley's hashed form, "Practical hash-based Owen
/// scrambling", 2020). Better than [`Random`](super::Random) for the same number of trials; it does not look at results.
///
/// The point of a trial follows from its number and the study's seed, so workers never repeat one another's. Parameters with
/// a condition are drawn at random.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sobol;

impl Sampler for Sobol {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        let cube = Cube::of(request.history);
        let point = point(request.history.header().seed, request.trial, cube.len());
        let params = cube.params(request, &point, |name, domain| Ok(domain.sample(&mut request.draws(name))))?;
        Ok(Some(Proposal::new(params, "sobol")))
    }

    fn identity(&self) -> String {
        "sobol".into()
    }
}

/// Point number `index` of a scrambled sequence.
pub(crate) fn point(seed: u64, index: u64, dimensions: usize) -> Vec<f64> {
    // The table ends at 2^16 points; a new scrambling begins after each.
    let (round, index) = (index >> 16, (index & 0xFFFF) as u32);
    let seed = tapeloom_core::hash_words(&[seed, round]) as u32;
    let coordinate = |dimension: u32| f64::from(sobol_burley::sample(index, dimension, seed));
    (0..dimensions as u32).map(coordinate).collect()
}
