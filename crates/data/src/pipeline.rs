use std::future::Future;

use datafusion::arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, Fingerprinter};

use crate::csv::CsvSource;
use crate::engine::{self, Computed};
use crate::error::Asked;
use crate::feature::{Feature, Label};
use crate::frame::FeatureFrame;
use crate::leakage::{self, CausalReport};
use crate::validation::{ValidationConfig, ValidationReport};
use crate::{Error, Result};

/// Everything that decides how bars become samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// What happens to bad rows.
    #[serde(default)]
    pub validation: ValidationConfig,
    /// The columns of a window.
    pub features: Vec<Feature>,
    /// What a window is a forecast of.
    pub label: Label,
    /// Rows of a window.
    pub window_steps: usize,
    /// Working memory of the query engine's operators in MiB; what does not fit is spilled. Buffers for reading come on
    /// top. Absent means no limit.
    #[serde(default)]
    pub memory_limit_mb: Option<usize>,
}

impl PipelineConfig {
    /// Daily bars: returns over 1, 5 and 20 bars, volatility, RSI, MACD, z-scores of price and volume and the calendar, in
    /// windows of 60 rows; forecasts the return of the next bar but one.
    #[must_use]
    pub fn daily() -> Self {
        Self {
            validation: ValidationConfig::default(),
            features: vec![
                Feature::LogReturn { bars: 1 },
                Feature::LogReturn { bars: 5 },
                Feature::LogReturn { bars: 20 },
                Feature::Volatility { bars: 20 },
                Feature::Rsi { bars: 14 },
                Feature::Macd { fast: 12, slow: 26, signal: 9 },
                Feature::Zscore { bars: 20 },
                Feature::VolumeZscore { bars: 20 },
                Feature::Calendar,
            ],
            label: Label::ForwardReturn { horizon: 1, delay: 1 },
            window_steps: 60,
            memory_limit_mb: None,
        }
    }

    /// Names of the feature columns, in order.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        self.features.iter().flat_map(Feature::names).collect()
    }

    /// Rows of a symbol before its first whole row.
    #[must_use]
    pub fn look_back(&self) -> usize {
        self.features.iter().map(Feature::look_back).max().unwrap_or(0)
    }

    fn validate(&self) -> Result<()> {
        self.features.iter().try_for_each(Feature::validate)?;
        self.label.validate()?;
        let names = self.feature_names();
        if names.is_empty() || self.window_steps == 0 {
            let value = format!("{} features, {} window_steps", names.len(), self.window_steps);
            return Err(Error::invalid("pipeline", value, "give at least one of each"));
        }
        match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            Some((_, name)) => Err(Error::invalid("features", name, "each column must have a name of its own")),
            None => Ok(()),
        }
    }
}

/// From bars to features and labels. Build it, run it, then cut the [`FeatureFrame`] with a [`Split`](crate::Split).
#[derive(Clone, Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    files: Vec<CsvSource>,
    batches: Vec<RecordBatch>,
}

impl Pipeline {
    /// A pipeline without sources.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a config that breaks a rule.
    pub fn new(config: PipelineConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config, files: Vec::new(), batches: Vec::new() })
    }

    /// Adds a file.
    #[must_use]
    pub fn csv(mut self, source: CsvSource) -> Self {
        self.files.push(source);
        self
    }

    /// Adds bars in memory, of the shape of [`bar_schema`](crate::bar_schema).
    #[must_use]
    pub fn batch(mut self, bars: RecordBatch) -> Self {
        self.batches.push(bars);
        self
    }

    /// The config.
    #[must_use]
    pub const fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// Reads, validates and computes.
    ///
    /// # Errors
    /// See [`Error`]; each names the file and row, or the field, to mend.
    pub async fn run(&self) -> Result<FeatureFrame> {
        let (context, report, fingerprint) = self.clean().await?;
        let computed = engine::compute(&context, &self.config, "bars").await?;
        FeatureFrame::new(&self.config, computed, report, fingerprint)
    }

    /// [`Pipeline::run`] for callers without an async runtime.
    ///
    /// # Errors
    /// As [`Pipeline::run`]; [`Error::Invalid`] when called inside a runtime, where `run` must be awaited.
    pub fn run_blocking(&self) -> Result<FeatureFrame> {
        block_on(self.run())
    }

    /// Computes the features again on histories cut at `cuts` moments and compares: a feature that changes when the future
    /// is taken away has seen it.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub async fn check_causal(&self, cuts: usize) -> Result<CausalReport> {
        let (context, _, _) = self.clean().await?;
        leakage::check_causal(&context, &self.config, cuts).await
    }

    /// [`Pipeline::check_causal`] for callers without an async runtime.
    ///
    /// # Errors
    /// As [`Pipeline::check_causal`] and [`Pipeline::run_blocking`].
    pub fn check_causal_blocking(&self, cuts: usize) -> Result<CausalReport> {
        block_on(self.check_causal(cuts))
    }

    /// The physical plan for the features, as the engine prints it.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub async fn explain(&self) -> Result<String> {
        let (context, _, _) = self.clean().await?;
        let plan = engine::plan(&context, &self.config, "bars").await?;
        let plan = plan.create_physical_plan().await.asked("plan features")?;
        Ok(datafusion::physical_plan::displayable(&*plan).indent(false).to_string())
    }

    /// Valid bars as the table `bars`, what validation saw, and what identifies config and input.
    async fn clean(&self) -> Result<(SessionContext, ValidationReport, Fingerprint)> {
        let mut print = Fingerprinter::default();
        let encode = |e| tapeloom_core::Error::provider("could not encode the pipeline config", e);
        print.add(&serde_json::to_vec(&self.config).map_err(encode)?);
        let mut batches = Vec::new();
        for file in &self.files {
            let (bars, fingerprint) = file.read()?;
            print.add(fingerprint.as_bytes());
            batches.push(bars);
        }
        for bars in &self.batches {
            if bars.schema() != crate::bars::schema() {
                let value = format!("{} columns", bars.num_columns());
                return Err(Error::invalid("batch schema", value, "use the columns and types of bar_schema()"));
            }
            print.add(format!("{bars:?}").as_bytes());
            batches.push(bars.clone());
        }
        if batches.is_empty() {
            return Err(Error::invalid("sources", "none", "add a file or a batch of bars"));
        }
        let context = engine::context(&self.config)?;
        engine::register(&context, batches)?;
        let (bars, report) = self.config.validation.apply(&context).await?;
        context.register_table("bars", bars.into_view()).asked("register bars")?;
        Ok((context, report, print.finish()))
    }
}

/// The one place where sync code waits for async code, on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Err(Error::invalid(
            "runtime",
            "async",
            "await run() instead of calling run_blocking() inside a runtime",
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().build().map_err(|source| Error::Io {
        action: "start an async runtime for",
        path: "pipeline".into(),
        source,
    })?;
    runtime.block_on(future)
}

/// Names the features that a computation holds, for reports.
pub(crate) fn named<'a>(config: &PipelineConfig, computed: &'a Computed) -> Vec<(String, &'a [f64])> {
    config.feature_names().into_iter().zip(computed.features.iter().map(Vec::as_slice)).collect()
}
