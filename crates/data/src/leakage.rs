use std::collections::HashMap;
use std::fmt;

use datafusion::prelude::SessionContext;
use serde::Serialize;
use tapeloom_core::{Timestamp, WindowSource};

use crate::engine::{self, Computed};
use crate::error::Asked;
use crate::pipeline::{PipelineConfig, named};
use crate::{Error, Result};

/// Values that differ by more than this, relative to their size, are different.
const TOLERANCE: f64 = 1e-9;

/// Features that changed when the future was taken away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CausalReport {
    /// Moments at which history was cut.
    pub cuts: Vec<Timestamp>,
    /// Rows compared, over all cuts.
    pub rows: u64,
    /// What was found, one for each feature that looks ahead.
    pub leaks: Vec<Leak>,
}

/// A feature that has seen the future.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leak {
    /// Its column.
    pub feature: String,
    /// The first row that changed.
    pub symbol: String,
    /// Its time.
    pub time: Timestamp,
    /// Rows that changed, over all cuts.
    pub rows: u64,
}

impl CausalReport {
    /// Whether no feature has seen the future.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.leaks.is_empty()
    }
}

impl fmt::Display for CausalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows compared at {} cuts: ", self.rows, self.cuts.len())?;
        if self.is_clean() {
            return f.write_str("no feature looks ahead");
        }
        let names: Vec<String> =
            self.leaks.iter().map(|l| format!("{} (first at {} {})", l.feature, l.symbol, l.time)).collect();
        write!(f, "{} looked ahead", names.join(", "))
    }
}

pub(crate) async fn check_causal(
    context: &SessionContext,
    config: &PipelineConfig,
    cuts: usize,
) -> Result<CausalReport> {
    if cuts == 0 {
        return Err(Error::invalid("cuts", cuts, "give at least 1"));
    }
    let full = engine::compute(context, config, "bars").await?;
    let mut times = full.times.clone();
    times.sort_unstable();
    times.dedup();
    let at = |i: usize| times[(i + 1) * (times.len() - 1) / (cuts + 1)];
    let mut moments: Vec<i64> = if times.is_empty() { vec![] } else { (0..cuts).map(at).collect() };
    moments.dedup();
    let mut report = CausalReport { cuts: vec![], rows: 0, leaks: vec![] };
    for moment in moments {
        let query = format!("SELECT * FROM bars WHERE CAST(ts AS BIGINT) <= {moment}");
        let cut = context.sql(&query).await.asked("cut history")?.cache().await.asked("cut history")?;
        context.deregister_table("bars_cut").asked("cut history")?;
        context.register_table("bars_cut", cut.into_view()).asked("cut history")?;
        let short = engine::compute(context, config, "bars_cut").await?;
        compare(config, &full, &short, &mut report)?;
        report.cuts.push(Timestamp::from_micros(moment));
    }
    Ok(report)
}

/// Notes where the short history's values differ from those of the full one.
fn compare(config: &PipelineConfig, full: &Computed, short: &Computed, report: &mut CausalReport) -> Result<()> {
    let place: HashMap<(&str, i64), usize> =
        full.symbols.iter().zip(&full.times).enumerate().map(|(row, (s, t))| ((s.as_str(), *t), row)).collect();
    let pairs: Vec<(usize, usize)> = short
        .symbols
        .iter()
        .zip(&short.times)
        .enumerate()
        .filter_map(|(row, (s, t))| place.get(&(s.as_str(), *t)).map(|whole| (*whole, row)))
        .collect();
    report.rows += pairs.len() as u64;
    for ((name, whole), (_, cut)) in named(config, full).into_iter().zip(named(config, short)) {
        let differs = |(a, b): &&(usize, usize)| {
            let (a, b) = (whole[*a], cut[*b]);
            a.is_nan() != b.is_nan() || (a - b).abs() > TOLERANCE * a.abs().max(1.0)
        };
        let changed: Vec<&(usize, usize)> = pairs.iter().filter(differs).collect();
        let Some((_, row)) = changed.first() else { continue };
        let rows = changed.len() as u64;
        match report.leaks.iter_mut().find(|leak| leak.feature == name) {
            Some(leak) => leak.rows += rows,
            None => report.leaks.push(Leak {
                feature: name,
                symbol: short.symbols[*row].clone(),
                time: Timestamp::from_micros(short.times[*row]),
                rows,
            }),
        }
    }
    Ok(())
}

/// One feature's correlation with the target, over the last rows of all samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureCorrelation {
    /// Its column.
    pub feature: String,
    /// Pearson's correlation; NaN where the feature does not vary.
    pub correlation: f64,
    /// `2 / sqrt(samples)`: where nothing is to be found, 19 of 20 correlations are smaller.
    pub band: f64,
    /// Too good to be a forecast.
    pub is_suspicious: bool,
}

/// Correlates each feature with the first target and marks those beyond `threshold` in size: what explains returns that well
/// has most likely seen them. 0.2 is generous for daily bars.
///
/// # Errors
/// [`Error::Invalid`] for a threshold outside (0, 1]; whatever the source refuses.
pub fn scan_correlations(source: &dyn WindowSource, threshold: f64) -> Result<Vec<FeatureCorrelation>> {
    if !(threshold > 0.0 && threshold <= 1.0) {
        return Err(Error::invalid("threshold", threshold, "give a correlation in (0, 1]"));
    }
    let (width, features) = (source.spec().window_len(), source.spec().features.len());
    let targets = source.spec().targets.len();
    let (mut columns, mut outcomes) = (vec![Vec::new(); features], Vec::new());
    let (mut window, mut target) = (vec![0.0; width], vec![0.0; targets]);
    for id in 0..source.len() {
        source.gather(&[id], &mut window, &mut target)?;
        columns.iter_mut().zip(&window[width - features..]).for_each(|(column, x)| column.push(f64::from(*x)));
        outcomes.push(f64::from(target[0]));
    }
    let names = source.spec().features.iter().cloned();
    let band = 2.0 / (source.len() as f64).sqrt();
    Ok(names
        .zip(columns)
        .map(|(feature, column)| {
            let correlation = pearson(&column, &outcomes);
            FeatureCorrelation { feature, correlation, band, is_suspicious: correlation.abs() > threshold }
        })
        .collect())
}

fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let product = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(a, b)| f(a - mx, b - my)).sum::<f64>();
    product(&|a, b| a * b) / (product(&|a, _| a * a) * product(&|_, b| b * b)).sqrt()
}
