use tapeloom_core::WindowSource;
use tapeloom_model::burn::tensor::Device;
use tapeloom_model::{LinearConfig, ModelConfig, Predictor};
use tapeloom_train::{BacktestConfig, Evaluation, Forecasts, Result, Scorecard, TrainConfig, Verdict, baseline};

use crate::support::{config, fit, memory, panel};

/// What a linear model that learned the signal forecasts on fresh samples.
fn forecasts(signal: f32) -> Result<Forecasts> {
    let model = ModelConfig::Linear(LinearConfig::default());
    let trace = fit(TrainConfig { max_epochs: 20, model, ..config() }, memory(), |t| t)?;
    let predictor = Predictor::new(trace.fitted.spec, &trace.fitted.network, &Device::flex());
    Forecasts::of(&predictor, &panel(8, 6, 200, signal))
}

#[test]
fn a_trained_model_shows_its_signal_out_of_sample() -> Result<()> {
    let evaluation = Evaluation::new(&forecasts(0.8)?, &BacktestConfig::default());
    assert!(evaluation.ic > 0.5 && evaluation.rank_ic > 0.5, "{} {}", evaluation.ic, evaluation.rank_ic);
    assert!(evaluation.ic_t > 10.0 && evaluation.directional_accuracy > 0.6);
    assert!(evaluation.deflated_sharpe > 0.99 && evaluation.backtest.sharpe > 5.0);
    Ok(())
}

#[test]
fn outcomes_without_signal_give_an_ic_within_chance() -> Result<()> {
    let forecasts = forecasts(0.0)?;
    let evaluation = Evaluation::new(&forecasts, &BacktestConfig::default());
    let bound = 2.0 / (forecasts.rows().len() as f64).sqrt();
    assert!(evaluation.pooled_ic.abs() < bound, "{} against {bound}", evaluation.pooled_ic);
    let zero = baseline::zero(&panel(8, 6, 200, 0.0))?;
    let card = Scorecard::new(("model", &forecasts), &[("zero", &zero)], &[], &BacktestConfig::default());
    assert!(matches!(card.verdict(), Verdict::None(reasons) if !reasons.is_empty()));
    Ok(())
}

#[test]
fn ridge_finds_a_linear_signal_and_last_value_reads_its_feature() -> Result<()> {
    let (train, test) = (panel(1, 3, 300, 0.8), panel(5, 6, 200, 0.8));
    let ridge = Evaluation::new(&baseline::ridge(&train, &test, 1e-3)?, &BacktestConfig::default());
    assert!(ridge.ic > 0.8, "{}", ridge.ic);
    let last = baseline::last_value(&test, "a")?;
    let (mut x, mut y) = (vec![0.0; test.spec().window_len()], vec![0.0]);
    test.gather(&[0], &mut x, &mut y)?;
    let first = last.rows().iter().find(|r| r.symbol == 0).map(|r| (r.value, r.outcome));
    assert_eq!(first, Some((f64::from(x[x.len() - 2]), f64::from(y[0]))));
    assert!(baseline::last_value(&test, "z").is_err_and(|e| e.to_string().contains("a, b")));
    Ok(())
}

#[test]
fn a_perfect_forecast_is_called_a_leak() -> Result<()> {
    let (train, test) = (panel(1, 6, 300, 1.0), panel(5, 6, 200, 1.0));
    let perfect = baseline::ridge(&train, &test, 0.0)?;
    let zero = baseline::zero(&test)?;
    let card = Scorecard::new(("model", &perfect), &[("zero", &zero)], &[], &BacktestConfig::default());
    assert!(matches!(card.verdict(), Verdict::None(reasons) if reasons.iter().any(|r| r.contains("leak"))));
    Ok(())
}

#[test]
fn windows_of_another_shape_are_refused() -> Result<()> {
    let trace = fit(TrainConfig { max_epochs: 1, ..config() }, memory(), |t| t)?;
    let mut spec = trace.fitted.spec.clone();
    spec.window.features[1] = "renamed".into();
    let predictor = Predictor::new(spec, &trace.fitted.network, &Device::flex());
    assert!(Forecasts::of(&predictor, &panel(8, 2, 20, 0.5)).is_err());
    Ok(())
}
