//! The vendored prices, and how they become samples.

use tapeloom::core::{Timestamp, WindowSource};
use tapeloom::data::{CsvSource, FeatureFrame, Fold, Pipeline, PipelineConfig, Split};

use crate::AnyError;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// Two indices from 1999 on and 23 ETFs from 2008 on, daily. A file that has changed is refused.
pub(crate) fn load() -> Result<(Pipeline, FeatureFrame), AnyError> {
    let index = |file: &str, symbol: &str, sha256: &str| {
        CsvSource::bars(format!("{FOLDER}/{file}"), symbol).date_format("%m/%d/%Y").sha256(sha256)
    };
    let pipeline = Pipeline::new(PipelineConfig::daily())?
        .csv(index("sp500.csv.gz", "SPX", "1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de"))
        .csv(index("nasdaq.csv.gz", "IXIC", "b2009535343ebb14e0aa11ed086788d2997a416ffe4f9450eed9a561ae30ac59"))
        .csv(
            CsvSource::panel(format!("{FOLDER}/etf_panel.csv.gz"))
                .sha256("a25fa80e08f01f3100b149e040317bda703987b7d0443bee9497541f1d8b61a0"),
        );
    let frame = pipeline.run_blocking()?;
    Ok((pipeline, frame))
}

#[expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]
pub(crate) fn describe(frame: &FeatureFrame) {
    let times = frame.times();
    let span = times.first().zip(times.last()).map(|(from, to)| format!("{} to {}", from.date(), to.date()));
    println!("   validation: {}", frame.report());
    println!(
        "   {} symbols, {} rows of {} features, {}",
        frame.symbols().len(),
        frame.rows(),
        frame.spec().features.len(),
        span.unwrap_or_default()
    );
}

/// Two years of test in two steps; each model is trained on the 600 days before its validation year. The ETFs end in July 2016.
pub(crate) fn folds(frame: &FeatureFrame) -> Result<Vec<Fold>, AnyError> {
    let folds = Split::walk_forward(2, 252, 252)?
        .rolling(600)
        .embargo(5)
        .until(Timestamp::parse("2016-07-02")?)
        .folds(frame)?;
    Ok(folds)
}

/// First and last day of a block's forecasts.
pub(crate) fn span(block: &dyn WindowSource) -> String {
    let times = (0..block.len()).filter_map(|id| block.stamp(id).ok()).map(|stamp| stamp.time);
    let (from, to) = (times.clone().min(), times.max());
    from.zip(to).map(|(from, to)| format!("{} to {}", from.date(), to.date())).unwrap_or_default()
}
