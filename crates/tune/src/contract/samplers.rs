use tapeloom_core::Timestamp;

use crate::{Direction, Entry, Header, History, Params, Request, Result, Sampler, Space, TrialStatus};

/// What every [`Sampler`] promises, on a space that it can serve. `fresh` makes one that has seen nothing.
///
/// # Errors
/// Whatever the sampler returns.
///
/// # Panics
/// At the first broken promise.
pub fn sampler(fresh: &dyn Fn() -> Box<dyn Sampler>, space: &Space, objectives: usize) -> Result<()> {
    const TRIALS: u64 = 60;
    let kept = fresh();
    kept.check(Some(space), objectives)?;
    assert!(!kept.identity().is_empty(), "a sampler has a name");
    for seed in [0, 1, u64::MAX] {
        let mut history = History::new(Header::new(vec![Direction::Minimize; objectives], seed, Some(space.clone())));
        let mut exhausted = false;
        for trial in 0..TRIALS {
            let request = Request::new(&history, trial);
            let proposal = kept.propose(&request)?;
            assert_eq!(kept.propose(&request)?, proposal, "the same request gets the same proposal");
            if trial % 7 == 3 {
                let again = fresh().propose(&request)?;
                assert_eq!(again, proposal, "a proposal depends on the history, and not on what was cached of it");
            }
            let Some(proposal) = proposal else {
                assert!(trial > 0, "there is a first trial");
                exhausted = true;
                continue;
            };
            assert!(!exhausted, "a sampler that is exhausted stays so");
            space.check(&proposal.params)?;
            tell(&mut history, trial, proposal.params, objectives)?;
        }
    }
    Ok(())
}

/// Trials end in several ways, and some of them later than younger ones.
fn tell(history: &mut History, trial: u64, params: Params, objectives: usize) -> Result<()> {
    let at = Timestamp::from_micros(trial as i64);
    let loss = params.iter().map(|(_, value)| value.to_string().len() as f64).sum::<f64>() + (trial % 5) as f64;
    let mut apply = |entry: Entry| history.apply("the contract's study", &entry);
    apply(Entry::Added { params: Some(params), seen: Some(0), by: "contract".into(), at })?;
    apply(Entry::Claimed { trial, worker: 1, at })?;
    let values = |trial: u64| (0..objectives).map(|j| loss * (j as f64 - 0.5) + (trial * 7 % 11) as f64).collect();
    apply(Entry::Reported { trial, attempt: 1, step: 1, values: values(trial) })?;
    let mut end = |trial: u64, status| apply(Entry::Finished { trial, attempt: 1, status, at });
    match trial % 6 {
        0 => {}
        1 => {
            end(trial, TrialStatus::Complete { values: values(trial) })?;
            end(trial - 1, TrialStatus::Complete { values: values(trial - 1) })?;
        }
        2 => end(trial, TrialStatus::Pruned { reason: "contract".into() })?,
        3 => end(trial, TrialStatus::Failed { reason: "contract".into() })?,
        _ => end(trial, TrialStatus::Complete { values: values(trial) })?,
    }
    Ok(())
}
