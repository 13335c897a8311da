use std::path::{Path, PathBuf};
use std::sync::Arc;

use tapeloom_core::Segment;
use tapeloom_data::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use tapeloom_data::{CsvSource, Feature, FeatureFrame, Label, Pipeline, PipelineConfig, ValidationConfig};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(crate) const DAY: i64 = 86_400_000_000;

/// A file of this text in a folder that lives as long as the value.
pub(crate) struct Sheet {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Sheet {
    pub(crate) fn new(name: &str, text: impl AsRef<[u8]>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(Self { _folder: folder, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bars(&self) -> CsvSource {
        CsvSource::bars(&self.path, "X")
    }
}

/// A price for each day that goes up and down without repeating itself.
pub(crate) fn wave(days: usize, phase: f64) -> Vec<f64> {
    (0..days).map(|i| 100.0 + 10.0 * (i as f64 * 0.7 + phase).sin() + 3.0 * (i as f64 * 1.9).cos()).collect()
}

/// Bars in memory: symbol, close and volume, one for each day from 1970-01-01 plus `first_day`.
pub(crate) fn batch(symbol: &str, first_day: i64, closes: &[f64], volumes: Option<&[f64]>) -> Outcome<RecordBatch> {
    let times: Vec<i64> = (first_day..).take(closes.len()).map(|day| day * DAY).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("symbol", Arc::new(StringArray::from(vec![symbol; closes.len()]))),
        ("ts", Arc::new(TimestampMicrosecondArray::from(times))),
        ("close", Arc::new(Float64Array::from(closes.to_vec()))),
    ];
    if let Some(volumes) = volumes {
        columns.push(("volume", Arc::new(Float64Array::from(volumes.to_vec()))));
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}

pub(crate) fn config(features: Vec<Feature>, window_steps: usize) -> PipelineConfig {
    PipelineConfig {
        validation: ValidationConfig::default(),
        features,
        label: Label::ForwardReturn { horizon: 1, delay: 1 },
        window_steps,
        memory_limit_mb: None,
    }
}

/// Symbols `A` and `B`, the second listed later, with a return and an RSI.
pub(crate) fn two_symbols(days: usize) -> Outcome<Pipeline> {
    let features = vec![Feature::LogReturn { bars: 1 }, Feature::Rsi { bars: 5 }];
    let late = days / 4;
    Ok(Pipeline::new(config(features, 4))?.batch(batch("A", 0, &wave(days, 0.0), None)?).batch(batch(
        "B",
        late as i64,
        &wave(days - late, 1.0),
        None,
    )?))
}

/// All numbers of a frame to the bit, for NaN is not equal to itself.
pub(crate) fn bits(frame: &FeatureFrame) -> Vec<(Vec<u32>, Vec<i64>)> {
    let numbers = |s: &Segment| s.features.iter().chain(&s.targets).map(|x| x.to_bits()).collect();
    let times = |s: &Segment| s.times.iter().chain(&s.target_ends).map(|t| t.micros()).collect();
    frame.segments().iter().map(|s| (numbers(s), times(s))).collect()
}

/// The values of one feature of one symbol, in double precision as far as f32 holds them.
pub(crate) fn column(frame: &FeatureFrame, symbol: usize, feature: &str) -> Vec<f64> {
    let width = frame.spec().features.len();
    let at = frame.spec().features.iter().position(|f| f == feature).expect("the feature is there");
    frame.segments()[symbol].features.chunks(width).map(|row| f64::from(row[at])).collect()
}

/// The frame of one feature over closes and volumes.
pub(crate) fn feature_of(feature: Feature, closes: &[f64], volumes: Option<&[f64]>) -> Outcome<FeatureFrame> {
    Ok(Pipeline::new(config(vec![feature], 1))?.batch(batch("X", 0, closes, volumes)?).run_blocking()?)
}

pub(crate) fn close_to(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{got:?} against {want:?}");
    for (at, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "row {at}: {g} is not {w}");
    }
}
