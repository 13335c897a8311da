use std::path::PathBuf;

use tapeloom_core::{Philox, Timestamp};
use tapeloom_data::{CsvSource, Feature, Label, Pipeline, PipelineConfig, ValidationConfig};

/// A folder with one CSV file that lives as long as the value.
pub(crate) struct File {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn file(text: impl AsRef<[u8]>) -> File {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("prices.csv");
    std::fs::write(&path, text).expect("written");
    File { _folder: folder, path }
}

pub(crate) fn day(i: usize) -> String {
    Timestamp::from_micros(i as i64 * 86_400_000_000).date()
}

/// A random walk of `rows` days for each symbol, as a panel.
pub(crate) fn panel(symbols: usize, rows: usize, seed: u64) -> String {
    let mut text = String::from("Date");
    (0..symbols).for_each(|s| text += &format!(",S{s}"));
    let mut prices = vec![100.0_f64; symbols];
    for row in 0..rows {
        text += &format!("\n{}", day(row));
        for (s, price) in prices.iter_mut().enumerate() {
            let mut u = [0.0; 4];
            Philox::new(seed).uniform(s as u64, 4 * row as u64, &mut u);
            *price *= (0.04 * f64::from(u[0] + u[1] - 1.0)).exp();
            text += &format!(",{price}");
        }
    }
    text + "\n"
}

pub(crate) fn config() -> PipelineConfig {
    PipelineConfig { window_steps: 5, ..PipelineConfig::daily() }
}

pub(crate) fn plain(features: Vec<Feature>) -> PipelineConfig {
    PipelineConfig {
        validation: ValidationConfig::default(),
        features,
        label: Label::ForwardReturn { horizon: 1, delay: 1 },
        window_steps: 2,
        memory_limit_mb: None,
    }
}

pub(crate) fn pipeline(config: PipelineConfig, source: CsvSource) -> Pipeline {
    Pipeline::new(config).expect("a valid config").csv(source)
}
