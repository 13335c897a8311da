use std::future::Future;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::prelude::{DataFrame, SessionContext};
use serde::{Deserialize, Serialize};
use tapeloom_core::{Fingerprint, Fingerprinter};

use crate::csv::CsvSource;
use crate::engine::{self, Computed};
use crate::error::Asked;
use crate::feature::{Feature, Label};
use crate::frame::{Checked, FeatureFrame};
use crate::leakage::{self, CausalReport};
use crate::validation::ValidationConfig;
use crate::{Error, Result, bars, cells};

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
        self.validation.validate()?;
        if self.memory_limit_mb == Some(0) {
            return Err(Error::invalid("memory_limit_mb", 0, "give at least 1, or leave it out for no limit"));
        }
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
///
/// A symbol may be spread over several sources; they are read in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    sources: Vec<Source>,
}

#[derive(Clone, Debug)]
enum Source {
    Csv(CsvSource),
    Batch(RecordBatch),
    Query(String, Box<DataFrame>),
}

impl Pipeline {
    /// A pipeline without sources.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a config that breaks a rule.
    pub fn new(config: PipelineConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config, sources: Vec::new() })
    }

    /// Adds a file.
    #[must_use]
    pub fn csv(mut self, source: CsvSource) -> Self {
        self.sources.push(Source::Csv(source));
        self
    }

    /// Adds bars in memory: `symbol` as text, `ts` as dates or timestamps and `close` as numbers, with `open`, `high`, `low`
    /// and `volume` where there are any; see [`bar_schema`](crate::bar_schema).
    #[must_use]
    pub fn batch(mut self, bars: RecordBatch) -> Self {
        self.sources.push(Source::Batch(bars));
        self
    }

    /// Adds the rows of a query on the caller's own context, with the columns of [`Pipeline::batch`]; errors call it `name`.
    /// Unless the query orders its rows, they may come in any order, which validation refuses.
    #[must_use]
    pub fn dataframe(mut self, name: impl Into<String>, query: DataFrame) -> Self {
        self.sources.push(Source::Query(name.into(), Box::new(query)));
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
        let (context, checked) = self.clean().await?;
        let computed = engine::compute(&context, &self.config, "bars").await?;
        FeatureFrame::new(&self.config, computed, checked)
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
        let (context, _) = self.clean().await?;
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
        let (context, _) = self.clean().await?;
        let plan = engine::plan(&context, &self.config, "bars").await?;
        let plan = plan.create_physical_plan().await.asked("plan features")?;
        Ok(datafusion::physical_plan::displayable(&*plan).indent(false).to_string())
    }

    /// Valid bars as the table `bars`, and what is known of them.
    async fn clean(&self) -> Result<(SessionContext, Checked)> {
        if self.sources.is_empty() {
            return Err(Error::invalid("sources", "none", "add a file, a batch of bars or a query"));
        }
        let mut print = Fingerprinter::default();
        // How much memory it took does not show in the numbers.
        let config = PipelineConfig { memory_limit_mb: None, ..self.config.clone() };
        let encode = |e| tapeloom_core::Error::provider("could not encode the pipeline config", e);
        print.add(env!("CARGO_PKG_VERSION").as_bytes()).add(&serde_json::to_vec(&config).map_err(encode)?);
        let (mut inputs, mut batches) = (Vec::new(), Vec::new());
        for (number, source) in (1..).zip(&self.sources) {
            let (name, bars, stored) = source.read(number).await?;
            let content = bars::fingerprint(&bars);
            print.add(content.as_bytes());
            inputs.push((name, stored.unwrap_or(content)));
            batches.push(bars);
        }
        let context = engine::context(&self.config)?;
        engine::register(&context, batches)?;
        let (bars, report) = self.config.validation.apply(&context).await?;
        context.register_table("bars", bars.into_view()).asked("register bars")?;
        Ok((context, Checked { report, inputs, fingerprint: print.finish() }))
    }
}

impl Source {
    /// Name, bars, and the fingerprint of a file as stored.
    async fn read(&self, number: usize) -> Result<(String, RecordBatch, Option<Fingerprint>)> {
        match self {
            Self::Csv(file) => {
                let name = cells::name(file.path());
                let file = file.clone();
                let lost = |e| tapeloom_core::Error::provider("the thread that reads a file was lost", e);
                let (bars, stored) = tokio::task::spawn_blocking(move || file.read()).await.map_err(lost)??;
                Ok((name, bars, Some(stored)))
            }
            Self::Batch(batch) => {
                let name = format!("batch {number}");
                let bars = bars::adopt(batch, &name)?;
                Ok((name, bars, None))
            }
            Self::Query(name, query) => {
                let schema = query.schema().inner().clone();
                let batches = query.as_ref().clone().collect().await.asked("run a source's query")?;
                let batch = concat_batches(&schema, &batches).asked("run a source's query")?;
                Ok((name.clone(), bars::adopt(&batch, name)?, None))
            }
        }
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|source| Error::Io {
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
