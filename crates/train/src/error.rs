/// What can go wrong in training, grouped by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the config or an argument breaks a rule; fix the value.
    #[error("{field} = {value}: {remedy}")]
    Invalid {
        /// The field or argument, as the caller knows it.
        field: String,
        /// The offending value.
        value: String,
        /// What to do instead.
        remedy: String,
    },
    /// The loss or the gradient is no longer a number; earlier checkpoints are intact.
    #[error(
        "{what} is {value} at global step {step}{detail}: lower the learning rate, clip the gradient, or look at the data"
    )]
    Diverged {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// The value.
        value: f64,
        /// Optimizer steps done before.
        step: u64,
        /// Where it was first seen, with `debug.detect_anomaly`; empty otherwise.
        detail: String,
    },
    /// Not even the smallest pass fits into the memory of some rank's device.
    #[error(
        "a pass of {samples} samples does not fit into memory ({detail}): lower batch_size, or take a smaller model"
    )]
    OutOfMemory {
        /// Of the pass.
        samples: usize,
        /// What the device said.
        detail: String,
    },
    /// The run uses more than its budget allows; a checkpoint set was written if the run writes any.
    #[error(
        "{what} in use is {used:.2}, budget allows {limit}: lower batch_size and accumulate more, or raise the budget"
    )]
    OverBudget {
        /// What there is too much of, with its unit.
        what: &'static str,
        /// In use.
        used: f64,
        /// Allowed.
        limit: f64,
    },
    /// The checkpoint belongs to another run; resume with what it was made with, or start afresh elsewhere.
    #[error("checkpoint {set} was made with another {what} ({found}, this run has {expected})")]
    Mismatch {
        /// The checkpoint set.
        set: String,
        /// `config` or `training data`.
        what: &'static str,
        /// The fingerprint in the checkpoint.
        found: String,
        /// The fingerprint of this run.
        expected: String,
    },
    /// A checkpoint set is damaged; load an older one.
    #[error("checkpoint {set} is damaged: {detail}")]
    Damaged {
        /// The checkpoint set.
        set: String,
        /// Which part, and what is wrong with it.
        detail: String,
    },
    /// Evidence could not be recorded, so the run stopped.
    #[error("the audit ledger refused a record")]
    Evidence(#[source] tapeloom_core::Error),
    /// A contract of the core crate failed.
    #[error(transparent)]
    Core(#[from] tapeloom_core::Error),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] tapeloom_model::Error),
    /// A collective failed.
    #[error(transparent)]
    Dist(#[from] tapeloom_dist::Error),
}

impl Error {
    pub(crate) fn invalid(field: impl Into<String>, value: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
