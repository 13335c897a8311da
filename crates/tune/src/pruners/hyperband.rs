use tapeloom_core::hash_words;

use super::{Asha, Pruner, Verdict};
use crate::{History, TrialRecord};

/// Successive halving in several brackets that start at different steps, so that no single guess of where to start decides
/// (Li and others, "Hyperband", JMLR 2018; brackets filled at random and without waiting).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hyperband {
    brackets: Vec<Asha>,
    shares: Vec<u64>,
    max_step: u64,
}

impl Hyperband {
    /// Brackets that start at `min_step`, `min_step * eta` and so on, below `max_step`, the last step of a trial.
    #[must_use]
    pub fn new(min_step: u64, max_step: u64, eta: u64) -> Self {
        let first = Asha::new(min_step, eta);
        let eta = first.eta;
        let starts = std::iter::successors(Some(first.min_step), |start| start.checked_mul(eta));
        let brackets: Vec<Asha> = starts
            .take_while(|start| *start <= max_step.max(first.min_step))
            .map(|start| Asha::new(start, eta))
            .collect();
        let count = brackets.len() as u32;
        // As many trials as make the brackets equally expensive.
        let share = |b: u32| (u64::from(count) * eta.pow(count - 1 - b)).div_ceil(u64::from(count - b));
        Self { shares: (0..count).map(share).collect(), brackets, max_step }
    }

    /// Which bracket a trial is in.
    #[must_use]
    pub fn bracket(&self, seed: u64, trial: u64) -> usize {
        const BRACKETS: u64 = 0x6879_7065_7262;
        let mut place = hash_words(&[seed, trial, BRACKETS]) % self.shares.iter().sum::<u64>();
        for (bracket, share) in self.shares.iter().enumerate() {
            if place < *share {
                return bracket;
            }
            place -= share;
        }
        0
    }
}

impl Pruner for Hyperband {
    fn judge(&self, history: &History, trial: &TrialRecord) -> Verdict {
        let seed = history.header().seed;
        let bracket = self.bracket(seed, trial.number);
        self.brackets[bracket].judge_among(history, trial, |number| self.bracket(seed, number) == bracket)
    }

    fn identity(&self) -> String {
        let (first, count) = (&self.brackets[0], self.brackets.len());
        format!("hyperband (steps {} to {}, eta {}, {count} brackets)", first.min_step, self.max_step, first.eta)
    }
}
