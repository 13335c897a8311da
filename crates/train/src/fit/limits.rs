//! When a run ends before its epochs do, and how it keeps to its budget.

use tapeloom_core::{Clock, Outcome, Timestamp};
use tapeloom_dist::ReduceOp;
use tapeloom_model::Network;

use super::Fit;
use crate::{Error, Result};

/// Adds up time by a clock that may be set forward or back while the run goes on.
#[derive(Debug)]
pub(super) struct Stopwatch {
    last: Timestamp,
    /// Seconds since a set was written because of the time.
    pub(super) since_save: f64,
}

impl Stopwatch {
    /// No step takes longer; a clock that moved further was set.
    const LONGEST: f64 = 3600.0;

    pub(super) fn start(clock: &dyn Clock) -> Self {
        Self { last: clock.now(), since_save: 0.0 }
    }

    /// Seconds since the last call.
    fn lap(&mut self, clock: &dyn Clock) -> f64 {
        let now = clock.now();
        let seconds = now.seconds_since(self.last);
        self.last = now;
        let seconds = if (0.0..=Self::LONGEST).contains(&seconds) { seconds } else { 0.0 };
        self.since_save += seconds;
        seconds
    }
}

impl<'a, N: Network + 'a> Fit<'a, N> {
    /// Whether the run ends before its next step. All ranks end at the same step, or none does.
    pub(super) fn ending(&mut self) -> Result<Option<Outcome>> {
        let (trainer, config) = (self.trainer, &self.trainer.config);
        self.progress.seconds += self.stopwatch.lap(&*trainer.clock);
        if config.max_steps.is_some_and(|most| self.progress.global_step >= most) {
            return Ok(Some(Outcome::Finished));
        }
        let late = config.max_minutes.is_some_and(|most| self.progress.seconds >= 60.0 * most);
        let mut any = [f32::from(u8::from(trainer.stop.is_stopped())), f32::from(u8::from(late))];
        if trainer.collective.world_size() > 1 {
            trainer.collective.all_reduce(&mut any, ReduceOp::Max)?;
        }
        Ok(any.iter().any(|raised| *raised > 0.0).then_some(Outcome::Stopped))
    }

    /// Keeps to the budget: pauses for processors, fails for memory, where a set is written first.
    pub(super) fn spend(&mut self) -> Result<()> {
        let clock = &*self.trainer.clock;
        let seconds = |now: Timestamp| now.micros() as f64 / 1e6;
        if let Some(pause) = self.watch.pause(seconds(clock.now())) {
            std::thread::sleep(pause);
            self.watch.resumed(seconds(clock.now()));
        }
        let within = self.watch.memory();
        if let Err(Error::OverBudget { .. }) = &within {
            self.save_at_stop()?;
            self.settle()?;
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapeloom_core::ManualClock;

    #[test]
    fn a_clock_that_is_set_adds_nothing() {
        let clock = ManualClock::default();
        let mut watch = Stopwatch::start(&clock);
        clock.advance(2_000_000);
        assert_eq!(watch.lap(&clock), 2.0);
        clock.advance(-50_000_000);
        assert_eq!(watch.lap(&clock), 0.0);
        clock.advance(i64::from(u32::MAX) * 1_000_000);
        assert_eq!(watch.lap(&clock), 0.0);
        clock.advance(1_000_000);
        assert_eq!((watch.lap(&clock), watch.since_save), (1.0, 3.0));
    }
}
