//! Studies of Optuna, in and out.

mod journal;

pub use journal::{OptunaStudy, read_optuna_journal, write_optuna_journal};
