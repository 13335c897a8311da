use tapeloom_data::{Feature, Pipeline, PipelineConfig, Split, scan_correlations};

use crate::support::{Outcome, batch, bits, config, two_symbols, wave};

fn sql(name: &str, expression: &str) -> Feature {
    Feature::Sql { name: name.into(), expression: expression.into(), look_back: 0 }
}

fn with(feature: Feature) -> Outcome<Pipeline> {
    let features = vec![Feature::LogReturn { bars: 1 }, feature];
    let (a, b) = (wave(60, 0.0), wave(50, 1.0));
    Ok(Pipeline::new(config(features, 2))?.batch(batch("A", 0, &a, None)?).batch(batch("B", 10, &b, None)?))
}

#[test]
fn no_feature_of_the_daily_set_sees_the_future() -> Outcome {
    let closes = wave(150, 0.0);
    let report = Pipeline::new(PipelineConfig::daily())?
        .batch(batch("A", 0, &closes, Some(&wave(150, 2.0)))?)
        .batch(batch("B", 40, &wave(110, 1.0), None)?)
        .check_causal_blocking(4)?;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.cuts.len(), 4);
    assert!(report.rows > 300, "{report}");
    Ok(())
}

#[test]
fn a_planted_look_ahead_is_named_and_nothing_else_is() -> Outcome {
    let future = "lead(close, 1) OVER (PARTITION BY symbol ORDER BY ts) / close - 1";
    let report = with(sql("future", future))?.check_causal_blocking(3)?;
    let names: Vec<&str> = report.leaks.iter().map(|l| l.feature.as_str()).collect();
    assert_eq!(names, ["future"]);
    assert!(report.to_string().contains("future"));
    Ok(())
}

#[test]
fn a_look_ahead_that_hides_its_missing_value_is_named() -> Outcome {
    let hidden = "coalesce(lead(close, 1) OVER (PARTITION BY symbol ORDER BY ts), close)";
    let report = with(sql("hidden", hidden))?.check_causal_blocking(3)?;
    assert_eq!(report.leaks.len(), 1, "{report}");
    Ok(())
}

#[test]
fn a_look_ahead_at_another_symbol_is_named() -> Outcome {
    let other = "last_value(close) OVER (ORDER BY ts RANGE BETWEEN CURRENT ROW AND INTERVAL '1 day' FOLLOWING)";
    let report = with(sql("other", other))?.check_causal_blocking(3)?;
    assert_eq!(report.leaks.first().map(|l| l.feature.as_str()), Some("other"), "{report}");
    Ok(())
}

#[test]
fn the_plan_streams() -> Outcome {
    let pipeline = Pipeline::new(PipelineConfig::daily())?.batch(batch("A", 0, &wave(80, 0.0), None)?);
    let plan = tokio::runtime::Runtime::new()?.block_on(pipeline.explain())?;
    assert!(plan.contains("BoundedWindowAggExec"), "{plan}");
    assert!(!plan.replace("BoundedWindowAggExec", "").contains("WindowAggExec"), "{plan}");
    Ok(())
}

#[test]
fn a_frame_without_an_end_is_refused() -> Outcome {
    let whole = "close / max(close) OVER (PARTITION BY symbol)";
    let error = with(sql("whole", whole))?.run_blocking().expect_err("sees all").to_string();
    assert!(error.contains("whole") && error.contains("PRECEDING"), "{error}");
    Ok(())
}

#[test]
fn a_feature_that_is_the_target_is_suspicious_and_noise_is_not() -> Outcome {
    let own = "ln(lead(close, 2) OVER (PARTITION BY symbol ORDER BY ts) / lead(close, 1) OVER (PARTITION BY symbol ORDER BY ts))";
    let hidden = sql("own", &format!("coalesce({own}, 0)"));
    // A price whose steps are a hash of the day.
    let mut price = 100.0;
    let closes: Vec<f64> = (0..400_u64)
        .map(|day| {
            price *= 1.0 + 0.02 * (tapeloom_core::hash_words(&[day]) as f64 / u64::MAX as f64 - 0.5);
            price
        })
        .collect();
    let features = vec![Feature::LogReturn { bars: 1 }, hidden];
    let frame = Pipeline::new(config(features, 2))?.batch(batch("A", 0, &closes, None)?).run_blocking()?;
    let fold = Split::walk_forward(1, 20, 20)?.fold(&frame)?;
    let found = scan_correlations(&fold.train, 0.2)?;
    let get = |name: &str| found.iter().find(|c| c.feature == name).expect("scanned");
    assert!(get("own").is_suspicious && get("own").correlation > 0.999);
    assert!(!get("log_return_1").is_suspicious);
    let band = 2.0 / (fold.train.segments()[0].times.len() as f64).sqrt();
    assert!((get("own").band - band).abs() < 0.02, "{} is far from {band}", get("own").band);
    assert!(scan_correlations(&fold.train, 0.0).is_err());
    Ok(())
}

#[test]
fn shuffled_targets_are_the_same_targets_elsewhere() -> Outcome {
    let frame = two_symbols(80)?.run_blocking()?;
    let sorted = |frame: &tapeloom_data::FeatureFrame| {
        let mut all: Vec<u32> = frame.segments().iter().flat_map(|s| &s.targets).map(|t| t.to_bits()).collect();
        all.sort_unstable();
        all
    };
    let shuffled = frame.shuffle_targets(7);
    assert_eq!(sorted(&frame), sorted(&shuffled));
    let moved = frame.segments()[0].targets.iter().zip(&shuffled.segments()[0].targets).filter(|(a, b)| a != b).count();
    assert!(moved > 60, "{moved}");
    assert!(bits(&shuffled) == bits(&frame.shuffle_targets(7)), "a seed names the order");
    assert!(bits(&shuffled) != bits(&frame.shuffle_targets(8)));
    assert_eq!(frame.segments()[0].features, shuffled.segments()[0].features);
    Ok(())
}
