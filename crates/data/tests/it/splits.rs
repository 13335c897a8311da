use proptest::prelude::*;
use tapeloom_core::{MatrixWindows, Stamp, Timestamp, WindowSource};
use tapeloom_data::{Error, Feature, FeatureFrame, Fold, Label, Pipeline, Split, check_no_overlap};

use crate::support::{DAY, Outcome, batch, config, two_symbols, wave};

fn day(number: i64) -> Timestamp {
    Timestamp::from_micros(number * DAY)
}

fn stamps(source: &MatrixWindows) -> Vec<Stamp> {
    (0..source.len()).map(|id| source.stamp(id).expect("in range")).collect()
}

/// Samples of all three blocks, as symbol and day.
fn days(source: &MatrixWindows) -> Vec<i64> {
    stamps(source).iter().map(|s| s.time.micros() / DAY).collect()
}

fn frame(horizon: usize, delay: usize, steps: usize, lengths: &[usize]) -> Outcome<FeatureFrame> {
    let mut config = config(vec![Feature::LogReturn { bars: 1 }], steps);
    config.label = Label::ForwardReturn { horizon, delay };
    let mut pipeline = Pipeline::new(config)?;
    for (i, length) in lengths.iter().enumerate() {
        let first = (lengths[0] - length) as i64;
        pipeline = pipeline.batch(batch(&format!("S{i}"), first, &wave(*length, i as f64), None)?);
    }
    Ok(pipeline.run_blocking()?)
}

#[test]
fn dates_cut_half_open_blocks_and_the_purge_clears_their_ends() -> Outcome {
    let frame = frame(1, 1, 1, &[41])?;
    let fold = Split::by_date(day(20), day(30), day(40))?.fold(&frame)?;
    // A target reaches two days on; day 18 would look at day 20, which is the first of validation.
    assert_eq!(days(&fold.train), (1..=17).collect::<Vec<_>>());
    assert_eq!(days(&fold.valid), (20..=27).collect::<Vec<_>>());
    assert_eq!(days(&fold.test), (30..=38).collect::<Vec<_>>());
    let fold = Split::by_date(day(20), day(30), day(40))?.rolling(9).embargo(3).fold(&frame)?;
    assert_eq!(days(&fold.train), (11..=17).collect::<Vec<_>>());
    assert_eq!(days(&fold.valid), (23..=27).collect::<Vec<_>>());
    assert_eq!(days(&fold.test), (33..=38).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn walking_forward_tests_each_moment_once_and_trains_on_more_each_time() -> Outcome {
    let frame = frame(1, 0, 1, &[61])?;
    let folds = Split::walk_forward(3, 5, 10)?.folds(&frame)?;
    let tested: Vec<i64> = folds.iter().flat_map(|f| days(&f.test)).collect();
    // The last day has no target.
    assert_eq!(tested, (31..=59).collect::<Vec<_>>());
    assert!(folds.windows(2).all(|pair| pair[1].train.len() == pair[0].train.len() + 10));
    assert_eq!(days(&folds[0].train)[0], 1);
    let rolling = Split::walk_forward(3, 5, 10)?.rolling(12).folds(&frame)?;
    assert!(rolling.iter().all(|f| f.train.len() == 11), "12 moments less one purged");
    Ok(())
}

#[test]
fn nothing_looks_at_data_that_was_left_out() -> Outcome {
    let frame = frame(1, 1, 1, &[81])?;
    let days_of = |split: Split| -> Outcome<_> { Ok(days(&split.until(day(60)).fold(&frame)?.test)) };
    // The target of day 58 would look at day 60.
    assert_eq!(days_of(Split::walk_forward(1, 10, 10)?)?, (50..=57).collect::<Vec<_>>());
    assert_eq!(days_of(Split::by_date(day(30), day(50), day(70))?)?, (50..=57).collect::<Vec<_>>());
    assert!(Split::by_date(day(30), day(50), day(70))?.until(day(40)).fold(&frame).is_err());
    Ok(())
}

#[test]
fn a_fold_shares_one_scaled_copy_and_records_its_scaler() -> Outcome {
    let frame = two_symbols(120)?.run_blocking()?;
    let fold = Split::walk_forward(1, 20, 20)?.fold(&frame)?;
    assert!(std::ptr::eq(fold.train.segments(), fold.test.segments()));
    let scaler = fold.train.spec().scaler.clone().expect("a scaler");
    assert_eq!(Some(&scaler), fold.test.spec().scaler.as_ref());
    // By hand, over the rows of both symbols before validation.
    let border = stamps(&fold.valid).iter().map(|s| s.time).min().expect("samples");
    let rows: Vec<&[f32]> = frame
        .segments()
        .iter()
        .flat_map(|s| s.times.iter().zip(s.features.chunks(2)).filter(|(t, _)| **t < border).map(|(_, row)| row))
        .collect();
    assert_eq!(scaler.rows, rows.len() as u64);
    assert!(scaler.fitted_to < border);
    for feature in 0..2 {
        let mean = rows.iter().map(|r| f64::from(r[feature])).sum::<f64>() / rows.len() as f64;
        let variance = rows.iter().map(|r| (f64::from(r[feature]) - mean).powi(2)).sum::<f64>() / rows.len() as f64;
        assert!((f64::from(scaler.mean[feature]) - mean).abs() < 1e-5);
        assert!((f64::from(scaler.std[feature]) / variance.sqrt() - 1.0).abs() < 1e-6);
    }
    Ok(())
}

#[test]
fn overlapping_blocks_are_an_error() -> Outcome {
    let frame = frame(5, 1, 1, &[60])?;
    let fold = Split::by_date(day(30), day(40), day(60))?.fold(&frame)?;
    check_no_overlap(&fold.train, &fold.valid, &fold.test)?;
    let swapped = check_no_overlap(&fold.valid, &fold.train, &fold.test).expect_err("valid comes after train");
    assert!(matches!(swapped, Error::Overlap { .. }), "{swapped}");
    // Training windows that were not purged: every row before the border.
    let all: Vec<(u32, u32)> = (0..29).map(|row| (0, row)).collect();
    let spec = fold.train.spec().clone();
    let greedy = MatrixWindows::new(spec, frame.symbols().to_vec(), fold.train.segments().to_vec().into(), all)?;
    let error = check_no_overlap(&greedy, &fold.valid, &fold.test).expect_err("not purged").to_string();
    assert!(error.contains("train looks up to 1970-02-05") && error.contains("1970-01-31"), "{error}");
    Ok(())
}

#[test]
fn a_scaler_that_saw_validation_is_an_error() -> Outcome {
    let frame = frame(1, 1, 1, &[60])?;
    let fold = Split::by_date(day(30), day(40), day(60))?.fold(&frame)?;
    let mut spec = fold.train.spec().clone();
    spec.scaler.as_mut().expect("a scaler").fitted_to = day(30);
    let index = (0..20).map(|row| (0, row)).collect();
    let greedy = MatrixWindows::new(spec, frame.symbols().to_vec(), fold.train.segments().to_vec().into(), index)?;
    let error = check_no_overlap(&greedy, &fold.valid, &fold.test).expect_err("fitted too far").to_string();
    assert!(error.contains("scaler"), "{error}");
    Ok(())
}

#[test]
fn splits_that_can_not_work_are_refused() -> Outcome {
    assert!(Split::by_date(day(3), day(3), day(4)).is_err());
    assert!(Split::walk_forward(0, 1, 1).is_err());
    let frame = frame(1, 1, 1, &[60])?;
    let complaint = |split: Split| split.folds(&frame).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(complaint(Split::walk_forward(usize::MAX, 5, 5)?).contains("folds"));
    assert!(complaint(Split::walk_forward(3, 20, 20)?).contains("the data has 59"));
    assert!(complaint(Split::by_date(day(30), day(31), day(60))?).contains("fold 0 valid"));
    assert!(complaint(Split::by_date(day(0), day(30), day(60))?).contains("train"));
    assert!(complaint(Split::by_date(day(20), day(30), day(60))?.rolling(0)).contains("rolling"));
    assert!(Split::walk_forward(2, 5, 5)?.fold(&frame).is_err_and(|e| e.to_string().contains("folds")));
    Ok(())
}

#[test]
fn a_split_read_from_a_file_is_checked_too() -> Outcome {
    let frame = frame(1, 1, 1, &[60])?;
    let json = serde_json::to_string(&Split::walk_forward(2, 5, 5)?)?;
    assert_eq!(serde_json::from_str::<Split>(&json)?.folds(&frame)?.len(), 2);
    let broken: Split = serde_json::from_str(&json.replace("\"folds\":2", "\"folds\":0"))?;
    assert!(broken.folds(&frame).is_err_and(|e| e.to_string().contains("folds")));
    Ok(())
}

fn promises(fold: &Fold, frame: &FeatureFrame, steps: usize) -> Result<(), TestCaseError> {
    let (train, valid, test) = (stamps(&fold.train), stamps(&fold.valid), stamps(&fold.test));
    for (early, late) in [(&train, &valid), (&train, &test), (&valid, &test)] {
        let first = late.iter().map(|s| s.time).min().expect("no block is empty");
        prop_assert!(early.iter().all(|s| s.target_end < first));
    }
    for (source, stamps) in [(&fold.train, &train), (&fold.valid, &valid), (&fold.test, &test)] {
        for (id, stamp) in stamps.iter().enumerate() {
            let segment = &source.segments()[stamp.symbol as usize];
            let row = segment.times.binary_search(&stamp.time).expect("the row is in the symbol's own segment");
            prop_assert!(row + 1 >= steps);
            let (mut x, mut y) = (vec![0.0; steps], [0.0]);
            source.gather(&[id], &mut x, &mut y).expect("in range");
            prop_assert_eq!(&x[..], &segment.features[row + 1 - steps..=row]);
            let raw = &frame.segments()[stamp.symbol as usize];
            prop_assert_eq!(y[0].to_bits(), raw.targets[row].to_bits(), "targets are not scaled");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_target_reaches_into_a_later_block_and_no_window_leaves_its_symbol(
        horizon in 1_usize..6, delay in 0_usize..3, steps in 1_usize..6, embargo in 0_usize..4,
        folds in 1_usize..4, valid in 12_usize..20, test in 12_usize..20, rolling in proptest::option::of(20_usize..40),
        late in 60_usize..140,
    ) {
        let frame = frame(horizon, delay, steps, &[140, late, 100]).expect("a frame");
        let mut split = Split::walk_forward(folds, valid, test).expect("a split").embargo(embargo);
        if let Some(bars) = rolling {
            split = split.rolling(bars);
        }
        for fold in split.folds(&frame).expect("folds") {
            promises(&fold, &frame, steps)?;
        }
    }

    #[test]
    fn the_scaler_does_not_feel_what_comes_after_training(factor in 0.5_f64..2.0, at in 60_usize..100) {
        let mut closes = wave(100, 0.0);
        let before = Pipeline::new(config(vec![Feature::LogReturn { bars: 1 }], 2)).expect("a pipeline");
        let split = Split::by_date(day(60), day(80), day(100)).expect("a split");
        let scaler = |closes: &[f64]| {
            let frame = before.clone().batch(batch("X", 0, closes, None).expect("bars")).run_blocking().expect("a frame");
            split.fold(&frame).expect("a fold").train.spec().scaler.clone()
        };
        let one = scaler(&closes);
        closes[at] *= factor;
        prop_assert_eq!(one, scaler(&closes));
    }
}
