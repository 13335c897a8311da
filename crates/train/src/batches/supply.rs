use std::ops::Range;

use burn::tensor::{DType, Device, Tensor};
use tapeloom_core::{Fingerprint, MatrixWindows, WindowSource};
use tapeloom_model::{Dials, ForecasterSpec, Pass, Rows};

use super::{Batch, Feed};
use crate::Result;

/// Matrices above this stay on the host, which then cuts the batches.
const RESIDENT_BYTES: usize = 2 << 30;

/// The rows of one source on the device that trains.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(crate) rows: Rows,
    pub(crate) source: Fingerprint,
    /// Where each segment begins among the rows.
    offsets: Vec<usize>,
}

impl Resident {
    /// Uploads the matrix; none where it is too large.
    pub(crate) fn new(matrix: &MatrixWindows, spec: &ForecasterSpec, device: &Device) -> Option<Self> {
        let segments = matrix.segments();
        let numbers: usize = segments.iter().map(|segment| segment.features.len() + segment.targets.len()).sum();
        if numbers * size_of::<f32>() > RESIDENT_BYTES {
            return None;
        }
        let (mut rows, mut offsets) = (0, Vec::new());
        for segment in segments {
            offsets.push(rows);
            rows += segment.times.len();
        }
        let features = segments.iter().flat_map(|segment| segment.features.iter().copied()).collect();
        let mut targets: Vec<f32> = segments.iter().flat_map(|segment| segment.targets.iter().copied()).collect();
        Batch::scale(&mut targets, spec);
        let rows = Rows::new(features, targets, rows, matrix.spec().steps, device);
        Some(Self { rows, source: matrix.fingerprint(), offsets })
    }

    /// The rows at which the windows of `ids` begin.
    pub(crate) fn first_rows(&self, matrix: &MatrixWindows, ids: &[usize]) -> Vec<usize> {
        let first = |id: &usize| {
            let (segment, last) = matrix.place(*id);
            self.offsets[segment] + last + 1 - matrix.spec().steps
        };
        ids.iter().map(first).collect()
    }
}

/// Where the batches of a step come from, and their draws.
pub(crate) enum Supply<'a> {
    /// Cut by the host.
    Host(&'a mut dyn Feed),
    /// Cut by the device.
    Resident { rows: &'a Rows, first_rows: &'a [usize] },
    /// Cut by the device, at whatever the dials will be turned to.
    Recorded { rows: &'a Rows, dials: &'a Dials },
}

impl Supply<'_> {
    /// Those samples of the step's `ids` that stand in `range`, for the `device` that trains, with windows in `compute`.
    pub(crate) fn batch(
        &mut self,
        ids: &[usize],
        range: Range<usize>,
        spec: &ForecasterSpec,
        compute: DType,
        device: &Device,
    ) -> Result<Batch> {
        let (windows, targets) = match self {
            Self::Host(feed) => {
                let batch = feed.take(&ids[range])?.into_batch(spec, device);
                return Ok(Batch { windows: batch.windows.cast(compute), ..batch });
            }
            Self::Resident { rows, first_rows } => rows.batch(&first_rows[range], compute),
            Self::Recorded { rows, dials } => rows.recorded_batch(dials, range, compute),
        };
        Ok(Batch { windows: Tensor::from_inner(windows), targets: Tensor::from_inner(targets) })
    }

    /// The pass over samples from `first` on.
    pub(crate) fn pass(&self, key: u64, first: usize) -> Pass {
        match self {
            Self::Recorded { dials, .. } => Pass::recorded(key, first as u64, dials),
            Self::Host(_) | Self::Resident { .. } => Pass::training(key, first as u64),
        }
    }

    /// The dials of a recorded step.
    pub(crate) const fn dials(&self) -> Option<&Dials> {
        match self {
            Self::Recorded { dials, .. } => Some(dials),
            Self::Host(_) | Self::Resident { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tapeloom_core::{Segment, Timestamp, WindowSpec};

    use super::super::Direct;
    use super::*;
    use crate::TrainConfig;

    fn segment(symbol: u32, rows: i64) -> Segment {
        let times: Vec<Timestamp> = (0..rows).map(Timestamp::from_micros).collect();
        let number = |x: i64| (1000 * i64::from(symbol) + x) as f32;
        Segment {
            symbol,
            features: (0..rows * 3).map(number).collect(),
            targets: (0..rows * 2).map(|x| -number(x)).collect(),
            target_ends: times.clone(),
            times,
        }
    }

    #[test]
    fn device_and_host_cut_the_same_batches() -> Result<()> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let spec =
            WindowSpec { steps: 4, features: names(&["a", "b", "c"]), targets: names(&["y", "z"]), scaler: None };
        let source = MatrixWindows::all(spec, names(&["S", "T"]), [segment(0, 9), segment(1, 6)].into())?;
        let spec = ForecasterSpec { target_scale: vec![2.0, 5.0], ..TrainConfig::default().spec(source.spec()) };
        // The last window of the first symbol, the first and last of the second.
        let (ids, device) = ([5, 6, 8, 0, 3], Device::flex());
        let resident = Resident::new(&source, &spec, &device).expect("a small matrix");
        let first_rows = resident.first_rows(&source, &ids);
        let autodiff = device.autodiff();
        let mut direct = Direct(&source);
        let supplies = [Supply::Host(&mut direct), Supply::Resident { rows: &resident.rows, first_rows: &first_rows }];
        let [host, resident] = supplies.map(|mut supply| supply.batch(&ids, 1..5, &spec, DType::F32, &autodiff));
        let (host, resident) = (host?, resident?);
        assert_eq!(host.windows.dims(), [4, 4, 3]);
        assert_eq!(host.windows.into_data(), resident.windows.into_data());
        assert_eq!(host.targets.into_data(), resident.targets.into_data());
        Ok(())
    }
}
