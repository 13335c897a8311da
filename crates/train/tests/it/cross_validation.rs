use std::collections::BTreeSet;

use proptest::prelude::*;
use tapeloom_core::{MatrixWindows, Segment, Timestamp, WindowSource, WindowSpec, contract};
use tapeloom_train::{CrossValidation, Forecasts, Regression, Result, baseline};

use crate::support::panel;

/// Two symbols whose targets look `horizon` moments ahead.
fn source(rows: usize, horizon: usize) -> MatrixWindows {
    let segment = |symbol: u32| {
        let at = |row: usize| Timestamp::from_micros(row as i64);
        Segment {
            symbol,
            features: (0..rows).map(|row| (row as f32 * 0.7 + symbol as f32).sin() * 3.0 + 5.0).collect(),
            targets: (0..rows).map(|row| (row as f32 * 0.7 + symbol as f32).sin()).collect(),
            times: (0..rows).map(at).collect(),
            target_ends: (0..rows).map(|row| at(row + horizon)).collect(),
        }
    };
    let spec = WindowSpec { steps: 3, features: vec!["x".into()], targets: vec!["y".into()], scaler: None };
    MatrixWindows::all(spec, vec!["A".into(), "B".into()], vec![segment(0), segment(1)].into()).expect("well formed")
}

proptest! {
    #[test]
    fn no_training_target_meets_a_test_and_each_group_is_tested_as_often(
        groups in 2_usize..7, test_groups in 1_usize..4, horizon in 0_usize..4, embargo_bars in 0_usize..4,
    ) {
        let (source, test_groups) = (source(90, horizon), test_groups.min(groups - 1));
        let cv = CrossValidation { groups, test_groups, embargo_bars };
        let folds = cv.folds(&source).expect("it fits");
        let ways = (0..test_groups).fold(1, |ways, i| ways * (groups - i) / (i + 1));
        prop_assert_eq!(folds.len(), ways);
        let mut tested = vec![0; source.len()];
        for fold in &folds {
            let train: BTreeSet<usize> = fold.train.ids().iter().copied().collect();
            for (_, test) in &fold.tests {
                test.ids().iter().for_each(|id| tested[*id] += 1);
                prop_assert!(test.ids().iter().all(|id| !train.contains(id)));
                let stamp = |id: usize| source.stamp(id).expect("in range");
                let from = test.ids().iter().map(|id| stamp(*id).time).min().expect("samples");
                let last = test.ids().iter().map(|id| stamp(*id).time).max().expect("samples");
                let to = test.ids().iter().map(|id| stamp(*id).target_end).max().expect("samples");
                for id in &train {
                    let sample = stamp(*id);
                    prop_assert!(sample.target_end < from || sample.time > to);
                    let behind = sample.time.micros() - last.micros();
                    prop_assert!(behind < 1 || behind > embargo_bars as i64);
                }
            }
        }
        prop_assert!(tested.iter().all(|count| *count == ways * test_groups / groups));
    }
}

#[test]
fn a_fold_is_a_source_and_is_scaled_by_its_training_samples() -> Result<()> {
    let source = source(60, 1);
    for fold in CrossValidation::default().folds(&source)? {
        contract::window_source(&fold.train)?;
        let spec = fold.train.spec();
        let scaler = spec.scaler.as_ref().expect("fitted");
        assert_eq!(scaler.rows, fold.train.len() as u64);
        let (mut sum, mut x, mut y) = (0.0, vec![0.0; spec.window_len()], vec![0.0]);
        for id in 0..fold.train.len() {
            fold.train.gather(&[id], &mut x, &mut y)?;
            sum += x[x.len() - 1];
        }
        assert!((sum / fold.train.len() as f32).abs() < 1e-4, "{sum}");
        assert!(fold.tests.iter().all(|(_, test)| test.spec() == spec));
    }
    Ok(())
}

#[test]
fn paths_go_through_all_of_the_time_once() -> Result<()> {
    let source = source(60, 1);
    let cv = CrossValidation { groups: 6, test_groups: 2, embargo_bars: 1 };
    let paths = cv.paths(&source, |train, test| baseline::ridge(train, test, 1e-3))?;
    // 15 ways with 2 tests each, over 6 groups.
    assert_eq!(paths.len(), 5);
    for path in &paths {
        assert_eq!(path.rows().len(), source.len());
        // The target is the feature in another unit, so a line that was fitted anywhere fits everywhere.
        assert!(Regression::of(path).r2 > 0.99, "{:?}", Regression::of(path));
    }
    Ok(())
}

#[test]
fn what_can_not_be_folded_is_refused() -> Result<()> {
    let source = source(60, 1);
    let refuse = |cv: CrossValidation| cv.folds(&source).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refuse(CrossValidation { groups: 3, test_groups: 3, embargo_bars: 0 }).contains("3 of 3"));
    assert!(refuse(CrossValidation { groups: 2, test_groups: 1, embargo_bars: 90 }).contains("nothing to train on"));
    let fold = &CrossValidation::default().folds(&source)?[0];
    let scaled = CrossValidation::default().folds(&fold.train).expect_err("scaled already").to_string();
    assert!(scaled.contains("give raw ones"), "{scaled}");
    Ok(())
}

#[test]
fn forecasts_of_zero_explain_nothing() -> Result<()> {
    let forecasts: Forecasts = baseline::zero(&panel(1, 2, 40, 0.5))?;
    let scores = Regression::of(&forecasts);
    assert!(scores.r2_of_zero.abs() < 1e-12 && scores.r2 <= 0.0 && scores.mae > 0.0, "{scores:?}");
    Ok(())
}
