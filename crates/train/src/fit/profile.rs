use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tapeloom_core::{Clock, Timestamp};

/// Spans kept for the trace; times go on being added up behind them.
const SPANS: usize = 200_000;

/// Where the time of a run went, phase by phase. Empty unless `debug.profiler` is on.
///
/// Times are those of the training thread. A device that works on its own shows up in `wait`, where the thread waits for the
/// step's loss, and in whatever phase reads from it.
#[derive(Debug, Default)]
pub struct Profile {
    clock: Option<Arc<dyn Clock>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    phases: BTreeMap<&'static str, PhaseTime>,
    spans: Vec<(&'static str, Timestamp, f64)>,
}

/// The time of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PhaseTime {
    /// How often it ran.
    pub count: u64,
    /// In all.
    pub seconds: f64,
}

impl Profile {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), seen: Mutex::default() }
    }

    pub(crate) fn time<T>(&self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let Some(clock) = &self.clock else { return work() };
        let start = clock.now();
        let result = work();
        let seconds = clock.now().seconds_since(start).max(0.0);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let time = seen.phases.entry(phase).or_default();
        time.count += 1;
        time.seconds += seconds;
        if seen.spans.len() < SPANS {
            seen.spans.push((phase, start, seconds));
        }
        result
    }

    /// Time by phase: `gather`, `forward`, `backward`, `reduce`, `update`, `wait`, `validate`, `checkpoint`.
    #[must_use]
    pub fn phases(&self) -> BTreeMap<&'static str, PhaseTime> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).phases.clone()
    }

    /// The first 200,000 spans in the Trace Event Format, which `chrome://tracing` and Perfetto read.
    #[must_use]
    pub fn chrome_trace(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
        for (number, (phase, start, seconds)) in seen.spans.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let (at, took) = (start.micros(), seconds * 1e6);
            // Writing to a string can't fail.
            let _ = write!(
                text,
                "{comma}\n{{\"name\":\"{phase}\",\"ph\":\"X\",\"ts\":{at},\"dur\":{took:.0},\"pid\":1,\"tid\":1}}"
            );
        }
        text.push_str("\n]}\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapeloom_core::ManualClock;

    #[test]
    fn phases_add_up_and_the_trace_is_json() {
        let clock = Arc::new(ManualClock::default());
        let profile = Profile::new(clock.clone());
        for _ in 0..3 {
            profile.time("forward", || clock.advance(2_000_000));
        }
        // A clock that is set back takes nothing away.
        profile.time("forward", || clock.advance(-9_000_000));
        assert_eq!(profile.phases()["forward"], PhaseTime { count: 4, seconds: 6.0 });
        let trace: serde_json::Value = serde_json::from_str(&profile.chrome_trace()).expect("JSON");
        assert_eq!(trace["traceEvents"].as_array().map(Vec::len), Some(4));
        assert_eq!(trace["traceEvents"][1]["ts"], 2_000_000);
    }

    #[test]
    fn a_profile_that_is_off_sees_nothing() {
        let profile = Profile::default();
        assert_eq!(profile.time("forward", || 3), 3);
        assert!(profile.phases().is_empty());
    }
}
