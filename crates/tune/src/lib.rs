//! Hyper-parameter studies: what to search, who proposes, what came of it.
//!
//! A [`Study`] draws [`Params`] from a [`Space`], by a [`Sampler`]: [`Random`] or [`Grid`]. An objective is a closure, run by
//! [`Study::optimize`] on one thread or [`Study::optimize_parallel`] on several; or the host runs trials wherever it likes
//! between [`Study::ask`] and [`Study::tell`]. Draws are keyed by seed, trial number and parameter name, so the same seed
//! gives the same trials for any number of workers, any order of declaration, and after a resume.
//!
//! ```
//! use tapeloom_tune::{Direction, Space, Study};
//!
//! let space = Space::builder().float("x", -2.0..=2.0).int("n", 1..=3).build()?;
//! let study = Study::builder(space).direction(Direction::Minimize).seed(7).build()?;
//! study.optimize(50, |trial| {
//!     let (x, n) = (trial.params().float("x")?, trial.params().int("n")?);
//!     trial.report(1, x.abs())?;
//!     Ok::<f64, tapeloom_tune::Error>(x * x + n as f64)
//! })?;
//! let best = study.best().expect("trials are complete");
//! assert_eq!(best.params.int("n")?, 1);
//! assert_eq!(study.summary().complete, 50);
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
