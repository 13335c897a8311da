use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Fingerprint, MatrixWindows, Result, Scaler, Timestamp};

/// What one sample looks like: `steps` rows of `features` in, the targets of the last row out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Rows of a window (T).
    pub steps: usize,
    /// Names of the columns (F).
    pub features: Vec<String>,
    /// Names of the targets (O).
    pub targets: Vec<String>,
    /// How the features were scaled; absent when they are raw.
    pub scaler: Option<Scaler>,
}

impl WindowSpec {
    /// Numbers in one window: steps times features.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.steps * self.features.len()
    }
}

/// Where and when a sample stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Index into [`WindowSource::symbols`].
    pub symbol: u32,
    /// Time of the window's last row: the moment of the forecast.
    pub time: Timestamp,
    /// Time of the last row that the target looks at.
    pub target_end: Timestamp,
}

/// Samples for training and evaluation, by number. A source never hands out a window that crosses symbols or gaps.
pub trait WindowSource: Send + Sync + fmt::Debug {
    /// The shape of every sample.
    fn spec(&self) -> &WindowSpec;

    /// How many samples there are.
    fn len(&self) -> usize;

    /// Copies samples out, in the order of `ids`.
    ///
    /// `inputs` takes `[ids, steps, features]` and `targets` takes `[ids, targets]`, both row-major.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an id out of range or a buffer of the wrong length; see [`check_gather`].
    fn gather(&self, ids: &[usize], inputs: &mut [f32], targets: &mut [f32]) -> Result<()>;

    /// Where and when sample `id` stands.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an id out of range.
    fn stamp(&self, id: usize) -> Result<Stamp>;

    /// Names of the symbols.
    fn symbols(&self) -> &[String];

    /// Identifies the content: equal fingerprints mean equal samples in equal order.
    fn fingerprint(&self) -> Fingerprint;

    /// The matrices that samples are cut out of, when they are; so a device can keep those and cut batches itself.
    fn matrix(&self) -> Option<&MatrixWindows> {
        None
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Checks the arguments of [`WindowSource::gather`] for a source of `len` samples.
///
/// # Errors
/// [`Error::Invalid`] that names the argument.
pub fn check_gather(spec: &WindowSpec, len: usize, ids: &[usize], inputs: usize, targets: usize) -> Result<()> {
    if let Some(id) = ids.iter().find(|id| **id >= len) {
        return Err(Error::invalid("sample id", id, format!("this source holds {len} samples")));
    }
    let expect = |field: &str, got: usize, want: usize| {
        if got == want { Ok(()) } else { Err(Error::invalid(field, got, format!("{} samples need {want}", ids.len()))) }
    };
    expect("inputs length", inputs, ids.len() * spec.window_len())?;
    expect("targets length", targets, ids.len() * spec.targets.len())
}
