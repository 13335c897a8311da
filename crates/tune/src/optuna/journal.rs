use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tapeloom_core::Timestamp;

use crate::{Direction, Domain, Entry, Error, Header, History, ParamValue, Params, Result, TrialStatus};

/// One study of an Optuna journal, as the log that a [`Storage`](crate::Storage) takes: hand `entries` to
/// [`Storage::transact`](crate::Storage::transact) of an empty one, then open it with [`Study::define_by_run`](crate::Study::define_by_run).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OptunaStudy {
    /// As Optuna has it.
    pub name: String,
    /// The study and its trials.
    pub entries: Vec<Entry>,
}

// The numbers of operations and states in Optuna's journal (`optuna/storages/journal/_storage.py` of version 5.0).
const CREATE_STUDY: u64 = 0;
const DELETE_STUDY: u64 = 1;
const CREATE_TRIAL: u64 = 4;
const SET_PARAM: u64 = 5;
const SET_STATE: u64 = 6;
const SET_INTERMEDIATE: u64 = 7;
const SET_USER_ATTR: u64 = 8;
const STATES: [&str; 5] = ["running", "complete", "pruned", "failed", "waiting"];

/// Reads what Optuna's `JournalFileBackend` wrote. System attributes are left out; choices that are no text become text.
///
/// # Errors
/// [`Error::Damaged`] with the number of the first line that is not understood.
pub fn read_optuna_journal(text: &str) -> Result<Vec<OptunaStudy>> {
    let mut reader = Reader::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        reader
            .line(line)
            .map_err(|what| Error::damaged("the Optuna journal", format!("line {}: {what}", number + 1)))?;
    }
    let kept = reader.studies.into_iter().filter(|study| !study.deleted);
    Ok(kept.map(|study| OptunaStudy { name: study.name, entries: study.entries }).collect())
}

/// Writes what Optuna's `JournalFileBackend` reads: `name` is the study's there.
#[must_use]
pub fn write_optuna_journal(name: &str, history: &History) -> String {
    let mut lines = Vec::new();
    let worker = json!("tapeloom");
    let mut push = |mut line: Value| {
        line["worker_id"] = worker.clone();
        lines.push(
            line.to_string()
                .replace("\"@NaN\"", "NaN")
                .replace("\"@inf\"", "Infinity")
                .replace("\"@-inf\"", "-Infinity"),
        );
    };
    let direction = |direction: &Direction| if *direction == Direction::Minimize { 1 } else { 2 };
    let directions: Vec<u64> = history.directions().iter().map(direction).collect();
    push(json!({"op_code": CREATE_STUDY, "study_name": name, "directions": directions}));
    for trial in history.trials() {
        let id = trial.number;
        push(json!({"op_code": CREATE_TRIAL, "study_id": 0, "datetime_start": time(trial.started)}));
        for (name, value) in trial.params.iter() {
            let Some(domain) = history.domains().get(name) else { continue };
            let Some((internal, distribution)) = distribution(domain, value) else { continue };
            let distribution = distribution.to_string();
            push(
                json!({"op_code": SET_PARAM, "trial_id": id, "param_name": name, "param_value_internal": internal, "distribution": distribution}),
            );
        }
        for (step, values) in &trial.reports {
            push(
                json!({"op_code": SET_INTERMEDIATE, "trial_id": id, "step": step, "intermediate_value": float(values[0])}),
            );
        }
        for (key, value) in &trial.notes {
            push(json!({"op_code": SET_USER_ATTR, "trial_id": id, "user_attr": {key: value}}));
        }
        let values = match (&trial.status, trial.last_report()) {
            (TrialStatus::Complete { values }, _) => values.iter().map(|x| float(*x)).collect::<Vec<_>>().into(),
            (TrialStatus::Pruned { .. }, Some((_, values))) if values.len() == 1 && !values[0].is_nan() => {
                json!([float(values[0])])
            }
            _ => Value::Null,
        };
        let name = if trial.status.name() == "paused" { "waiting" } else { trial.status.name() };
        let state = STATES.iter().position(|state| *state == name).unwrap_or(0);
        let mut line = json!({"op_code": SET_STATE, "trial_id": id, "state": state, "values": values});
        if let Some(finished) = trial.finished {
            line["datetime_complete"] = time(finished).into();
        }
        if state > 0 {
            push(line);
        }
    }
    lines.join("\n") + "\n"
}

#[derive(Default)]
struct Reader {
    studies: Vec<Reading>,
    /// By Optuna's number of the trial: study, and number in it.
    trials: Vec<(usize, u64)>,
}

struct Reading {
    name: String,
    deleted: bool,
    entries: Vec<Entry>,
    domains: BTreeMap<String, Domain>,
    count: u64,
    objectives: usize,
}

type Line = Map<String, Value>;

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let line: Line = serde_json::from_str(&quoted(line)).map_err(|e| e.to_string())?;
        match whole(&line, "op_code")? {
            CREATE_STUDY => {
                let list = line.get("directions").and_then(Value::as_array).ok_or("it has no directions")?;
                let direction = |value: &Value| if value == 2 { Direction::Maximize } else { Direction::Minimize };
                let directions: Vec<Direction> = list.iter().map(direction).collect();
                let objectives = directions.len();
                let entries = vec![Entry::Created(Header::new(directions, 0, None))];
                let name = word(&line, "study_name")?;
                let study = Reading { name, deleted: false, entries, domains: BTreeMap::new(), count: 0, objectives };
                self.studies.push(study);
            }
            DELETE_STUDY => self.study(whole(&line, "study_id")?)?.deleted = true,
            CREATE_TRIAL => self.create(&line)?,
            SET_PARAM => {
                let distribution = word(&line, "distribution")?;
                let internal = line.get("param_value_internal").and_then(number).ok_or("it has no value")?;
                self.param(whole(&line, "trial_id")?, word(&line, "param_name")?, &distribution, internal)?;
            }
            SET_STATE => self.state(whole(&line, "trial_id")?, whole(&line, "state")?, &line)?,
            SET_INTERMEDIATE => {
                let value = line.get("intermediate_value").and_then(number).unwrap_or(f64::NAN);
                let step = whole(&line, "step")?;
                let (study, trial) = self.trial(whole(&line, "trial_id")?)?;
                if study.objectives == 1 {
                    study.entries.push(Entry::Reported { trial, attempt: 1, step, values: vec![value] });
                }
            }
            SET_USER_ATTR => {
                let attributes = line.get("user_attr").and_then(Value::as_object).ok_or("it has no attribute")?;
                let (study, trial) = self.trial(whole(&line, "trial_id")?)?;
                study.note(trial, attributes);
            }
            // Attributes of the study and of samplers: nothing that trials are made of.
            2 | 3 | 9 => {}
            other => return Err(format!("operation {other} is not known")),
        }
        Ok(())
    }

    fn create(&mut self, line: &Line) -> Result<(), String> {
        let study_id = whole(line, "study_id")?;
        let at = line.get("datetime_start").and_then(Value::as_str).map_or(Ok(Timestamp::default()), parse_time)?;
        let study = self.study(study_id)?;
        let trial = study.count;
        study.count += 1;
        study.entries.push(Entry::Added { params: Some(Params::new()), seen: None, by: "optuna".into(), at });
        study.entries.push(Entry::Claimed { trial, worker: 0, at });
        self.trials.push((study_id as usize, trial));
        // A whole trial in one line, as `add_trial` writes it.
        let id = self.trials.len() as u64 - 1;
        if let (Some(distributions), Some(values)) =
            (line.get("distributions").and_then(Value::as_object), line.get("params").and_then(Value::as_object))
        {
            for (name, distribution) in distributions {
                let text = distribution.as_str().ok_or("a distribution is no text")?;
                let internal = values.get(name).and_then(number).ok_or_else(|| format!("{name} has no value"))?;
                self.param(id, name.clone(), text, internal)?;
            }
            let (study, trial) = self.trial(id)?;
            for (step, value) in line.get("intermediate_values").and_then(Value::as_object).into_iter().flatten() {
                let step = step.parse().map_err(|_| format!("{step:?} is no step"))?;
                let values = vec![number(value).unwrap_or(f64::NAN)];
                study.entries.push(Entry::Reported { trial, attempt: 1, step, values });
            }
            if let Some(attributes) = line.get("user_attrs").and_then(Value::as_object) {
                study.note(trial, attributes);
            }
        }
        if let Some(state) = line.get("state").and_then(Value::as_u64) {
            self.state(id, state, line)?;
        }
        Ok(())
    }

    fn param(&mut self, id: u64, name: String, distribution: &str, internal: f64) -> Result<(), String> {
        let distribution: Value = serde_json::from_str(&quoted(distribution)).map_err(|e| e.to_string())?;
        let (domain, value) = domain_of(&distribution, internal)?;
        domain.check(&name).map_err(|e| e.to_string())?;
        let (study, trial) = self.trial(id)?;
        let known = study.domains.get(&name) == Some(&domain);
        study.domains.insert(name.clone(), domain.clone());
        let domain = (!known).then_some(domain);
        study.entries.push(Entry::Suggested { trial, attempt: 1, name, value, domain, seen: None });
        Ok(())
    }

    fn state(&mut self, id: u64, state: u64, line: &Line) -> Result<(), String> {
        let at = line.get("datetime_complete").and_then(Value::as_str).map_or(Ok(Timestamp::default()), parse_time)?;
        let values: Option<Vec<f64>> = match (line.get("values").and_then(Value::as_array), line.get("value")) {
            (Some(list), _) => list.iter().map(number).collect(),
            (None, Some(value)) => number(value).map(|value| vec![value]),
            (None, None) => None,
        };
        let (study, trial) = self.trial(id)?;
        let reason = || "as Optuna had it".to_owned();
        let status = match (STATES.get(state as usize), values) {
            (Some(&"complete"), Some(values)) if values.iter().all(|x| !x.is_nan()) => TrialStatus::Complete { values },
            (Some(&"pruned"), _) => TrialStatus::Pruned { reason: reason() },
            (Some(&"complete" | &"failed"), _) => TrialStatus::Failed { reason: reason() },
            // A trial that waits or runs is taken up again by whoever opens the study.
            (Some(_), _) => return Ok(()),
            (None, _) => return Err(format!("state {state} is not known")),
        };
        study.entries.push(Entry::Finished { trial, attempt: 1, status, at });
        Ok(())
    }

    fn study(&mut self, id: u64) -> Result<&mut Reading, String> {
        self.studies.get_mut(id as usize).ok_or_else(|| format!("study {id} was not made before"))
    }

    fn trial(&mut self, id: u64) -> Result<(&mut Reading, u64), String> {
        let (study, trial) = *self.trials.get(id as usize).ok_or_else(|| format!("trial {id} was not made before"))?;
        Ok((self.study(study as u64)?, trial))
    }
}

impl Reading {
    fn note(&mut self, trial: u64, attributes: &Line) {
        for (key, value) in attributes {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.entries.push(Entry::Noted { trial, attempt: 1, key: key.clone(), value });
        }
    }
}

/// Optuna's word for a range, and for a value in it.
fn distribution(domain: &Domain, value: &ParamValue) -> Option<(f64, Value)> {
    let float = |low: f64, high: f64, log: bool, step: Option<f64>| json!({"name": "FloatDistribution", "attributes": {"step": step, "low": low, "high": high, "log": log}});
    let int = |low: i64, high: i64, log: bool, step: i64| json!({"name": "IntDistribution", "attributes": {"log": log, "step": step, "low": low, "high": high}});
    let distribution = match domain {
        Domain::Float { low, high } => float(*low, *high, false, None),
        Domain::LogFloat { low, high } => float(*low, *high, true, None),
        Domain::SteppedFloat { low, high, step } => float(*low, *high, false, Some(*step)),
        Domain::Int { low, high, step } => int(*low, *high, false, *step),
        Domain::LogInt { low, high } => int(*low, *high, true, 1),
        Domain::Categorical { choices } => {
            json!({"name": "CategoricalDistribution", "attributes": {"choices": choices}})
        }
    };
    let internal = match value {
        ParamValue::Float(x) => *x,
        ParamValue::Int(x) => *x as f64,
        ParamValue::Category(_) => domain.place(value)?,
    };
    Some((internal, distribution))
}

fn domain_of(distribution: &Value, internal: f64) -> Result<(Domain, ParamValue), String> {
    let attributes = &distribution["attributes"];
    let bound = |key: &str| number(&attributes[key]).ok_or_else(|| format!("a range has no {key:?}"));
    let log = attributes["log"].as_bool().unwrap_or(false);
    match distribution["name"].as_str() {
        Some("FloatDistribution") => {
            let (low, high) = (bound("low")?, bound("high")?);
            let domain = match number(&attributes["step"]) {
                Some(step) => Domain::SteppedFloat { low, high, step },
                None if log => Domain::LogFloat { low, high },
                None => Domain::Float { low, high },
            };
            // Its sums of steps are rounded in another way.
            let value =
                if attributes["step"].is_null() { ParamValue::Float(internal) } else { domain.value_at(internal).0 };
            Ok((domain, value))
        }
        Some("IntDistribution") => {
            let (low, high) = (bound("low")? as i64, bound("high")? as i64);
            let step = number(&attributes["step"]).map_or(1, |step| step as i64);
            let domain = if log { Domain::LogInt { low, high } } else { Domain::Int { low, high, step } };
            Ok((domain, ParamValue::Int(internal.round() as i64)))
        }
        Some("CategoricalDistribution") => {
            let list = attributes["choices"].as_array().ok_or("there are no choices")?;
            let name = |choice: &Value| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned);
            let choices: Vec<String> = list.iter().map(name).collect();
            let value =
                choices.get(internal as usize).cloned().ok_or_else(|| format!("there is no choice {internal}"))?;
            Ok((Domain::Categorical { choices }, ParamValue::Category(value)))
        }
        other => Err(format!("{other:?} is no distribution of Optuna 3 or newer")),
    }
}

/// The same with floats as text: only so do they come back to the bit, and Python writes some that JSON does not have.
fn quoted(line: &str) -> String {
    let (mut out, mut rest, mut in_text) = (String::with_capacity(line.len() + 16), line, false);
    while let Some(c) = rest.chars().next() {
        let token = rest.find([',', '}', ']', ' ', '"', ':']).unwrap_or(rest.len());
        if in_text && c == '\\' {
            let escape = rest.chars().nth(1).map_or(1, |next| 1 + next.len_utf8());
            out += &rest[..escape];
            rest = &rest[escape..];
        } else if !in_text && (c.is_ascii_digit() || "-NI".contains(c)) {
            let number = &rest[..token];
            let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            out += &if plain { number.to_owned() } else { format!("\"{number}\"") };
            rest = &rest[token..];
        } else {
            in_text ^= c == '"';
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn whole(line: &Line, key: &str) -> Result<u64, String> {
    line.get(key).and_then(Value::as_u64).ok_or_else(|| format!("it has no number {key:?}"))
}

fn word(line: &Line, key: &str) -> Result<String, String> {
    line.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("it has no text {key:?}"))
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// A marker where JSON has no word.
fn float(value: f64) -> Value {
    if value.is_nan() {
        json!("@NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "@inf" } else { "@-inf" })
    } else {
        json!(value)
    }
}

/// Optuna writes local times without a zone, and newer versions UTC with one.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let zoned = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    let text = if zoned { text.to_owned() } else { format!("{text}Z") };
    Timestamp::parse(&text).map_err(|e| e.to_string())
}

fn time(at: Timestamp) -> String {
    at.to_string().replace('Z', "+00:00")
}
