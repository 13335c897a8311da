use std::time::Instant;

use serde_json::{Value, json};
use tapeloom::core::{Philox, WindowSpec};
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, ForecasterSpec, ModelConfig, Objective, RecurrentNetworkConfig, Stream};

use crate::options::Options;

/// One tick after another through a recurrent forecaster, head included.
pub(crate) fn time(o: &Options) -> Value {
    let sizes = RecurrentNetworkConfig { hidden_size: o.hidden, num_layers: o.layers, dropout: 0.0 };
    let model = if o.model == "gru_stream" { ModelConfig::Gru(sizes) } else { ModelConfig::Lstm(sizes) };
    let features = (0..o.features).map(|i| format!("f{i}")).collect();
    let window = WindowSpec { steps: o.seq, features, targets: vec!["y".into()], scaler: None };
    let spec = ForecasterSpec { model, objective: Objective::Mse, window, target_scale: vec![] };
    let network = Forecaster::new(&spec, 1, &Device::flex()).expect("a valid spec");
    let mut stream = Stream::new(spec, &network).expect("a recurrent network");
    let mut rows = vec![0.0; 64 * o.features];
    Philox::new(3).uniform(0, 0, &mut rows);
    let mut rows = rows.chunks_exact(o.features).cycle();
    let mut tick = || {
        let row = rows.next().expect("a cycle has no end");
        let begin = Instant::now();
        std::hint::black_box(stream.push(row).expect("a finite row"));
        begin.elapsed().as_secs_f64() * 1e6
    };
    for _ in 0..o.ticks / 10 {
        tick();
    }
    let mut times: Vec<f64> = (0..o.ticks).map(|_| tick()).collect();
    times.sort_by(f64::total_cmp);
    json!({
        "peer": "tapeloom", "model": o.model, "device": "cpu", "hidden": o.hidden, "layers": o.layers,
        "median_us": times[times.len() / 2], "p99_us": times[times.len() * 99 / 100],
    })
}
