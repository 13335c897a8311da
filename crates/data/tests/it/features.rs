use tapeloom_data::{Feature, Pipeline};

use crate::support::{Outcome, batch, close_to, column, config, feature_of, wave};

/// Mean and population deviation, by the definition.
fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt())
}

fn returns(closes: &[f64]) -> Vec<f64> {
    closes.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect()
}

#[test]
fn a_log_return_spans_its_bars_and_warm_up_is_dropped() -> Outcome {
    let closes = wave(40, 0.0);
    let frame = feature_of(Feature::LogReturn { bars: 5 }, &closes, None)?;
    let want: Vec<f64> = (5..40).map(|i| (closes[i] / closes[i - 5]).ln()).collect();
    close_to(&column(&frame, 0, "log_return_5"), &want, 1e-6);
    Ok(())
}

#[test]
fn volatility_is_the_deviation_of_the_last_returns() -> Outcome {
    let closes = wave(40, 0.0);
    let frame = feature_of(Feature::Volatility { bars: 6 }, &closes, None)?;
    let want: Vec<f64> = returns(&closes).windows(6).map(|w| moments(w).1).collect();
    close_to(&column(&frame, 0, "volatility_6"), &want, 1e-6);
    Ok(())
}

#[test]
fn zscores_follow_their_definition() -> Outcome {
    let (closes, volumes) = (wave(40, 0.0), wave(40, 2.0));
    let naive = |x: &[f64]| -> Vec<f64> { x.windows(5).map(|w| (w[4] - moments(w).0) / moments(w).1).collect() };
    let frame = feature_of(Feature::Zscore { bars: 5 }, &closes, Some(&volumes))?;
    close_to(&column(&frame, 0, "zscore_5"), &naive(&closes), 1e-6);
    let frame = feature_of(Feature::VolumeZscore { bars: 5 }, &closes, Some(&volumes))?;
    close_to(&column(&frame, 0, "volume_zscore_5"), &naive(&volumes), 1e-6);
    Ok(())
}

#[test]
fn a_series_without_volume_has_volume_zscores_of_zero() -> Outcome {
    let frame = feature_of(Feature::VolumeZscore { bars: 5 }, &wave(20, 0.0), None)?;
    assert!(column(&frame, 0, "volume_zscore_5").iter().all(|z| *z == 0.0));
    Ok(())
}

#[test]
fn a_price_that_stands_still_after_a_storm_has_a_zscore_of_exactly_zero() -> Outcome {
    // A running sum that adds and takes away keeps rounding errors of the storm, and would divide one by another.
    let mut closes: Vec<f64> = (0..50).map(|i| 1e6 * (1.0 + 0.1 * (i as f64 * 0.7).sin())).collect();
    closes.extend([0.1; 30]);
    let frame = feature_of(Feature::Zscore { bars: 5 }, &closes, None)?;
    let still = &column(&frame, 0, "zscore_5")[50..];
    assert!(still.iter().all(|z| *z == 0.0), "{still:?}");
    let frame = feature_of(Feature::Volatility { bars: 5 }, &closes, None)?;
    let still = &column(&frame, 0, "volatility_5")[51..];
    assert!(still.iter().all(|z| *z == 0.0), "{still:?}");
    Ok(())
}

#[test]
fn wilders_rsi_agrees_with_a_worked_example() -> Outcome {
    // Closes and 14-bar RSI of StockCharts' ChartSchool sheet "cs-rsi.xls", which rounds to two places.
    let closes = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328,
        45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
    ];
    let frame = feature_of(Feature::Rsi { bars: 14 }, &closes, None)?;
    close_to(&column(&frame, 0, "rsi_14"), &[70.53, 66.32, 66.55, 69.41, 66.36, 57.97], 2e-4);
    Ok(())
}

#[test]
fn macd_is_the_histogram_over_the_close() -> Outcome {
    let closes = wave(60, 0.0);
    let average = |x: &[f64], bars: f64| -> Vec<f64> {
        let mut value = x[0];
        x.iter()
            .map(|v| {
                value += 2.0 / (bars + 1.0) * (v - value);
                value
            })
            .collect()
    };
    let line: Vec<f64> = average(&closes, 12.0).iter().zip(average(&closes, 26.0)).map(|(f, s)| f - s).collect();
    let want: Vec<f64> = line.iter().zip(average(&line, 9.0)).zip(&closes).map(|((l, s), c)| (l - s) / c).collect();
    let frame = feature_of(Feature::Macd { fast: 12, slow: 26, signal: 9 }, &closes, None)?;
    let got = column(&frame, 0, "macd_12_26_9");
    close_to(&got, &want[60 - got.len()..], 1e-7);
    Ok(())
}

#[test]
fn the_calendar_walks_round_the_circle() -> Outcome {
    let frame = feature_of(Feature::Calendar, &wave(40, 0.0), None)?;
    let turn = |part: f64| (std::f64::consts::TAU * part).sin_cos();
    // 1970-01-01 was a Thursday, the fourth day after Sunday; 1970-02-01 a Sunday.
    for (row, weekday, month) in [(0, 4.0, 1.0), (3, 0.0, 1.0), (31, 0.0, 2.0)] {
        let (day, month) = (turn(weekday / 7.0), turn(month / 12.0));
        let want = [day.0, day.1, month.0, month.1];
        let got = ["weekday_sin", "weekday_cos", "month_sin", "month_cos"].map(|name| column(&frame, 0, name)[row]);
        close_to(&got, &want, 1e-6);
    }
    Ok(())
}

#[test]
fn symbols_do_not_touch_each_other() -> Outcome {
    let features =
        vec![Feature::Rsi { bars: 5 }, Feature::Macd { fast: 3, slow: 6, signal: 2 }, Feature::Zscore { bars: 4 }];
    let (a, b) = (batch("A", 0, &wave(50, 0.0), None)?, batch("B", 7, &wave(30, 1.0), None)?);
    let both = Pipeline::new(config(features.clone(), 2))?.batch(b.clone()).batch(a).run_blocking()?;
    let alone = Pipeline::new(config(features, 2))?.batch(b).run_blocking()?;
    assert_eq!(both.symbols(), ["A", "B"]);
    assert_eq!(both.segments()[1].features, alone.segments()[0].features);
    Ok(())
}

#[test]
fn a_custom_expression_is_a_feature() -> Outcome {
    let mean = "close / avg(close) OVER (PARTITION BY symbol ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) - 1";
    let closes = wave(20, 0.0);
    let feature = Feature::Sql { name: "gap".into(), expression: mean.into(), look_back: 2 };
    let want: Vec<f64> = closes.windows(3).map(|w| w[2] / moments(w).0 - 1.0).collect();
    close_to(&column(&feature_of(feature, &closes, None)?, 0, "gap"), &want, 1e-6);
    Ok(())
}

#[test]
fn a_look_back_that_is_too_short_is_named() -> Outcome {
    let expression = "lag(close, 3) OVER (PARTITION BY symbol ORDER BY ts)".into();
    let feature = Feature::Sql { name: "late".into(), expression, look_back: 2 };
    let error = feature_of(feature, &wave(20, 0.0), None).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("late") && error.contains("1970-01-03") && error.contains("look-back"), "{error}");
    Ok(())
}

#[test]
fn bad_parameters_and_twin_names_are_refused() {
    let refused = |features: Vec<Feature>, word: &str| {
        let error = Pipeline::new(config(features, 2)).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(word), "{error:?} does not say {word}");
    };
    refused(vec![Feature::LogReturn { bars: 0 }], "log_return.bars");
    refused(vec![Feature::Macd { fast: 26, slow: 12, signal: 9 }], "macd.slow");
    refused(vec![Feature::Rsi { bars: 5 }, Feature::Rsi { bars: 5 }], "rsi_5");
    refused(vec![Feature::Sql { name: "a b".into(), expression: "1".into(), look_back: 0 }], "sql.name");
    refused(vec![], "0 features");
}
