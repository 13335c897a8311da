use std::fmt;

use crate::{History, Result, TrialRecord, TrialStatus};

/// Why a trial has its parameters, and why it ended. Prints as a few sentences.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The trial.
    pub trial: TrialRecord,
    /// Its place by the first objective among the complete trials, from 1; absent when it is not complete.
    pub rank: Option<u64>,
    /// How many trials are complete.
    pub complete: u64,
    /// How many trials had ended when its parameters were chosen, by the order of the log; absent when a person chose.
    pub known: Option<u64>,
}

impl Explanation {
    pub(super) fn of(history: &History, number: u64) -> Result<Self> {
        let trial = history.trial(number)?.clone();
        let losses = history.trials().iter().filter_map(|other| other.value().map(|value| history.loss(value)));
        let rank = trial.value().map(|value| {
            let loss = history.loss(value);
            losses.filter(|other| *other < loss).count() as u64 + 1
        });
        let ended = |other: &&TrialRecord| other.finished.is_some_and(|finished| finished <= trial.started);
        let known = trial.seen.map(|_| history.trials().iter().filter(ended).count() as u64);
        Ok(Self { rank, complete: history.count("complete"), known, trial })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trial, rank, complete, known } = self;
        write!(f, "Trial {}", trial.number)?;
        for (i, (name, value)) in trial.params.iter().enumerate() {
            write!(f, "{} {name} = {value}", if i == 0 { " tried" } else { "," })?;
        }
        writeln!(f, ".")?;
        match (trial.by.as_str(), known) {
            ("", _) => writeln!(f, "Its parameters are not drawn yet.")?,
            (by, Some(known)) => writeln!(f, "Chosen by {by}, knowing {known} ended trials.")?,
            (by, None) => writeln!(f, "Chosen by {by}.")?,
        }
        for reason in &trial.returned {
            writeln!(f, "An attempt came to nothing: {reason}.")?;
        }
        for judgement in &trial.judgements {
            let what = if judgement.audited { "would have been pruned, and ran on for the audit" } else { "pruned" };
            writeln!(f, "Step {}: {what}: {}.", judgement.step, judgement.reason)?;
        }
        if let Some(violation) = trial.violation() {
            writeln!(f, "It breaks its constraints by {violation:?} in all.")?;
        }
        match (&trial.status, rank) {
            (TrialStatus::Complete { values }, Some(rank)) => {
                write!(f, "It ended with {values:?}, place {rank} of {complete}.")
            }
            (TrialStatus::Pruned { reason }, _) => write!(f, "It was ended early: {reason}."),
            (TrialStatus::Failed { reason }, _) => write!(f, "It failed: {reason}."),
            (status, _) => write!(f, "It is {}.", status.name()),
        }
    }
}
