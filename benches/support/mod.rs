//! Series that every bench makes for itself, the same in every run.
#![expect(dead_code, reason = "each bench uses its part")]

use tapeloom::core::{MatrixWindows, Philox, Segment, Timestamp, WindowSpec};
use tapeloom::data::arrow::array::{Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

/// Random-walk closes of `symbols` symbols, `rows` days each, in the shape that the pipeline takes.
pub(crate) fn bars(symbols: usize, rows: usize) -> RecordBatch {
    let (mut names, mut times, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    for symbol in 0..symbols {
        let mut steps = vec![0.0; rows];
        Philox::new(1).uniform(symbol as u64, 0, &mut steps);
        let mut price = 100.0_f64;
        for (day, step) in steps.into_iter().enumerate() {
            price *= (0.02 * (f64::from(step) - 0.5)).exp();
            names.push(format!("S{symbol:03}"));
            times.push(day as i64 * 86_400_000_000);
            closes.push(price);
        }
    }
    RecordBatch::try_from_iter([
        ("symbol", std::sync::Arc::new(StringArray::from(names)) as _),
        ("ts", std::sync::Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as _),
        ("close", std::sync::Arc::new(Float64Array::from(closes)) as _),
    ])
    .expect("columns of one length")
}

/// One symbol of noise with `features` features and windows of `steps` rows.
pub(crate) fn windows(rows: usize, steps: usize, features: usize) -> MatrixWindows {
    let mut noise = vec![0.0; rows * features];
    Philox::new(2).uniform(0, 0, &mut noise);
    let times: Vec<Timestamp> = (0..rows as i64).map(Timestamp::from_micros).collect();
    let segment = Segment {
        symbol: 0,
        targets: noise.iter().step_by(features).map(|x| 0.01 * (x - 0.5)).collect(),
        features: noise,
        target_ends: times.clone(),
        times,
    };
    let spec = WindowSpec {
        steps,
        features: (0..features).map(|i| format!("f{i}")).collect(),
        targets: vec!["y".into()],
        scaler: None,
    };
    MatrixWindows::all(spec, vec!["X".into()], vec![segment].into()).expect("well formed")
}
