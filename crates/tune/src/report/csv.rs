use std::collections::BTreeSet;
use std::fmt::Write;

use crate::History;

/// All trials as comma-separated values (RFC 4180), a row for each: number, state, values, parameters, constraints, notes,
/// attempts, seconds and reason. What a trial does not have is empty.
#[must_use]
pub fn trials_csv(history: &History) -> String {
    let (mut params, mut constraints, mut notes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for trial in history.trials() {
        params.extend(trial.params.iter().map(|(name, _)| name));
        constraints.extend(trial.constraints.keys());
        notes.extend(trial.notes.keys());
    }
    let mut header: Vec<String> = vec!["number".into(), "state".into()];
    header.extend((0..history.directions().len()).map(|i| format!("value_{i}")));
    header.extend(params.iter().map(|name| format!("param_{name}")));
    header.extend(constraints.iter().map(|name| format!("constraint_{name}")));
    header.extend(notes.iter().map(|name| format!("note_{name}")));
    header.extend(["attempts", "started", "seconds", "by", "reason"].map(String::from));
    let mut text = String::new();
    row(&mut text, &header);
    for trial in history.trials() {
        let mut cells = vec![trial.number.to_string(), trial.status.name().to_owned()];
        let value = |i: usize| trial.values().and_then(|values| values.get(i)).map(|value| format!("{value:?}"));
        cells.extend((0..history.directions().len()).map(|i| value(i).unwrap_or_default()));
        let shown = |name: &&str| trial.params.value(name).map(ToString::to_string).unwrap_or_default();
        cells.extend(params.iter().map(shown));
        let number = |name: &&String| trial.constraints.get(*name).map(|x| format!("{x:?}")).unwrap_or_default();
        cells.extend(constraints.iter().map(number));
        cells.extend(notes.iter().map(|name| trial.notes.get(*name).cloned().unwrap_or_default()));
        let reason = match &trial.status {
            crate::TrialStatus::Pruned { reason } | crate::TrialStatus::Failed { reason } => reason.clone(),
            _ => String::new(),
        };
        let seconds = trial.seconds().map(|seconds| seconds.to_string()).unwrap_or_default();
        cells.extend([trial.attempts.to_string(), trial.started.to_string(), seconds, trial.by.clone(), reason]);
        row(&mut text, &cells);
    }
    text
}

fn row(text: &mut String, cells: &[String]) {
    for (i, cell) in cells.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        if cell.contains(['"', ',', '\n', '\r']) {
            _ = write!(text, "{comma}\"{}\"", cell.replace('"', "\"\""));
        } else {
            _ = write!(text, "{comma}{cell}");
        }
    }
    text.push_str("\r\n");
}
