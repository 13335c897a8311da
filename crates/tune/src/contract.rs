//! The contract suite: call [`sampler`] from a test of each sampler.

use crate::{Params, Request, Result, Sampler, Space};

/// What every [`Sampler`] promises, on a space that it can serve.
///
/// # Errors
/// Whatever the sampler returns.
///
/// # Panics
/// At the first broken promise.
pub fn sampler(sampler: &dyn Sampler, space: &Space) -> Result<()> {
    const TRIALS: u64 = 200;
    sampler.check(space)?;
    assert!(!sampler.identity().is_empty(), "a sampler has a name");
    for seed in [0, 1, u64::MAX] {
        let propose = |trial| sampler.propose(&Request::new(space, seed, trial));
        let forwards = (0..TRIALS).map(propose).collect::<Result<Vec<Option<Params>>>>()?;
        let mut backwards = (0..TRIALS).rev().map(propose).collect::<Result<Vec<Option<Params>>>>()?;
        backwards.reverse();
        assert_eq!(forwards, backwards, "a proposal depends on the request alone, not on those before");
        forwards.iter().flatten().try_for_each(|params| space.check(params))?;
        let end = forwards.iter().position(Option::is_none).unwrap_or(forwards.len());
        assert!(end > 0, "there is a first trial");
        assert!(forwards[end..].iter().all(Option::is_none), "a sampler that is exhausted stays so");
    }
    Ok(())
}
