//! Configs as flat lists of values, so that two of them can be compared by name.

use std::collections::BTreeMap;

use serde_json::Value;

/// Settings that may change from one part of a run to the next, because they do not decide where the weights go.
const OPERATIONAL: [&str; 9] = [
    "audit_trail",
    "budget.",
    "checkpoint.",
    "cluster.cuda_graphs",
    "cluster.strategy",
    "debug.",
    "loader.",
    "log_every_n_steps",
    "max_minutes",
];
/// Parts of the above that do decide it.
const DECISIVE: [&str; 2] = ["debug.overfit_batches", "debug.fast_dev_run"];

/// Every value of a config by its path, such as `optimizer.learning_rate`.
pub(super) fn flatten(settings: &Value) -> BTreeMap<String, String> {
    fn walk(value: &Value, path: &str, flat: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(value, &path, flat);
            }),
            Value::String(text) => drop(flat.insert(path.to_owned(), text.clone())),
            value => drop(flat.insert(path.to_owned(), value.to_string())),
        }
    }
    let mut flat = BTreeMap::new();
    walk(settings, "", &mut flat);
    flat
}

/// The first setting in which a run may not differ from the one that it takes up: its path, the old and the new value.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<(String, String, String)> {
    let (old, new) = (flatten(old), flatten(new));
    let operational = |path: &str| OPERATIONAL.iter().any(|free| path.starts_with(free)) && !DECISIVE.contains(&path);
    // A setting that one side lacks came with a later version; its default is what went before.
    new.into_iter().find_map(|(path, value)| {
        let was = old.get(&path)?;
        (*was != value && !operational(&path)).then(|| (path, was.clone(), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainConfig;

    fn value(config: &TrainConfig) -> Value {
        serde_json::to_value(config).expect("plain values")
    }

    #[test]
    fn what_decides_the_weights_may_not_change_and_the_rest_may() {
        let old = TrainConfig::default();
        let mut new = old.clone();
        new.max_minutes = Some(5.0);
        new.checkpoint.every_n_steps = 7;
        assert_eq!(difference(&value(&old), &value(&new)), None);
        new.optimizer.learning_rate = 0.5;
        let found = difference(&value(&old), &value(&new));
        assert_eq!(found, Some(("optimizer.learning_rate".into(), "0.001".into(), "0.5".into())));
        let debug = TrainConfig { debug: crate::DebugConfig { fast_dev_run: 2, ..old.debug }, ..old.clone() };
        assert_eq!(difference(&value(&old), &value(&debug)).expect("a shorter run").0, "debug.fast_dev_run");
    }
}
