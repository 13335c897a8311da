use crate::config::{Precision, Strategy, TrainConfig};
use crate::{Error, Result};

/// Ends each refusal of a knob whose engine is not there yet.
const LATER: &str = "is not part of this version; leave it at its default";

impl TrainConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first field that breaks a rule, with its value and what to do.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.objective.validate()?;
        self.check_loop()?;
        self.check_optimizer()?;
        self.schedule.validate()?;
        self.check_later()
    }

    fn check_loop(&self) -> Result<()> {
        require(self.batch_size > 0, "batch_size", self.batch_size, "give at least 1 sample")?;
        require(self.max_epochs > 0, "max_epochs", self.max_epochs, "give at least 1 epoch")?;
        let remedy = format!("it can't exceed max_epochs = {}", self.max_epochs);
        require(self.min_epochs <= self.max_epochs, "min_epochs", self.min_epochs, &remedy)?;
        require(!self.monitor.is_empty(), "monitor", "\"\"", "name a validation metric, such as val_loss")?;
        let interval = self.val_check_interval;
        require(
            interval > 0.0 && interval <= 1.0,
            "val_check_interval",
            interval,
            "give a share of an epoch in (0, 1]",
        )?;
        require(self.log_every_n_steps > 0, "log_every_n_steps", self.log_every_n_steps, "give at least 1 step")?;
        let delta = self.early_stopping.min_delta;
        require(delta >= 0.0 && delta.is_finite(), "early_stopping.min_delta", delta, "give 0 or more")
    }

    fn check_optimizer(&self) -> Result<()> {
        let o = &self.optimizer;
        let positive = |field: &str, x: f64| {
            require(x > 0.0 && x.is_finite(), &format!("optimizer.{field}"), x, "give a positive number")
        };
        positive("learning_rate", o.learning_rate)?;
        positive("epsilon", o.epsilon)?;
        let decay = o.weight_decay;
        require((0.0..1.0).contains(&decay), "optimizer.weight_decay", decay, "give a number in [0, 1)")?;
        for beta in o.betas {
            require((0.0..1.0).contains(&beta), "optimizer.betas", beta, "give numbers in [0, 1)")?;
        }
        let clip = o.gradient_clip_norm;
        require(clip >= 0.0 && clip.is_finite(), "optimizer.gradient_clip_norm", clip, "give a norm, or 0 for none")?;
        let accumulate = o.accumulate_grad_batches;
        require(accumulate > 0, "optimizer.accumulate_grad_batches", accumulate, "give at least 1 batch")
    }

    /// Refuses by name what a later version will do.
    fn check_later(&self) -> Result<()> {
        let c = &self.cluster;
        require(c.nodes == 1, "cluster.nodes", c.nodes, &format!("more than one node {LATER}"))?;
        require(c.devices == 1, "cluster.devices", c.devices, &format!("more than one device in a process {LATER}"))?;
        let sharded = matches!(c.strategy, Strategy::Zero1 | Strategy::Zero2);
        require(!sharded, "cluster.strategy", format!("{:?}", c.strategy), &format!("sharding {LATER}"))?;
        let known = c.precision != Precision::F16Mixed;
        require(
            known,
            "cluster.precision",
            format!("{:?}", c.precision),
            &format!("loss scaling {LATER}; bf16-mixed needs none"),
        )?;
        let none = |field: &str, value: Option<f64>| {
            let shown = value.unwrap_or_default();
            require(value.is_none(), &format!("budget.{field}"), shown, &format!("enforcing a budget {LATER}"))
        };
        none("max_memory_gb", self.budget.max_memory_gb)?;
        none("max_cpu_percent", self.budget.max_cpu_percent)
    }
}

fn require(kept: bool, field: &str, value: impl std::fmt::Display, remedy: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(Error::invalid(field, value, remedy)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut TrainConfig)) -> String {
        let mut config = TrainConfig::default();
        change(&mut config);
        config.validate().expect_err("the change breaks a rule").to_string()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(TrainConfig::default().validate().is_ok());
    }

    #[test]
    fn each_refusal_names_field_value_and_remedy() {
        assert_eq!(refusal(|c| c.batch_size = 0), "batch_size = 0: give at least 1 sample");
        assert_eq!(refusal(|c| c.min_epochs = 300), "min_epochs = 300: it can't exceed max_epochs = 200");
        assert_eq!(
            refusal(|c| c.val_check_interval = 1.5),
            "val_check_interval = 1.5: give a share of an epoch in (0, 1]"
        );
        assert_eq!(
            refusal(|c| c.optimizer.learning_rate = f64::NAN),
            "optimizer.learning_rate = NaN: give a positive number"
        );
        assert_eq!(refusal(|c| c.optimizer.betas = [0.9, 1.0]), "optimizer.betas = 1: give numbers in [0, 1)");
    }

    #[test]
    fn what_comes_later_is_refused_by_name() {
        assert!(refusal(|c| c.cluster.devices = 8).contains("cluster.devices = 8"));
        assert!(refusal(|c| c.cluster.strategy = Strategy::Zero2).contains("not part of this version"));
        assert!(refusal(|c| c.cluster.precision = Precision::F16Mixed).contains("cluster.precision = F16Mixed"));
        assert!(refusal(|c| c.budget.max_memory_gb = Some(32.0)).contains("budget.max_memory_gb = 32"));
    }

    #[test]
    fn unknown_keys_are_refused_with_their_place() {
        let error = TrainConfig::from_toml("[optimizer]\nlearnin_rate = 0.1").expect_err("a typo");
        assert!(error.to_string().contains("learnin_rate"), "{error}");
        let error = TrainConfig::from_toml("[model]\ntype = \"lstm_attention\"\nlayers = 1").expect_err("a typo");
        assert!(error.to_string().contains("layers"), "{error}");
    }

    #[test]
    fn toml_and_json_round_trip() {
        let config = TrainConfig { seed: 7, max_epochs: 30, ..TrainConfig::default() };
        let toml = config.to_toml().expect("plain values");
        assert_eq!(TrainConfig::from_toml(&toml).ok(), Some(config.clone()));
        let json = serde_json::to_string(&config).expect("plain values");
        assert_eq!(TrainConfig::from_json(&json).ok(), Some(config));
    }
}
