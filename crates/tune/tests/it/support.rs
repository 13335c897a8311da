use tapeloom_tune::{Direction, Header, History, Params, Request, Result, Sampler, Space, Study, Trial};

/// One parameter of each kind, two of them conditional.
pub(crate) fn space() -> Result<Space> {
    Space::builder()
        .float("dropout", 0.0..=0.5)
        .log_float("learning_rate", 1e-5..=1e-1)
        .float_step("momentum", 0.5..=0.9, 0.1)
        .int("layers", 1..=4)
        .int_step("window", 10..=120, 10)
        .log_int("hidden", 16..=512)
        .categorical("cell", ["lstm", "gru", "transformer"])
        .when("cell", ["transformer"], |space| {
            space
                .categorical("position", ["sine", "learned"])
                .when("position", ["sine"], |space| space.log_float("base", 1e3..=1e5))
        })
        .when("cell", ["lstm", "gru"], |space| space.float("forget_bias", 0.0..=2.0))
        .build()
}

/// A made-up loss that every parameter of [`space`] changes.
pub(crate) fn loss(params: &Params) -> Result<f64> {
    let depth = params.int("layers")? as f64 * params.int("hidden")? as f64 / params.int("window")? as f64;
    let bias = if params.category("cell")? == "transformer" { 0.1 } else { params.float("forget_bias")? };
    Ok(params.float("learning_rate")?.ln().abs() + params.float("dropout")? + depth + bias)
}

pub(crate) fn objective(trial: &Trial) -> Result<f64> {
    let loss = loss(trial.params())?;
    let _ = trial.report(1, loss * 2.0)?;
    let _ = trial.report(2, loss)?;
    Ok(loss)
}

pub(crate) fn params_of(study: &Study) -> Result<Vec<Params>> {
    Ok(study.trials()?.into_iter().map(|trial| trial.params).collect())
}

/// What a sampler that has seen no trial proposes for trial number `trial`.
pub(crate) fn propose(sampler: &dyn Sampler, space: &Space, seed: u64, trial: u64) -> Result<Option<Params>> {
    let history = History::new(Header::new(vec![Direction::Minimize], seed, Some(space.clone())));
    Ok(sampler.propose(&Request::new(&history, trial))?.map(|proposal| proposal.params))
}
