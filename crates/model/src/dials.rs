use burn::tensor::Device;

use crate::pass::site_key;
use crate::{AdamW, Result};

#[cfg(feature = "cuda")]
use crate::cuda::{Graph, Words};
#[cfg(not(feature = "cuda"))]
use absent::{Graph, Words};

/// The numbers that change from one training step to the next, where the kernels of a recorded step read them: the
/// optimizer's rates, the keys of the draws, and where the samples of the batch begin.
///
/// A step is recorded so: [`Dials::prepare`], one run of the step, [`Dials::record`] around a second one, which is not
/// carried out. From then on [`Dials::turn`] and [`Recording::replay`] do the step, as one launch.
#[derive(Clone, Debug)]
pub struct Dials {
    words: Words,
    sites: usize,
}

/// Rates and corrections of [`AdamW`] come first.
pub(crate) const RATES: usize = 3;

impl Dials {
    /// For a network that draws at `sites` places of a pass, and batches of `samples`; none where the device can't record,
    /// which so far only CUDA can.
    #[must_use]
    pub fn new(device: &Device, sites: usize, samples: usize) -> Option<Self> {
        Some(Self { words: Words::new(device, RATES + sites + samples)?, sites })
    }

    /// Sets them for a step: the update's rule, the key of its pass, and the first row of each sample in the matrix of
    /// [`Rows`](crate::Rows).
    pub fn turn(&self, rule: &AdamW, key: u64, first_rows: &[usize]) {
        let rates = rule.rates().map(f64::to_bits);
        let keys = (0..self.sites as u64).map(|site| site_key(key, site));
        let rows = first_rows.iter().map(|row| *row as u64);
        self.words.write(rates.into_iter().chain(keys).chain(rows));
    }

    /// Where the key of a site stands.
    ///
    /// # Panics
    /// When the network draws at more sites than it did before.
    pub(crate) fn site(&self, site: usize) -> usize {
        assert!(site < self.sites, "a network draws at the same {} sites in every pass", self.sites);
        RATES + site
    }

    /// Where the first rows stand.
    #[cfg(feature = "cuda")]
    pub(crate) const fn first_rows(&self) -> usize {
        RATES + self.sites
    }

    #[cfg(feature = "cuda")]
    pub(crate) const fn words(&self) -> &Words {
        &self.words
    }

    /// Gets the device ready: what the next run of the step leaves behind is what the recorded one may use.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) when it refuses.
    pub fn prepare(&self) -> Result<()> {
        self.words.prepare()
    }

    /// Takes [`Dials::prepare`] back, when the run after it failed.
    pub fn abandon(&self) {
        self.words.abandon();
    }

    /// Records what `step` asks of the device, which does none of it now.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) when something in it can't be recorded: a read, an upload, or memory that the run before did not
    /// use. What the step would have written is unreadable then.
    pub fn record<R>(&self, step: impl FnOnce() -> R) -> Result<(R, Recording)> {
        let (result, graph) = self.words.record(step)?;
        Ok((result, Recording { graph }))
    }
}

/// A step on the device that runs again as one launch.
#[derive(Debug)]
pub struct Recording {
    graph: Graph,
}

impl Recording {
    /// Whether this thread recorded it. Another thread's work stands in another queue of the device, so there it must not
    /// be replayed.
    #[must_use]
    pub fn is_of_this_thread(&self) -> bool {
        self.graph.is_of_this_thread()
    }

    /// Runs the step with the dials as they stand. Whatever it reads and writes must still be there: whoever recorded it
    /// owns those tensors.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) when the device refuses.
    pub fn replay(&self) -> Result<()> {
        self.graph.replay()
    }
}

/// A build without a device that records.
#[cfg(not(feature = "cuda"))]
mod absent {
    use super::{Device, Result};

    #[derive(Clone, Debug)]
    pub(super) enum Words {}

    impl Words {
        pub(super) const fn new(_: &Device, _: usize) -> Option<Self> {
            None
        }

        pub(super) fn write(&self, _: impl Iterator<Item = u64>) {
            match *self {}
        }

        pub(super) const fn prepare(&self) -> Result<()> {
            match *self {}
        }

        pub(super) const fn abandon(&self) {
            match *self {}
        }

        pub(super) fn record<R>(&self, _: impl FnOnce() -> R) -> Result<(R, Graph)> {
            match *self {}
        }
    }

    #[derive(Debug)]
    pub(super) enum Graph {}

    impl Graph {
        pub(super) const fn is_of_this_thread(&self) -> bool {
            match *self {}
        }

        pub(super) const fn replay(&self) -> Result<()> {
            match *self {}
        }
    }
}
