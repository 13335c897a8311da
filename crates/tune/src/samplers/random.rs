use super::{Proposal, Request, Sampler};
use crate::Result;

/// Draws every parameter independently of all others and of all results. Never exhausted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

impl Sampler for Random {
    fn propose(&self, request: &Request<'_>) -> Result<Option<Proposal>> {
        let params = request.fill(|name, domain| Ok(domain.sample(&mut request.draws(name))))?;
        Ok(Some(Proposal::new(params, "random")))
    }

    fn identity(&self) -> String {
        "random".into()
    }
}
