use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimestampMicrosecondType};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};

use crate::error::Asked;
use crate::feature::Feature;
use crate::pipeline::PipelineConfig;
use crate::validation::text;
use crate::{Error, Result};

/// Features and labels of every row, column by column, in order of symbol and time. NaN stands for null.
#[derive(Debug, Default)]
pub(crate) struct Computed {
    pub(crate) symbols: Vec<String>,
    pub(crate) times: Vec<i64>,
    /// Rows of the symbol before this one.
    pub(crate) age: Vec<i64>,
    pub(crate) features: Vec<Vec<f64>>,
    pub(crate) labels: Vec<f64>,
    pub(crate) label_ends: Vec<Option<i64>>,
}

/// A query context that knows the config's indicators and keeps to its memory limit.
pub(crate) fn context(config: &PipelineConfig) -> Result<SessionContext> {
    let mut session = SessionConfig::new();
    let mut runtime = RuntimeEnvBuilder::new();
    if let Some(megabytes) = config.memory_limit_mb {
        // A hash join can't spill; a merge join can.
        session = session.set_bool("datafusion.optimizer.prefer_hash_join", false);
        runtime = runtime.with_memory_pool(Arc::new(FairSpillPool::new(megabytes.saturating_mul(1 << 20))));
    }
    let runtime = runtime.build_arc().asked("set up the query engine")?;
    let context = SessionContext::new_with_config_rt(session, runtime);
    for indicator in config.features.iter().filter_map(|f| f.indicator()) {
        context.register_udwf(indicator.function());
    }
    Ok(context)
}

/// Makes bars the table `raw`, with the number of their source as `_part`: rows come in the order of `_part` and `_row`.
pub(crate) fn register(context: &SessionContext, sources: Vec<RecordBatch>) -> Result<()> {
    let mut fields = crate::bars::schema().fields().to_vec();
    fields.push(Arc::new(Field::new("_part", DataType::UInt64, false)));
    let schema = Arc::new(Schema::new(fields));
    let batches = (0..).zip(sources).map(|(part, bars)| {
        let mut columns = bars.columns().to_vec();
        columns.push(Arc::new(UInt64Array::from(vec![part; bars.num_rows()])));
        RecordBatch::try_new(schema.clone(), columns)
    });
    let batches = batches.collect::<std::result::Result<Vec<_>, _>>().asked("register bars")?;
    let table = MemTable::try_new(schema, vec![batches]).asked("register bars")?;
    context.register_table("raw", Arc::new(table)).asked("register bars")?;
    Ok(())
}

/// The plan for features and labels over a table of valid bars.
pub(crate) async fn plan(context: &SessionContext, config: &PipelineConfig, table: &str) -> Result<DataFrame> {
    let features: Vec<String> = config
        .features
        .iter()
        .flat_map(|f| f.columns())
        .enumerate()
        .map(|(i, (_, sql))| format!("CAST({sql} AS DOUBLE) AS f{i}"))
        .collect();
    let [label, end] = config.label.columns();
    let query = format!(
        "WITH base AS (SELECT *, ln(close / lag(close) OVER (PARTITION BY symbol ORDER BY ts)) AS ret FROM {table}) \
         SELECT symbol, ts, row_number() OVER (PARTITION BY symbol ORDER BY ts) - 1 AS age, \
         {label} AS label, {end} AS label_end, {} FROM base ORDER BY symbol, ts",
        features.join(", ")
    );
    context.sql(&query).await.asked("plan features")
}

/// Runs the plan of [`plan`].
pub(crate) async fn compute(context: &SessionContext, config: &PipelineConfig, table: &str) -> Result<Computed> {
    let plan = plan(context, config, table).await?.create_physical_plan().await.asked("plan features")?;
    if buffers(&*plan) {
        let own = config.features.iter().filter(|f| matches!(f, Feature::Sql { .. })).flat_map(Feature::names);
        let remedy =
            "a window looks at a whole series: end its frame at a row, as in ROWS BETWEEN 19 PRECEDING AND CURRENT ROW";
        return Err(Error::invalid("features", own.collect::<Vec<_>>().join(", "), remedy));
    }
    let batches = collect(plan, context.task_ctx()).await.asked("compute features")?;
    let width = config.features.iter().map(|f| f.columns().len()).sum();
    let mut out = Computed { features: vec![Vec::new(); width], ..Computed::default() };
    for batch in &batches {
        out.extend(batch)?;
    }
    Ok(out)
}

/// Whether a window function keeps its whole input, outside of any memory limit, instead of streaming.
fn buffers(plan: &dyn ExecutionPlan) -> bool {
    plan.name() == "WindowAggExec" || plan.children().into_iter().any(|child| buffers(&**child))
}

impl Computed {
    fn extend(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| Error::invalid("feature query", name, "the column must come back"))
        };
        let symbols = column("symbol")?;
        self.symbols.extend((0..batch.num_rows()).map(|at| text(symbols, at)));
        let times = column("ts")?.as_primitive::<TimestampMicrosecondType>();
        self.times.extend(times.values());
        let age = cast(column("age")?, &DataType::Int64).asked("read the age of rows")?;
        self.age.extend(age.as_primitive::<Int64Type>().values());
        self.labels.extend(numbers(column("label")?));
        let ends = column("label_end")?.as_primitive::<TimestampMicrosecondType>();
        self.label_ends.extend((0..ends.len()).map(|at| ends.is_valid(at).then(|| ends.value(at))));
        for (i, feature) in self.features.iter_mut().enumerate() {
            feature.extend(numbers(column(&format!("f{i}"))?));
        }
        Ok(())
    }
}

fn numbers(column: &dyn Array) -> impl Iterator<Item = f64> {
    let column = column.as_primitive::<Float64Type>().clone();
    (0..column.len()).map(move |at| if column.is_valid(at) { column.value(at) } else { f64::NAN })
}
