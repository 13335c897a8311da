use tapeloom_data::{CsvSource, Feature, FeatureFrame, Pipeline, PipelineConfig, Result};

use crate::support::{config, file, panel, pipeline, plain};

/// Runs features over a panel of two symbols and returns the closes beside the frame.
fn run(config: PipelineConfig, rows: usize) -> Result<(Vec<f64>, FeatureFrame)> {
    let text = panel(2, rows, 5);
    let closes = text.lines().skip(1).map(|l| l.split(',').nth(1).expect("S0").parse().expect("a price")).collect();
    let file = file(text);
    Ok((closes, pipeline(config, CsvSource::panel(&file.path)).run_blocking()?))
}

/// One feature of the first symbol, from its first whole row on.
fn column(feature: Feature) -> Result<(Vec<f64>, Vec<f64>)> {
    let (closes, frame) = run(plain(vec![feature]), 80)?;
    Ok((closes, frame.segments()[0].features.iter().map(|x| f64::from(*x)).collect()))
}

fn close(got: &[f64], want: impl Iterator<Item = f64>) {
    let want: Vec<f64> = want.collect();
    assert_eq!(got.len(), want.len());
    for (row, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-5 * want.abs().max(1e-3), "row {row}: {got} is not {want}");
    }
}

fn moments(window: &[f64]) -> (f64, f64) {
    let n = window.len() as f64;
    let mean = window.iter().sum::<f64>() / n;
    (mean, (window.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
}

#[test]
fn features_follow_their_definitions() -> Result<()> {
    let (p, got) = column(Feature::LogReturn { bars: 5 })?;
    close(&got, (5..p.len()).map(|t| (p[t] / p[t - 5]).ln()));
    let (p, got) = column(Feature::Volatility { bars: 10 })?;
    let returns: Vec<f64> = p.windows(2).map(|w| (w[1] / w[0]).ln()).collect();
    close(&got, returns.windows(10).map(|w| moments(w).1));
    let (p, got) = column(Feature::Zscore { bars: 20 })?;
    close(&got, p.windows(20).map(|w| (w[19] - moments(w).0) / moments(w).1));
    let (_, got) = column(Feature::VolumeZscore { bars: 20 })?;
    assert!(got.iter().all(|x| *x == 0.0), "no volume, no z-score");
    let (p, got) = column(Feature::Rsi { bars: 14 })?;
    close(&got, wilder(&p, 14).into_iter());
    Ok(())
}

/// Wilder's RSI in plain loops.
fn wilder(p: &[f64], n: usize) -> Vec<f64> {
    let change: Vec<f64> = p.windows(2).map(|w| w[1] - w[0]).collect();
    let mean = |sign: f64| change[..n].iter().map(|c| (sign * c).max(0.0)).sum::<f64>() / n as f64;
    let (mut up, mut down) = (mean(1.0), mean(-1.0));
    let mut out = vec![100.0 * up / (up + down)];
    for c in &change[n..] {
        up = (up * (n - 1) as f64 + c.max(0.0)) / n as f64;
        down = (down * (n - 1) as f64 + (-c).max(0.0)) / n as f64;
        out.push(100.0 * up / (up + down));
    }
    out
}

#[test]
fn the_calendar_lies_on_the_circle() -> Result<()> {
    let (_, frame) = run(plain(vec![Feature::Calendar]), 30)?;
    assert_eq!(frame.spec().features, ["weekday_sin", "weekday_cos", "month_sin", "month_cos"]);
    // 1970-01-01 was a Thursday, day 4 of a week that starts on Sunday.
    let angle = 2.0 * std::f32::consts::PI * 4.0 / 7.0;
    let first = &frame.segments()[0].features[..2];
    assert!((first[0] - angle.sin()).abs() < 1e-6 && (first[1] - angle.cos()).abs() < 1e-6, "{first:?}");
    Ok(())
}

#[test]
fn labels_trade_after_the_forecast_and_say_where_they_end() -> Result<()> {
    let (p, frame) = run(plain(vec![Feature::LogReturn { bars: 1 }]), 40)?;
    let segment = &frame.segments()[0];
    let last = segment.times.len() - 1;
    for row in 0..last - 1 {
        // Row 0 of the segment is day 1: the forecast of day t is of the return from t + 1 to t + 2.
        let want = (p[row + 3] / p[row + 2]).ln();
        assert!((f64::from(segment.targets[row]) - want).abs() < 1e-6);
        assert_eq!(segment.target_ends[row], segment.times[row + 2]);
    }
    assert!(segment.targets[last - 1].is_nan() && segment.targets[last].is_nan());
    let (time, window) = frame.last_window("S0").expect("long enough");
    assert_eq!((time, window.len()), (segment.times[last], 2));
    Ok(())
}

#[test]
fn the_same_input_gives_the_same_frame() -> Result<()> {
    let ((_, a), (_, b)) = (run(config(), 90)?, run(config(), 90)?);
    assert_eq!(a.segments()[1].features, b.segments()[1].features);
    assert_eq!(a.fingerprint(), b.fingerprint());
    assert_ne!(a.fingerprint(), run(config(), 91)?.1.fingerprint());
    Ok(())
}

#[test]
fn a_memory_limit_changes_no_number() -> Result<()> {
    let limited = PipelineConfig { memory_limit_mb: Some(64), ..config() };
    let features = |frame: &FeatureFrame| frame.segments().iter().map(|s| s.features.clone()).collect::<Vec<_>>();
    assert!(features(&run(config(), 90)?.1) == features(&run(limited, 90)?.1));
    Ok(())
}

fn with_future() -> (crate::support::File, Pipeline) {
    let file = file(panel(3, 90, 2));
    let mut config = config();
    let future = "lead(close, 1) OVER (PARTITION BY symbol ORDER BY ts) / close - 1";
    // The last row has no next close.
    let expression = format!("coalesce({future}, 0)");
    config.features.push(Feature::Sql { name: "tomorrow".into(), expression, look_back: 0 });
    let pipeline = pipeline(config, CsvSource::panel(&file.path));
    (file, pipeline)
}

#[test]
fn a_planted_future_feature_is_caught_by_name() -> Result<()> {
    let (_file, pipeline) = with_future();
    let report = pipeline.check_causal_blocking(3)?;
    let names: Vec<&str> = report.leaks.iter().map(|l| l.feature.as_str()).collect();
    assert_eq!(names, ["tomorrow"]);
    assert!(report.to_string().contains("tomorrow (first at S0"), "{report}");
    Ok(())
}

#[test]
fn the_built_in_features_never_look_ahead() -> Result<()> {
    let file = file(panel(3, 120, 2));
    let report = pipeline(config(), CsvSource::panel(&file.path)).check_causal_blocking(4)?;
    assert!(report.is_clean() && report.rows > 500, "{report}");
    Ok(())
}

#[test]
fn the_plan_streams_in_bounded_memory() {
    let file = file(panel(2, 60, 1));
    let pipeline = pipeline(config(), CsvSource::panel(&file.path));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let plan = runtime.block_on(pipeline.explain()).expect("a plan");
    let bounded = plan.matches("BoundedWindowAggExec").count();
    assert!(bounded > 0 && plan.matches("WindowAggExec").count() == bounded, "{plan}");
}

#[test]
fn bad_configs_are_refused_by_name() {
    let refusal = |features| Pipeline::new(plain(features)).expect_err("a bad config").to_string();
    assert_eq!(refusal(vec![Feature::LogReturn { bars: 0 }]), "log_return.bars = 0: give at least 1");
    assert_eq!(refusal(vec![Feature::Macd { fast: 26, slow: 12, signal: 9 }]), "macd.slow = 12: give at least 27");
    assert!(refusal(vec![Feature::Calendar, Feature::Calendar]).contains("weekday_sin"));
    assert!(refusal(vec![]).contains("0 features"));
    let error = serde_json::from_str::<PipelineConfig>(
        r#"{"features": [], "label": {"kind": "forward_return", "horizon": 1, "dely": 1}, "window_steps": 1}"#,
    );
    assert!(error.expect_err("a typo").to_string().contains("dely"));
}

#[test]
fn history_shorter_than_a_window_is_refused() {
    let error =
        run(PipelineConfig { window_steps: 60, ..config() }, 70).map(|_| ()).expect_err("too short").to_string();
    assert!(error.starts_with("window_steps = 60") && error.contains("look-back of 35"), "{error}");
}
