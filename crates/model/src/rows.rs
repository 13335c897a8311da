use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::Dials;

/// Rows of features and targets that lie on a device, which cuts batches of windows out of them.
#[derive(Clone, Debug)]
pub struct Rows {
    // As one axis: of two, a device may pad the rows.
    features: Tensor<1>,
    targets: Tensor<1>,
    /// Columns of each.
    widths: [usize; 2],
    rows: usize,
    steps: usize,
}

impl Rows {
    /// Whether batches are cut there rather than by the host: everywhere but on the CPU, where rows are in reach anyway.
    #[must_use]
    pub fn pay_on(device: &Device) -> bool {
        #[cfg(feature = "flex")]
        return crate::ops::provider(device, DType::F32) != crate::ops::Provider::Cpu;
        #[cfg(not(feature = "flex"))]
        {
            let _ = device;
            true
        }
    }

    /// Uploads row-major `features` `[rows, columns]` and `targets` `[rows, outputs]`; windows have `steps` rows.
    #[must_use]
    pub fn new(features: Vec<f32>, targets: Vec<f32>, rows: usize, steps: usize, device: &Device) -> Self {
        let widths = [features.len(), targets.len()].map(|numbers| numbers / rows.max(1));
        let upload = |values: Vec<f32>| {
            let shape = [values.len()];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Self { features: upload(features), targets: upload(targets), widths, rows, steps }
    }

    /// Windows `[samples, steps, columns]` in `dtype`, and the targets `[samples, outputs]` of their last rows. Sample `i`
    /// begins at row `first_rows[i]`.
    #[must_use]
    pub fn batch(&self, first_rows: &[usize], dtype: DType) -> (Tensor<3>, Tensor<2>) {
        #[cfg(feature = "cuda")]
        if crate::ops::provider(&self.features.device(), dtype) == crate::ops::Provider::Cuda {
            return self.cut(&crate::cuda::FirstRows::Given(first_rows), first_rows.len(), dtype);
        }
        let device = self.features.device();
        let (samples, [columns, outputs]) = (first_rows.len(), self.widths);
        let rows = |offsets: std::ops::Range<usize>| {
            let rows: Vec<i64> =
                first_rows.iter().flat_map(|first| offsets.clone().map(move |row| (first + row) as i64)).collect();
            let count = rows.len();
            Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device)
        };
        let features = self.features.clone().reshape([self.rows, columns]);
        let targets = self.targets.clone().reshape([self.rows, outputs]);
        let windows = features.select(0, rows(0..self.steps)).reshape([samples, self.steps, columns]);
        (windows.cast(dtype), targets.select(0, rows(self.steps - 1..self.steps)))
    }

    /// As [`Rows::batch`], of the samples `range` among those that `dials` are turned to when it runs.
    ///
    /// # Panics
    /// On a device that does not record.
    #[must_use]
    pub fn recorded_batch(&self, dials: &Dials, range: std::ops::Range<usize>, dtype: DType) -> (Tensor<3>, Tensor<2>) {
        #[cfg(feature = "cuda")]
        return self.cut(&crate::cuda::FirstRows::Dialled(dials, range.start), range.len(), dtype);
        #[cfg(not(feature = "cuda"))]
        unreachable!("{dials:?} {range:?} {dtype:?} of a device that does not record")
    }

    #[cfg(feature = "cuda")]
    fn cut(&self, first_rows: &crate::cuda::FirstRows<'_>, samples: usize, dtype: DType) -> (Tensor<3>, Tensor<2>) {
        use burn::backend::Cube;
        let cube = |x: &Tensor<1>| {
            x.clone().try_into_primitive::<Cube>().expect("rows are on the device that was just seen to be CUDA")
        };
        let rows = [cube(&self.features), cube(&self.targets)];
        let [windows, targets] = crate::cuda::gather(rows, self.widths, first_rows, samples, self.steps, dtype);
        (Tensor::from_primitive::<Cube>(windows), Tensor::from_primitive::<Cube>(targets))
    }
}
