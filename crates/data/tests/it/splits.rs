use proptest::prelude::*;
use tapeloom_core::{MatrixWindows, Timestamp, WindowSource, contract};
use tapeloom_data::{CsvSource, Error, FeatureFrame, Result, Split, check_no_overlap, scan_correlations};

use crate::support::{config, file, panel, pipeline};

fn frame(symbols: usize, rows: usize, seed: u64) -> Result<FeatureFrame> {
    let file = file(panel(symbols, rows, seed));
    pipeline(config(), CsvSource::panel(&file.path)).run_blocking()
}

fn date(day: i64) -> Timestamp {
    Timestamp::from_micros(day * 86_400_000_000)
}

fn spans(windows: &MatrixWindows) -> Vec<(Timestamp, Timestamp)> {
    (0..windows.len()).map(|id| windows.stamp(id).map(|s| (s.time, s.target_end)).expect("in range")).collect()
}

#[test]
fn dates_cut_time_into_blocks_with_purge_and_embargo() -> Result<()> {
    let frame = frame(3, 160, 1)?;
    let fold = Split::by_date(date(100), date(130), date(150))?.embargo(3).folds(&frame)?.remove(0);
    let (train, valid, test) = (spans(&fold.train), spans(&fold.valid), spans(&fold.test));
    // The last forecast whose target (two days on) ends before day 100 is that of day 97.
    assert_eq!(train.iter().map(|s| s.0).max(), Some(date(97)));
    assert_eq!((valid.iter().map(|s| s.0).min(), valid.iter().map(|s| s.0).max()), (Some(date(103)), Some(date(127))));
    assert_eq!((test.iter().map(|s| s.0).min(), test.iter().map(|s| s.0).max()), (Some(date(133)), Some(date(149))));
    contract::window_source(&fold.valid)?;
    let scaler = fold.train.spec().scaler.as_ref().expect("scaled");
    assert!(scaler.fitted_to < date(100));
    assert_eq!(fold.train.spec(), fold.test.spec());
    Ok(())
}

#[test]
fn scaled_training_features_have_mean_0_and_deviation_1() -> Result<()> {
    let frame = frame(2, 160, 3)?;
    let fold = Split::by_date(date(120), date(140), date(158))?.folds(&frame)?.remove(0);
    let rows = fold.train.segments().iter().flat_map(|s| {
        let rows = s.times.partition_point(|t| *t < date(120));
        s.features[..rows * frame.spec().features.len()].chunks(frame.spec().features.len())
    });
    let first: Vec<f64> = rows.map(|row| f64::from(row[0])).collect();
    let mean = first.iter().sum::<f64>() / first.len() as f64;
    let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / first.len() as f64;
    assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{mean} {variance}");
    Ok(())
}

#[test]
fn test_rows_have_no_say_in_the_scaler() -> Result<()> {
    let text = panel(2, 160, 3);
    let changed: String = text
        .lines()
        .enumerate()
        // The header is line 0, so line 131 is day 130.
        .map(|(i, line)| if i > 131 { line.replace(',', ",9") + "\n" } else { line.to_owned() + "\n" })
        .collect();
    let scaler = |text: &str| -> Result<_> {
        let file = file(text);
        let frame = pipeline(config(), CsvSource::panel(&file.path)).run_blocking()?;
        let fold = Split::by_date(date(100), date(125), date(150))?.folds(&frame)?.remove(0);
        Ok(fold.train.spec().scaler.clone())
    };
    assert_ne!(text, changed);
    assert_eq!(scaler(&text)?, scaler(&changed)?);
    Ok(())
}

#[test]
fn overlapping_blocks_are_an_error() -> Result<()> {
    let frame = frame(2, 160, 1)?;
    let fold = Split::by_date(date(100), date(130), date(150))?.folds(&frame)?.remove(0);
    assert!(check_no_overlap(&fold.train, &fold.valid, &fold.test).is_ok());
    let error = check_no_overlap(&fold.valid, &fold.train, &fold.test).expect_err("out of order");
    assert!(matches!(error, Error::Overlap { earlier: "train", later: "valid", .. }), "{error}");
    Ok(())
}

#[test]
fn an_empty_block_is_named() -> Result<()> {
    let frame = frame(2, 120, 1)?;
    let error = Split::by_date(date(100), date(101), date(110))?.folds(&frame).expect_err("one day is too short");
    assert!(error.to_string().starts_with("fold 0 valid = 0 samples"), "{error}");
    assert!(Split::by_date(date(5), date(4), date(9)).is_err());
    assert!(Split::walk_forward(9, 30, 30)?.folds(&frame).is_err_and(|e| e.to_string().starts_with("folds = 9")));
    Ok(())
}

#[test]
fn shuffled_targets_correlate_with_nothing() -> Result<()> {
    let frame = frame(4, 300, 7)?.shuffle_targets(1);
    let fold = Split::by_date(date(200), date(250), date(298))?.folds(&frame)?.remove(0);
    let scan = scan_correlations(&fold.train, 0.2)?;
    // 12 features at once: three standard errors, not two.
    let band = 3.0 / (fold.train.len() as f64).sqrt();
    assert!(scan.iter().all(|c| !c.is_suspicious && !(c.correlation.abs() > band)), "{scan:?} beyond {band}");
    Ok(())
}

#[test]
fn a_feature_that_is_the_target_is_suspicious() -> Result<()> {
    let file = file(panel(4, 200, 7));
    let mut config = config();
    let expression = "coalesce(ln(lead(close, 2) OVER w / lead(close, 1) OVER w), 0)"
        .replace("OVER w", "OVER (PARTITION BY symbol ORDER BY ts)");
    config.features.push(tapeloom_data::Feature::Sql { name: "answer".into(), expression, look_back: 0 });
    let frame = pipeline(config, CsvSource::panel(&file.path)).run_blocking()?;
    let fold = Split::by_date(date(140), date(170), date(198))?.folds(&frame)?.remove(0);
    let scan = scan_correlations(&fold.train, 0.2)?;
    let caught: Vec<&str> = scan.iter().filter(|c| c.is_suspicious).map(|c| c.feature.as_str()).collect();
    assert!(caught.contains(&"answer"), "{scan:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_span_of_an_earlier_block_meets_a_later_one(folds in 1_usize..4, valid in 8_usize..20, test in 8_usize..20, embargo in 0_usize..4) {
        use std::sync::OnceLock;
        static FRAME: OnceLock<FeatureFrame> = OnceLock::new();
        let frame = FRAME.get_or_init(|| frame(3, 200, 4).expect("a frame"));
        let folds = Split::walk_forward(folds, valid, test).expect("counts").embargo(embargo).folds(frame).expect("enough data");
        for fold in &folds {
            let (train, valid, test) = (spans(&fold.train), spans(&fold.valid), spans(&fold.test));
            let first = |s: &[(Timestamp, Timestamp)]| s.iter().map(|s| s.0).min().expect("samples");
            let last = |s: &[(Timestamp, Timestamp)]| s.iter().map(|s| s.1).max().expect("samples");
            prop_assert!(last(&train) < first(&valid) && last(&valid) < first(&test));
        }
        for pair in folds.windows(2) {
            let (a, b) = (spans(&pair[0].test), spans(&pair[1].test));
            prop_assert!(a.iter().map(|s| s.0).max() < b.iter().map(|s| s.0).min());
        }
    }
}
