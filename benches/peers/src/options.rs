/// What to time; the names and defaults of `torch_step.py`, and some of our own.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) model: String,
    pub(crate) device: String,
    pub(crate) precision: String,
    pub(crate) batch: usize,
    pub(crate) seq: usize,
    pub(crate) features: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) dropout: f64,
    pub(crate) clip: f64,
    pub(crate) steps: usize,
    pub(crate) reps: usize,
    pub(crate) warmup: usize,
    pub(crate) ticks: usize,
    pub(crate) threads: usize,
    /// Batches that differ; steps take them in turn.
    pub(crate) batches: usize,
    /// Standard deviation of what in the targets nothing can forecast.
    pub(crate) noise: f64,
    /// Learning rate.
    pub(crate) rate: f64,
    /// Whether steps are recorded on CUDA.
    pub(crate) graphs: bool,
    /// Whether ranks meet in device memory.
    pub(crate) on_device: bool,
    /// How ranks share the work.
    pub(crate) strategy: String,
    /// Whether this is one rank of several, which a launcher started. `batch` is that of all.
    pub(crate) ranks: bool,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut o = Self {
            model: "lstm_attention".into(),
            device: "cpu".into(),
            precision: "f32".into(),
            batch: 128,
            seq: 60,
            features: 16,
            hidden: 256,
            layers: 4,
            heads: 8,
            dropout: 0.2,
            clip: 0.0,
            steps: 50,
            reps: 3,
            warmup: 10,
            ticks: 2000,
            threads: 0,
            batches: 8,
            noise: 0.1,
            rate: 1e-3,
            graphs: true,
            on_device: true,
            strategy: "ddp".into(),
            ranks: false,
        };
        while let Some(name) = words.next() {
            let value = words.next().ok_or(format!("{name} needs a value"))?;
            let count = || value.parse().map_err(|e| format!("{name} {value}: {e}"));
            let number = || value.parse().map_err(|e| format!("{name} {value}: {e}"));
            match name.as_str() {
                "--model" => o.model = value,
                "--device" => o.device = value,
                "--precision" => o.precision = value,
                "--batch" => o.batch = count()?,
                "--seq" => o.seq = count()?,
                "--features" => o.features = count()?,
                "--hidden" => o.hidden = count()?,
                "--layers" => o.layers = count()?,
                "--heads" => o.heads = count()?,
                "--dropout" => o.dropout = number()?,
                "--clip" => o.clip = number()?,
                "--steps" => o.steps = count()?,
                "--reps" => o.reps = count()?,
                "--warmup" => o.warmup = count()?,
                "--ticks" => o.ticks = count()?,
                "--threads" => o.threads = count()?,
                "--batches" => o.batches = count()?,
                "--noise" => o.noise = number()?,
                "--rate" => o.rate = number()?,
                "--on-device" => o.on_device = count()? > 0,
                "--strategy" => o.strategy = value,
                "--ranks" => o.ranks = count()? > 0,
                "--graphs" => o.graphs = count()? > 0,
                other => return Err(format!("{other} is no option; see torch_step.py --help")),
            }
        }
        Ok(o)
    }
}
