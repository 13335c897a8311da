//! Hyper-parameter studies: what to search, who proposes, what came of it.
//!
//! A [`Study`] searches a [`Space`], or what trials name as they run, with a [`Sampler`] that proposes and a [`Pruner`] that ends
//! trials early. An objective is a closure, run by [`Study::optimize`] on one thread or [`Study::optimize_parallel`] on several; or
//! the host runs trials wherever it likes between [`Study::ask`] and [`Study::tell`]. A study is a log of [entries](Entry) in a
//! [`Storage`] that threads, processes and hosts share: what one knows of it, who may run a trial and whose result counts all
//! follow from the log, so a worker can be killed at any moment, and any draw can be repeated.
//!
//! ```
//! use tapeloom_tune::{Percentile, Space, Study, TrialOutcome};
//!
//! let space = Space::builder().float("x", -2.0..=2.0).int("n", 1..=3).build()?;
//! let study = Study::builder(space).seed(7).pruner(Percentile::median(2)).build()?;
//! study.optimize(50, |trial| {
//!     let (x, n) = (trial.params().float("x")?, trial.params().int("n")?);
//!     let value = x * x + n as f64;
//!     for step in 1..=4 {
//!         let advice = trial.report(step, value + 1.0 / step as f64)?;
//!         if advice.ends() {
//!             return Ok(advice.into());
//!         }
//!     }
//!     Ok::<TrialOutcome, tapeloom_tune::Error>(value.into())
//! })?;
//! let best = study.best().expect("trials are complete");
//! assert_eq!(best.params.int("n")?, 1);
//! let summary = study.summary()?;
//! assert_eq!(summary.complete + summary.pruned, 50);
//! println!("{}", study.explain(best.number)?);
//! # Ok::<(), tapeloom_tune::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod contract;
mod error;
mod importance;
mod log;
mod math;
mod optuna;
mod pareto;
mod pruners;
mod report;
mod samplers;
mod space;
mod storage;
mod study;

pub use error::{Error, Result};
pub use importance::{Importance, fanova, ped_anova};
pub use log::{Checkpoint, Direction, Entry, Header, History, Judgement, TrialRecord, TrialStatus};
pub use optuna::{OptunaStudy, read_optuna_journal, write_optuna_journal};
pub use pareto::hypervolume;
pub use pruners::{
    Asha, Curve, Dominated, Hyperband, NoPruner, Patient, Percentile, Pruner, PruningAudit, Threshold, Verdict,
    Wilcoxon, pruning_audit,
};
pub use report::{study_html, trials_csv};
pub use samplers::{
    Auto, CmaEs, Gp, Grid, GridBuilder, Mode, Nsga2, Proposal, Random, Request, Sampler, Sobol, Tpe, TpeConfig,
};
pub use space::{Domain, Draws, ParamValue, Parameter, Params, Space, SpaceBuilder};
pub use storage::{Decide, Journal, JournalBuilder, Memory, Storage};
#[cfg(feature = "postgres")]
pub use storage::{Postgres, PostgresBuilder};
#[cfg(feature = "sqlite")]
pub use storage::{Sqlite, SqliteBuilder};
pub use study::{Advice, Ending, Explanation, Study, StudyBuilder, Summary, Trial, TrialOutcome, Values};
