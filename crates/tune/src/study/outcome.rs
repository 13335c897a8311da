/// What became of a trial.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrialOutcome {
    /// The objectives' values. One that is NaN counts as failed.
    Complete(Values),
    /// It was ended early, and why.
    Pruned(String),
    /// It waits at its checkpoint until the pruner promotes it.
    Paused,
    /// It did not come to an end and can be tried again, and why.
    Returned(String),
    /// Why there is no value.
    Failed(String),
}

/// What a trial should do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a trial that does not follow runs to its end"]
pub enum Advice {
    /// Go on.
    Continue,
    /// End: it is not worth more, and why.
    Prune(String),
    /// Save a checkpoint and end: it may be taken up again.
    Pause,
    /// End: the study stops, and why.
    Return(String),
}

/// One value for each objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(pub(crate) Vec<f64>);

impl Advice {
    /// Whether the trial should end. Then return `Ok(advice.into())` from the objective.
    #[must_use]
    pub const fn ends(&self) -> bool {
        !matches!(self, Self::Continue)
    }
}

impl From<Advice> for TrialOutcome {
    fn from(advice: Advice) -> Self {
        match advice {
            Advice::Continue => Self::Returned("it ended without a value and without advice to end".into()),
            Advice::Prune(reason) => Self::Pruned(reason),
            Advice::Pause => Self::Paused,
            Advice::Return(reason) => Self::Returned(reason),
        }
    }
}

impl From<f64> for Values {
    fn from(value: f64) -> Self {
        Self(vec![value])
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Self(values)
    }
}

impl<const N: usize> From<[f64; N]> for Values {
    fn from(values: [f64; N]) -> Self {
        Self(values.to_vec())
    }
}

impl<T: Into<Values>> From<T> for TrialOutcome {
    fn from(values: T) -> Self {
        Self::Complete(values.into())
    }
}
