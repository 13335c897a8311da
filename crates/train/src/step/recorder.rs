use burn::tensor::Tensor;
use tapeloom_model::{AdamW, Dials, Recording, Rows};

use crate::Result;

/// Runs of a batch size before it is recorded: kernels are compiled and tuned by then.
const RUNS: u32 = 2;
/// Times that a device may refuse.
const ATTEMPTS: u32 = 3;

/// Decides when the step of a batch size has been seen often enough to be recorded, and keeps the recording.
#[derive(Debug)]
pub(crate) enum Recorder {
    Off,
    Counting(Count),
    Done(Box<Recorded>),
}

/// Runs of the largest batch so far, the places where a pass draws, and recordings that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    samples: usize,
    runs: u32,
    sites: usize,
    refusals: u32,
}

impl Recorder {
    pub(crate) fn new(on: bool) -> Self {
        if on { Self::Counting(Count::default()) } else { Self::Off }
    }

    /// The recording of a step on so many samples, when this thread has one.
    pub(crate) fn recorded(&self, samples: usize) -> Option<&Recorded> {
        match self {
            Self::Done(recorded) if recorded.samples == samples => {
                Some(&**recorded).filter(|recorded| recorded.recording.is_of_this_thread())
            }
            _ => None,
        }
    }

    pub(crate) const fn has_recorded(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// A run that was not replayed.
    pub(crate) fn saw(&mut self, samples: usize, sites: usize) {
        if let Self::Counting(count) = self
            && samples >= count.samples
        {
            let runs = if samples > count.samples { 1 } else { count.runs + 1 };
            *count = Count { samples, runs, sites, ..*count };
        }
    }

    /// The number of sites, when a step on so many samples should be recorded now.
    pub(crate) fn due(&self, samples: usize) -> Option<usize> {
        match self {
            Self::Counting(count) if count.samples == samples && count.runs >= RUNS => Some(count.sites),
            _ => None,
        }
    }

    pub(crate) fn keep(&mut self, recorded: Recorded) {
        *self = Self::Done(Box::new(recorded));
    }

    /// The device did not record; says whether it will be asked again.
    pub(crate) fn refuse(&mut self) -> bool {
        match self {
            Self::Counting(count) if count.refusals + 1 < ATTEMPTS => {
                *count = Count { runs: 0, refusals: count.refusals + 1, ..*count };
                true
            }
            _ => {
                *self = Self::Off;
                false
            }
        }
    }

    /// Begins anew, since what was recorded is no longer what is trained.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(!matches!(self, Self::Off));
    }
}

/// A recorded step, and all it reads that is not the network's or the optimizer's.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) recording: Recording,
    pub(crate) dials: Dials,
    /// What the recording reads by address; here so that it stays.
    pub(crate) _rows: Rows,
    /// Loss and gradient norm.
    pub(crate) numbers: Tensor<1>,
    pub(crate) samples: usize,
}

impl Recorded {
    /// Does the step, up to what ranks have to meet for.
    pub(crate) fn replay(&self, rule: &AdamW, key: u64, first_rows: &[usize]) -> Result<()> {
        self.dials.turn(rule, key, first_rows);
        Ok(self.recording.replay()?)
    }
}
