//! JSON has no word for a number that is not finite, so such floats travel as strings: see [`to_line`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tapeloom_core::{Event, Timestamp};

/// One line of an event log. The time comes first, which tells an event log from other files.
#[derive(Debug, Serialize, Deserialize)]
struct Line<E> {
    time: Timestamp,
    event: E,
}

/// One event as one line of JSON, newline included. Not-a-number and the infinities become the strings `"NaN"`,
/// `"Infinity"` and `"-Infinity"`, because `null` would lose which of them it was.
pub(crate) fn to_line(time: Timestamp, event: &Event) -> serde_json::Result<Vec<u8>> {
    let mut copy = event.clone();
    let mut words: Vec<(String, &'static str)> = Vec::new();
    for (key, value) in floats(&mut copy) {
        if let Some(word) = word(*value) {
            *value = 0.0;
            words.push((key, word));
        }
    }
    let mut line = if words.is_empty() {
        serde_json::to_vec(&Line { time, event })?
    } else {
        let mut json = serde_json::to_value(&copy)?;
        for (key, word) in words {
            if let Some(slot) = json.as_object_mut().and_then(|event| slot(event, &key)) {
                *slot = word.into();
            }
        }
        serde_json::to_vec(&Line { time, event: json })?
    };
    line.push(b'\n');
    Ok(line)
}

/// What [`to_line`] wrote.
pub(crate) fn from_line(line: &[u8]) -> serde_json::Result<(Timestamp, Event)> {
    let Line { time, event: mut json } = serde_json::from_slice::<Line<Value>>(line)?;
    let words = json.as_object_mut().map(take_words).unwrap_or_default();
    let mut event: Event = serde_json::from_value(json)?;
    for (key, value) in floats(&mut event) {
        if let Some((_, taken)) = words.iter().find(|(name, _)| *name == key) {
            *value = *taken;
        }
    }
    Ok((time, event))
}

/// Every float of an event by its key; a metric's key is `metrics.` and its name.
fn floats(event: &mut Event) -> Vec<(String, &mut f64)> {
    let named = |key: &str, value| (key.to_owned(), value);
    match event {
        Event::StepFinished { loss, learning_rate, grad_norm, seconds, .. } => vec![
            named("loss", loss),
            named("learning_rate", learning_rate),
            named("grad_norm", grad_norm),
            named("seconds", seconds),
        ],
        Event::ValidationFinished { metrics, seconds, .. } => metrics
            .iter_mut()
            .map(|(name, value)| (format!("{METRICS}.{name}"), value))
            .chain([named("seconds", seconds)])
            .collect(),
        Event::EpochFinished { train_loss, valid_loss, learning_rate, seconds, .. } => valid_loss
            .iter_mut()
            .map(|value| named("valid_loss", value))
            .chain([named("train_loss", train_loss), named("learning_rate", learning_rate), named("seconds", seconds)])
            .collect(),
        Event::TrialFinished { value, seconds, .. } => {
            value.iter_mut().map(|value| named("value", value)).chain([named("seconds", seconds)]).collect()
        }
        Event::CheckpointSaved { seconds, .. } | Event::RunFinished { seconds, .. } => vec![named("seconds", seconds)],
        _ => vec![],
    }
}

const METRICS: &str = "metrics";
/// The keys that [`floats`] gives, the map of metrics apart. No event has text under one of them.
const FLOATS: [&str; 7] = ["loss", "learning_rate", "grad_norm", "seconds", "train_loss", "valid_loss", "value"];

fn word(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

fn number(word: &str) -> Option<f64> {
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().find(|v| self::word(*v) == Some(word))
}

fn slot<'a>(event: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        Some((METRICS, name)) => event.get_mut(METRICS)?.get_mut(name),
        _ => event.get_mut(key),
    }
}

/// Puts 0 in the place of each word, so that the derived reader accepts the event, and says what stood where.
fn take_words(event: &mut Map<String, Value>) -> Vec<(String, f64)> {
    let mut taken = Vec::new();
    let mut take = |key: String, value: &mut Value| {
        if let Some(number) = value.as_str().and_then(number) {
            *value = 0.0.into();
            taken.push((key, number));
        }
    };
    for (key, value) in event {
        if FLOATS.contains(&key.as_str()) {
            take(key.clone(), value);
        } else if key == METRICS
            && let Some(metrics) = value.as_object_mut()
        {
            metrics.iter_mut().for_each(|(name, value)| take(format!("{METRICS}.{name}"), value));
        }
    }
    taken
}
