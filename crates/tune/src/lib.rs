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
mod domain;
mod draws;
mod error;
mod grid;
mod optimize;
mod params;
mod sampler;
mod snapshot;
mod space;
mod state;
mod study;
mod trial;

pub use domain::Domain;
pub use draws::Draws;
pub use error::{Error, Result};
pub use grid::{Grid, GridBuilder};
pub use optimize::Ending;
pub use params::{ParamValue, Params};
pub use sampler::{Random, Request, Sampler};
pub use space::{Parameter, Space, SpaceBuilder};
pub use study::{Direction, Study, StudyBuilder, Summary};
pub use trial::{Trial, TrialOutcome, TrialRecord, TrialStatus};
