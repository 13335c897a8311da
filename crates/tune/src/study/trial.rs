use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tapeloom_core::{Timestamp, hash_words};

use super::core::Core;
use super::{Advice, TrialOutcome, Values};
use crate::log::Checkpoint;
use crate::{Domain, Entry, Error, ParamValue, Params, Request, Result, TrialRecord};

/// One set of parameters to try, as [`Study::ask`](crate::Study::ask) gives it out.
///
/// It may move to any thread. Dropping it leaves the trial running; [`Study::attach`](crate::Study::attach) makes a new
/// handle.
#[derive(Clone)]
pub struct Trial {
    core: Arc<Core>,
    number: u64,
    attempt: u32,
    seed: u64,
    params: Params,
    drawn: Params,
    checkpoint: Option<Checkpoint>,
    deadline: Option<Timestamp>,
    named: Arc<Mutex<Named>>,
}

/// Parameters that the trial has named, and those that the log does not hold yet.
#[derive(Debug, Default)]
struct Named {
    params: Params,
    unsaved: Vec<Entry>,
}

impl Trial {
    pub(super) fn new(core: Arc<Core>, record: &TrialRecord) -> Self {
        let seed = hash_words(&[core.parts.seed, record.number]);
        let deadline = core.parts.trial_timeout.map(|timeout| core.after(record.started, timeout));
        let named = Named { params: record.params.clone(), unsaved: Vec::new() };
        Self {
            core,
            number: record.number,
            attempt: record.attempts,
            seed,
            params: record.params.clone(),
            drawn: record.drawn.clone(),
            checkpoint: record.checkpoint.clone(),
            deadline,
            named: Arc::new(Mutex::new(named)),
        }
    }

    /// Names a parameter and its range, and says its value in this trial: the same one however often it is asked.
    ///
    /// In a study of a declared space the parameter must be one of it, with that range.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a range that can't be drawn from or that differs from what the trial or the space said, and
    /// whatever the sampler returns.
    pub fn suggest(&self, name: &str, domain: &Domain) -> Result<ParamValue> {
        if self.core.is_declared() {
            return self.declared(name, domain);
        }
        let mut named = self.named();
        if let Some(value) = named.params.value(name) {
            if domain.contains(value) {
                return Ok(value.clone());
            }
            return Err(Error::invalid(name, domain, "give the range that this trial gave before"));
        }
        domain.check(name)?;
        let history = self.core.lock();
        let known = history.domains().get(name) == Some(domain);
        let ahead = self.drawn.value(name).filter(|value| domain.contains(value));
        let (value, seen) = match ahead {
            Some(value) => (value.clone(), None),
            None => {
                let request = Request::new(&history, self.number);
                (self.core.parts.sampler.suggest(&request, name, domain)?, Some(history.entries()))
            }
        };
        drop(history);
        named.params.insert(name, value.clone());
        named.unsaved.push(Entry::Suggested {
            trial: self.number,
            attempt: self.attempt,
            name: name.to_owned(),
            value: value.clone(),
            domain: (!known).then(|| domain.clone()),
            seen,
        });
        Ok(value)
    }

    /// Any number of `range`, uniform.
    ///
    /// # Errors
    /// As [`Trial::suggest`].
    pub fn suggest_float(&self, name: &str, range: RangeInclusive<f64>) -> Result<f64> {
        let (low, high) = range.into_inner();
        self.float(name, &Domain::Float { low, high })
    }

    /// Any number of a positive `range`, uniform in its logarithm.
    ///
    /// # Errors
    /// As [`Trial::suggest`].
    pub fn suggest_log_float(&self, name: &str, range: RangeInclusive<f64>) -> Result<f64> {
        let (low, high) = range.into_inner();
        self.float(name, &Domain::LogFloat { low, high })
    }

    /// Every whole number of `range`.
    ///
    /// # Errors
    /// As [`Trial::suggest`].
    pub fn suggest_int(&self, name: &str, range: RangeInclusive<i64>) -> Result<i64> {
        let (low, high) = range.into_inner();
        match self.suggest(name, &Domain::Int { low, high, step: 1 })? {
            ParamValue::Int(value) => Ok(value),
            other => Err(Error::invalid(name, other, "a range of whole numbers holds whole numbers")),
        }
    }

    /// One of `choices`.
    ///
    /// # Errors
    /// As [`Trial::suggest`].
    pub fn suggest_category(&self, name: &str, choices: &[&str]) -> Result<String> {
        let choices = choices.iter().map(ToString::to_string).collect();
        Ok(self.suggest(name, &Domain::Categorical { choices })?.to_string())
    }

    /// Keeps intermediate values, such as the validation loss after an epoch or on a fold, one for each objective. Any value
    /// will do, NaN too. Says whether to go on.
    ///
    /// # Errors
    /// [`Error::Superseded`] when the trial was given to somebody else, [`Error::NotRunning`] after the result was told,
    /// [`Error::Invalid`] for a step that was reported before or the wrong number of values, and those of the storage.
    pub fn report(&self, step: u64, values: impl Into<Values>) -> Result<Advice> {
        let values = values.into().0;
        let advice = self.saving(|unsaved| self.core.report(self.number, self.attempt, step, &values, unsaved))?;
        if advice.ends() { Ok(advice) } else { Ok(self.advice()) }
    }

    /// Whether to go on, from the clock and the study's stop flag; the pruner speaks at [`Trial::report`].
    pub fn advice(&self) -> Advice {
        if self.core.parts.stop.is_stopped() {
            return Advice::Return("the study was stopped".into());
        }
        match self.deadline {
            Some(deadline) if self.core.parts.clock.now() >= deadline => Advice::Prune("it took too long".into()),
            _ => Advice::Continue,
        }
    }

    /// Keeps the value of a constraint; above zero is a violation. The first value of a name counts, and it counts for pruned
    /// trials too.
    ///
    /// # Errors
    /// [`Error::Invalid`] for NaN or a name that has its value, and as [`Trial::report`].
    pub fn constrain(&self, name: &str, value: f64) -> Result<()> {
        if value.is_nan() {
            return Err(Error::invalid(format!("constraint {name}"), value, "give a number; above 0 is a violation"));
        }
        let (trial, attempt) = (self.number, self.attempt);
        self.core.write(trial, attempt, |record| {
            if record.constraints.contains_key(name) {
                return Err(Error::invalid(format!("constraint {name}"), value, "it has its value; tell each once"));
            }
            Ok(vec![Entry::Constrained { trial, attempt, name: name.to_owned(), value }])
        })
    }

    /// Remembers something about the trial, such as the name of a run in a tracker.
    ///
    /// # Errors
    /// As [`Trial::report`].
    pub fn note(&self, key: &str, value: impl Into<String>) -> Result<()> {
        let entry =
            Entry::Noted { trial: self.number, attempt: self.attempt, key: key.to_owned(), value: value.into() };
        self.core.write(self.number, self.attempt, |_| Ok(vec![entry.clone()]))
    }

    /// Says that the trial can be taken up again at `step` from what the host calls `name`.
    ///
    /// # Errors
    /// As [`Trial::report`].
    pub fn save(&self, name: &str, step: u64) -> Result<()> {
        let (trial, attempt) = (self.number, self.attempt);
        let entry = Entry::Saved { trial, attempt, checkpoint: name.to_owned(), step };
        self.core.write(trial, attempt, |_| Ok(vec![entry.clone()]))
    }

    /// Where an earlier attempt left off, if it saved a checkpoint. Reports up to its step are kept.
    #[must_use]
    pub const fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Counts from 0 in the study.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// How often the trial was given out, this time included.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What to try. Empty in a study whose trials name their parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// A seed for what the trial does itself, such as drawing first weights: another one for each trial of a study, the same
    /// one for each attempt.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn tell(&self, outcome: TrialOutcome) -> Result<()> {
        self.saving(|unsaved| self.core.tell(self.number, self.attempt, &outcome, unsaved))
    }

    /// Runs a step that also saves what the trial has named since the last one, and keeps it for the next when that fails.
    fn saving<T>(&self, step: impl FnOnce(&[Entry]) -> Result<T>) -> Result<T> {
        let mut named = self.named();
        let result = step(&named.unsaved)?;
        named.unsaved.clear();
        Ok(result)
    }

    fn declared(&self, name: &str, domain: &Domain) -> Result<ParamValue> {
        let history = self.core.lock();
        let declared = history.domains().get(name).filter(|declared| *declared == domain);
        declared
            .ok_or_else(|| Error::invalid(name, domain, "the declared space has no such parameter of that range"))?;
        drop(history);
        let inactive = || Error::invalid("parameter", name, "it is not active in this trial");
        self.params.value(name).cloned().ok_or_else(inactive)
    }

    fn float(&self, name: &str, domain: &Domain) -> Result<f64> {
        match self.suggest(name, domain)? {
            ParamValue::Float(value) => Ok(value),
            other => Err(Error::invalid(name, other, "a range of floats holds floats")),
        }
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, attempt, params, .. } = self;
        f.debug_struct("Trial").field("number", number).field("attempt", attempt).field("params", params).finish()
    }
}
