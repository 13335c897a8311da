use burn::tensor::Tensor;
use tapeloom_model::{AdamW, Dials, Recording, Rows};

use crate::{Result, gradients};

/// Runs of a batch size before it is recorded: kernels are compiled and tuned by then.
const RUNS: u32 = 2;

/// Decides when the step of a batch size has been seen often enough to be recorded, and keeps the recording.
#[derive(Debug)]
pub(crate) enum Recorder {
    Off,
    /// Counts runs of the largest batch so far, and the places where a pass draws.
    Counting {
        samples: usize,
        runs: u32,
        sites: usize,
    },
    Done(Recorded),
}

impl Recorder {
    pub(crate) const fn new(on: bool) -> Self {
        if on { Self::Counting { samples: 0, runs: 0, sites: 0 } } else { Self::Off }
    }

    /// The recording of a step on so many samples, when this thread has one.
    pub(crate) fn recorded(&self, samples: usize) -> Option<&Recorded> {
        match self {
            Self::Done(recorded) if recorded.samples == samples => {
                Some(recorded).filter(|recorded| recorded.recording.is_of_this_thread())
            }
            _ => None,
        }
    }

    /// A run that was not replayed.
    pub(crate) fn saw(&mut self, of_samples: usize, at_sites: usize) {
        if let Self::Counting { samples, runs, sites } = self
            && of_samples >= *samples
        {
            *runs = if of_samples > *samples { 1 } else { *runs + 1 };
            (*samples, *sites) = (of_samples, at_sites);
        }
    }

    /// The number of sites, when a step on so many samples should be recorded now.
    pub(crate) fn due(&self, of_samples: usize) -> Option<usize> {
        match self {
            Self::Counting { samples, runs, sites } if *samples == of_samples && *runs >= RUNS => Some(*sites),
            _ => None,
        }
    }

    pub(crate) fn keep(&mut self, recorded: Recorded) {
        *self = Self::Done(recorded);
    }

    /// The device does not record; nothing is tried again.
    pub(crate) fn refuse(&mut self) {
        *self = Self::Off;
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
    /// Does the step; gives loss and gradient norm.
    pub(crate) fn replay(&self, rule: &AdamW, key: u64, first_rows: &[usize]) -> Result<Vec<f32>> {
        self.dials.turn(rule, key, first_rows);
        self.recording.replay()?;
        gradients::read(self.numbers.clone())
    }
}
