use std::sync::Arc;

use tapeloom_core::WindowSource;
use tapeloom_data::arrow::array::{
    Float32Array, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampSecondArray,
};
use tapeloom_data::datafusion::prelude::SessionContext;
use tapeloom_data::{Error, Feature, Label, Pipeline, PipelineConfig, Split};

use crate::support::{DAY, Outcome, Sheet, batch, bits, close_to, config, two_symbols, wave};

fn plain() -> Outcome<Pipeline> {
    Ok(Pipeline::new(config(vec![Feature::LogReturn { bars: 1 }], 2))?)
}

#[test]
fn a_target_is_the_return_after_the_delay_and_its_end_is_recorded() -> Outcome {
    let closes = wave(30, 0.0);
    let mut config = config(vec![Feature::LogReturn { bars: 2 }], 1);
    config.label = Label::ForwardReturn { horizon: 3, delay: 2 };
    let frame = Pipeline::new(config)?.batch(batch("X", 0, &closes, None)?).run_blocking()?;
    let segment = &frame.segments()[0];
    assert_eq!(segment.times[0].micros(), 2 * DAY);
    assert_eq!(segment.times.len(), 28, "rows that have no target yet stay for forecasts");
    let targets: Vec<f64> = segment.targets[..23].iter().map(|t| f64::from(*t)).collect();
    let want: Vec<f64> = (2..25).map(|t| (closes[t + 5] / closes[t + 2]).ln()).collect();
    close_to(&targets, &want, 1e-6);
    assert!(segment.targets[23..].iter().all(|t| t.is_nan()));
    assert!((0..23).all(|row| segment.target_ends[row].micros() == segment.times[row].micros() + 5 * DAY));
    Ok(())
}

#[test]
fn the_order_of_sources_and_threads_does_not_change_a_frame() -> Outcome {
    let (a, b) = (batch("A", 0, &wave(60, 0.0), None)?, batch("B", 3, &wave(60, 1.0), None)?);
    let one = plain()?.batch(a.clone()).batch(b.clone()).run_blocking()?;
    let two = plain()?.batch(b).batch(a).run_blocking()?;
    assert!(bits(&one) == bits(&two));
    assert_eq!(one.symbols(), ["A", "B"]);
    Ok(())
}

#[test]
fn a_frame_is_identified_by_config_and_every_input_value() -> Outcome {
    let closes = wave(60, 0.0);
    let print = |pipeline: Pipeline| -> Outcome<_> { Ok(pipeline.run_blocking()?.fingerprint()) };
    let same = print(plain()?.batch(batch("X", 0, &closes, None)?))?;
    assert_eq!(same, print(plain()?.batch(batch("X", 0, &closes, None)?))?);
    for row in [0, 30, 59] {
        let mut changed = closes.clone();
        changed[row] += 1e-9;
        assert_ne!(same, print(plain()?.batch(batch("X", 0, &changed, None)?))?, "row {row}");
    }
    assert_ne!(same, print(plain()?.batch(batch("Y", 0, &closes, None)?))?, "the symbol counts");
    let other = config(vec![Feature::LogReturn { bars: 2 }], 2);
    assert_ne!(same, print(Pipeline::new(other)?.batch(batch("X", 0, &closes, None)?))?, "the config counts");
    let mut roomy = config(vec![Feature::LogReturn { bars: 1 }], 2);
    roomy.memory_limit_mb = Some(512);
    assert_eq!(same, print(Pipeline::new(roomy)?.batch(batch("X", 0, &closes, None)?))?, "memory changes no number");
    Ok(())
}

#[test]
fn how_a_file_is_read_counts_for_its_frame() -> Outcome {
    let rows: String = (1..=9).map(|d| format!("1970-01-0{d},{d},{}\n", d * d)).collect();
    let sheet = Sheet::new("x.csv", format!("Date,Close,Adj Close\n{rows}"))?;
    let raw = plain()?.csv(sheet.bars()).run_blocking()?;
    let adjusted = plain()?.csv(sheet.bars().adjusted()).run_blocking()?;
    assert_ne!(raw.fingerprint(), adjusted.fingerprint());
    Ok(())
}

#[test]
fn batches_of_other_widths_and_string_layouts_are_read() -> Outcome {
    let closes = wave(30, 0.0);
    let narrow = RecordBatch::try_from_iter([
        ("ts", Arc::new(TimestampSecondArray::from_iter_values((0..30).map(|d| d * DAY / 1_000_000))) as _),
        ("symbol", Arc::new(StringViewArray::from(vec!["X"; 30])) as _),
        ("close", Arc::new(Float64Array::from(closes.clone())) as _),
        ("volume", Arc::new(Int64Array::from(vec![5; 30])) as _),
        ("comment", Arc::new(Float32Array::from(vec![0.0; 30])) as _),
    ])?;
    let frame = plain()?.batch(narrow).run_blocking()?;
    let usual = plain()?.batch(batch("X", 0, &closes, None)?).run_blocking()?;
    assert!(bits(&frame) == bits(&usual));
    Ok(())
}

#[test]
fn a_batch_without_a_column_or_with_text_for_prices_is_refused() -> Outcome {
    let lacking = batch("X", 0, &wave(9, 0.0), None)?.project(&[0, 1])?;
    let error = plain()?.batch(lacking).run_blocking().expect_err("no close").to_string();
    assert!(error.contains("close") && error.contains("symbol, ts"), "{error}");
    let text = RecordBatch::try_from_iter([
        ("symbol", Arc::new(StringViewArray::from(vec!["X"])) as _),
        ("ts", Arc::new(TimestampSecondArray::from(vec![0])) as _),
        ("close", Arc::new(StringViewArray::from(vec!["dear"])) as _),
    ])?;
    let error = plain()?.batch(text).run_blocking().expect_err("text").to_string();
    assert!(error.contains("close") && error.contains("Utf8View"), "{error}");
    Ok(())
}

#[test]
fn a_data_frame_is_a_source_and_its_bad_rows_are_named() -> Outcome {
    let context = SessionContext::new();
    let mut closes = wave(30, 0.0);
    let frame = plain()?.dataframe("store", context.read_batch(batch("X", 0, &closes, None)?)?).run_blocking()?;
    assert_eq!(frame.rows(), 29);
    closes[4] = -1.0;
    let bad = plain()?.dataframe("store", context.read_batch(batch("X", 0, &closes, None)?)?);
    let error = bad.run_blocking().expect_err("a price below 0").to_string();
    assert!(error.contains("store row 5, column close: -1"), "{error}");
    Ok(())
}

#[test]
fn a_memory_limit_changes_no_number() -> Outcome {
    let run = |memory_limit_mb| -> Outcome<_> {
        let config = PipelineConfig { memory_limit_mb, window_steps: 5, ..PipelineConfig::daily() };
        Ok(Pipeline::new(config)?.batch(batch("X", 0, &wave(90, 0.0), None)?).run_blocking()?)
    };
    assert!(bits(&run(None)?) == bits(&run(Some(64))?));
    assert!(run(Some(0)).is_err_and(|e| e.to_string().contains("memory_limit_mb")));
    Ok(())
}

#[test]
fn a_symbol_with_too_little_history_is_reported() -> Outcome {
    let frame = plain()?.batch(batch("LONG", 0, &wave(30, 0.0), None)?).batch(batch("NEW", 29, &[5.0], None)?);
    let frame = frame.run_blocking()?;
    assert_eq!((frame.symbols(), frame.left_out()), (&["LONG".to_owned()][..], &["NEW".to_owned()][..]));
    Ok(())
}

#[test]
fn too_little_history_for_any_window_is_an_error() -> Outcome {
    let short = Pipeline::new(PipelineConfig::daily())?.batch(batch("X", 0, &wave(40, 0.0), None)?);
    let error = short.run_blocking().expect_err("60 steps").to_string();
    assert!(error.contains("window_steps = 60") && error.contains('5'), "{error}");
    assert!(plain()?.run_blocking().expect_err("nothing to read").to_string().contains("sources"));
    Ok(())
}

#[test]
fn a_blocking_call_inside_a_runtime_is_refused_with_the_way_out() -> Outcome {
    let pipeline = two_symbols(40)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        assert!(matches!(pipeline.run_blocking(), Err(Error::Invalid { .. })));
        assert_eq!(pipeline.run().await?.rows(), (40 - 5) + (30 - 5));
        Ok(())
    })
}

#[test]
fn the_newest_window_is_there_for_a_forecast() -> Outcome {
    let frame = two_symbols(60)?.run_blocking()?;
    let (time, window) = frame.last_window("B").expect("B");
    let segment = &frame.segments()[1];
    assert_eq!(
        (time, &window[..]),
        (segment.times[segment.times.len() - 1], &segment.features[segment.features.len() - 8..])
    );
    assert!(frame.last_window("C").is_none());
    Ok(())
}

#[test]
fn a_config_survives_json_and_a_misspelt_field_does_not() -> Outcome {
    let config = PipelineConfig::daily();
    let json = serde_json::to_string(&config)?;
    assert_eq!(serde_json::from_str::<PipelineConfig>(&json)?, config);
    let error =
        serde_json::from_str::<PipelineConfig>(&json.replace("window_steps", "window_step")).expect_err("misspelt");
    assert!(error.to_string().contains("window_step"), "{error}");
    Ok(())
}

#[test]
fn samples_keep_the_contract_of_window_sources() -> Outcome {
    let fold = Split::walk_forward(1, 10, 10)?.fold(&two_symbols(120)?.run_blocking()?)?;
    for source in [&fold.train, &fold.valid, &fold.test] {
        tapeloom_core::contract::window_source(source)?;
        assert_eq!(source.spec().targets, ["forward_return_1_after_1"]);
    }
    Ok(())
}
