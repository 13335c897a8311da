use serde::Serialize;

use super::{Moments, ranks};
use crate::{Error, Result};

/// How likely it is that the best of several trials in the past is below the middle of them in the future: the probability
/// of backtest overfitting by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu, "The
/// probability of backtest overfitting", 2017).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overfitting {
    /// Share of the ways to cut the past from the future in which the best trial was below the middle, in [0, 1].
    pub probability: f64,
    /// For each way, the log odds of the best trial's rank out of sample; below 0 is below the middle.
    pub logits: Vec<f64>,
    /// For each way, the best trial's Sharpe ratio of one period in and out of sample.
    pub sharpes: Vec<[f64; 2]>,
}

impl Overfitting {
    /// Of trials that each left one return for each period, `[trials][periods]`. Time is cut into `blocks` blocks (an even
    /// number, 16 in the paper), half of which are taken for the past in each possible way.
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two trials, trials of different lengths, an odd number of blocks or more than 20,
    /// fewer than two periods a block, or a return that is not finite.
    pub fn of(trials: &[Vec<f64>], blocks: usize) -> Result<Self> {
        let periods = trials.first().map_or(0, Vec::len);
        if trials.len() < 2 {
            return Err(Error::invalid("trials", trials.len(), "give at least 2, or there was nothing to choose"));
        }
        if let Some(other) = trials.iter().find(|returns| returns.len() != periods) {
            return Err(Error::invalid(
                "trials",
                other.len(),
                format!("give {periods} returns of each, as of the first"),
            ));
        }
        if blocks < 2 || blocks % 2 == 1 || blocks > 20 || periods < 2 * blocks {
            let remedy = format!("give an even number from 2 to 20 with two of {periods} periods in each");
            return Err(Error::invalid("blocks", blocks, remedy));
        }
        if trials.iter().flatten().any(|value| !value.is_finite()) {
            return Err(Error::invalid("trials", "a return that is not finite", "leave out periods without a return"));
        }
        let ways = (0_u32..1 << blocks).filter(|way| way.count_ones() as usize == blocks / 2);
        let (mut logits, mut sharpes) = (Vec::new(), Vec::new());
        for way in ways {
            let part =
                |past: bool| -> Vec<f64> { trials.iter().map(|returns| sharpe(returns, blocks, way, past)).collect() };
            let (before, after) = (part(true), part(false));
            let best = (0..trials.len()).max_by(|a, b| before[*a].total_cmp(&before[*b])).unwrap_or(0);
            // Ranks from 1 over one more than there are, so that no odds are infinite.
            let share = (ranks(&after)[best] + 1.0) / (trials.len() + 1) as f64;
            logits.push((share / (1.0 - share)).ln());
            sharpes.push([before[best], after[best]]);
        }
        let below = logits.iter().filter(|logit| **logit <= 0.0).count();
        Ok(Self { probability: below as f64 / logits.len() as f64, logits, sharpes })
    }
}

/// Sharpe ratio of one period over the blocks that `way` takes, or over the others. 0 where nothing varies.
fn sharpe(returns: &[f64], blocks: usize, way: u32, past: bool) -> f64 {
    let taken = |at: usize| (way >> (at * blocks / returns.len()) & 1 == 1) == past;
    let part: Vec<f64> = returns.iter().enumerate().filter(|(at, _)| taken(*at)).map(|(_, x)| *x).collect();
    let m = Moments::of(&part);
    if m.std > 0.0 { m.mean / m.std } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapeloom_core::Philox;

    fn trials(count: usize, periods: usize, skill_of_first: f64) -> Vec<Vec<f64>> {
        let trial = |number: usize| {
            let mut uniform = vec![0.0; periods];
            Philox::new(5).uniform(number as u64, 0, &mut uniform);
            let skill = if number == 0 { skill_of_first } else { 0.0 };
            uniform.into_iter().map(|u| 0.01 * (f64::from(u) - 0.5) + skill).collect()
        };
        (0..count).map(trial).collect()
    }

    #[test]
    fn luck_is_told_from_skill() {
        let luck = Overfitting::of(&trials(20, 640, 0.0), 10).expect("sound");
        assert_eq!(luck.logits.len(), 252);
        // The best of trials without skill is as likely below the middle as above it, or worse: what is drawn without return
        // makes past and future mirror each other.
        assert!(luck.probability > 0.4, "{}", luck.probability);
        let skill = Overfitting::of(&trials(20, 640, 0.002), 10).expect("sound");
        assert_eq!(skill.probability, 0.0);
        assert!(skill.sharpes.iter().all(|[before, after]| *before > 0.3 && *after > 0.3));
    }

    #[test]
    fn what_can_not_be_cut_is_refused() {
        for (trials, blocks) in [(trials(1, 100, 0.0), 4), (trials(3, 100, 0.0), 5), (trials(3, 6, 0.0), 4)] {
            assert!(Overfitting::of(&trials, blocks).is_err());
        }
        let mut uneven = trials(2, 100, 0.0);
        uneven[1].pop();
        assert!(Overfitting::of(&uneven, 4).is_err_and(|e| e.to_string().contains("give 100 returns")));
    }
}
