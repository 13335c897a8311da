use serde_json::Value;

use super::TrainConfig;
use crate::{Error, Result};

impl TrainConfig {
    /// The same config with the field at `path` set, as a study does with each of its parameters: fields by name from the
    /// outside in, such as `optimizer.learning_rate` or `model.hidden_size`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that leads to no field, or a value that the field does not take. The whole is not
    /// [validated](TrainConfig::validate): several fields may have to be set before it is sound.
    pub fn with_field(&self, path: &str, value: impl Into<Value>) -> Result<Self> {
        let value = value.into();
        let refuse = |remedy: String| Error::invalid(path, &value, remedy);
        let mut root = serde_json::to_value(self).map_err(|e| refuse(e.to_string()))?;
        let mut field = &mut root;
        for name in path.split('.') {
            let Value::Object(fields) = field else {
                return Err(refuse(format!("the field before {name} has no fields of its own")));
            };
            let names: Vec<String> = fields.keys().cloned().collect();
            let there = || refuse(format!("{name} is no field; there are {}", names.join(", ")));
            field = fields.get_mut(name).ok_or_else(there)?;
        }
        *field = value.clone();
        serde_json::from_value(root).map_err(|e| refuse(format!("the field does not take it: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_any_depth_is_set_and_nothing_else() -> Result<()> {
        let base = TrainConfig::default();
        let mut want = base.clone();
        want.optimizer.learning_rate = 0.003;
        want.batch_size = 64;
        let got = base.with_field("optimizer.learning_rate", 0.003)?.with_field("batch_size", 64)?;
        assert_eq!(got, want);
        assert_ne!(base.with_field("model.hidden_size", 32)?.fingerprint(), base.fingerprint());
        Ok(())
    }

    #[test]
    fn refusals_name_path_value_and_remedy() {
        let base = TrainConfig::default();
        let refusal = |path: &str, value: Value| base.with_field(path, value).expect_err("refused").to_string();
        let text = refusal("optimizer.rate", 1.into());
        assert!(text.contains("optimizer.rate = 1: rate is no field") && text.contains("learning_rate"), "{text}");
        assert!(refusal("seed.low", 1.into()).contains("has no fields of its own"));
        assert!(refusal("batch_size", "many".into()).contains("batch_size = \"many\": the field does not take it"));
    }
}
