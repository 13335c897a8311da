//! A predictor inside an axum service that ends gracefully: requests under way are answered, new ones are not taken.
//!
//! `cargo run --example serve`, then
//! `curl -s 127.0.0.1:8080/predict -H 'content-type: application/json' -d '{"windows": [0.1, 0.2, 0.3, 0.4]}'`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tapeloom::core::WindowSpec;
use tapeloom::model::burn::tensor::Device;
use tapeloom::model::{Forecaster, ForecasterSpec, LinearConfig, ModelConfig, Objective, Predict, Predictor};

/// Stands for `checkpointer.predictor(..)` of a trained run, so that the example needs none: fresh weights, fixed by a seed.
fn predictor() -> Result<Predictor, tapeloom::model::Error> {
    let spec = ForecasterSpec {
        model: ModelConfig::Linear(LinearConfig::default()),
        objective: Objective::Mse,
        window: WindowSpec {
            steps: 2,
            features: vec!["a".into(), "b".into()],
            targets: vec!["y".into()],
            scaler: None,
        },
        target_scale: vec![0.01],
    };
    let device = Device::flex();
    Ok(Predictor::new(spec.clone(), &Forecaster::new(&spec, 7, &device)?, &device))
}

async fn predict(State(model): State<Arc<dyn Predict>>, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let bad = |error: String| (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error })));
    let Ok(windows) = serde_json::from_value::<Vec<f32>>(body["windows"].clone()) else {
        return bad("windows: give numbers, row-major [windows, steps, features]".into());
    };
    // The model computes; a blocking thread keeps the server's own threads free to answer.
    match tokio::task::spawn_blocking(move || model.predict_raw(&windows)).await {
        Ok(Ok(forecasts)) => (StatusCode::OK, Json(json!({ "forecasts": forecasts }))),
        Ok(Err(error)) => bad(error.to_string()),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "error": "the prediction failed" }))),
    }
}

/// Ctrl-C anywhere, and what a service manager sends on Unix.
async fn interrupted() {
    let interrupt = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! { () = interrupt => {}, () = terminate => {} }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model: Arc<dyn Predict> = Arc::new(predictor()?);
    let app = Router::new().route("/health", get(|| async { "ok" })).route("/predict", post(predict)).with_state(model);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}, Ctrl-C ends", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    println!("stopped");
    Ok(())
}
