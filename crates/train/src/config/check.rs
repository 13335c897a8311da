use tapeloom_model::Objective;

use crate::config::{OptimizerKind, Reduction, Strategy, TrainConfig};
use crate::{Error, Result};

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
        self.check_parts()?;
        self.check_cluster()
    }

    fn check_loop(&self) -> Result<()> {
        require(self.batch_size > 0, "batch_size", self.batch_size, "give at least 1 sample")?;
        require(self.max_epochs > 0, "max_epochs", self.max_epochs, "give at least 1 epoch")?;
        let remedy = format!("it can't exceed max_epochs = {}", self.max_epochs);
        require(self.min_epochs <= self.max_epochs, "min_epochs", self.min_epochs, &remedy)?;
        require(self.max_steps != Some(0), "max_steps", 0, "give at least 1 step, or leave it out")?;
        let minutes = self.max_minutes.unwrap_or(1.0);
        require(is_positive(minutes), "max_minutes", minutes, "give a positive number, or leave it out")?;
        require(!self.monitor.is_empty(), "monitor", "\"\"", "name a validation metric, such as val_loss")?;
        let interval = self.val_check_interval;
        let sound = interval > 0.0 && (interval <= 1.0 || interval.fract() == 0.0 && interval.is_finite());
        let remedy = "give a share of an epoch in (0, 1], or a whole number of steps";
        require(sound, "val_check_interval", interval, remedy)?;
        require(self.log_every_n_steps > 0, "log_every_n_steps", self.log_every_n_steps, "give at least 1 step")?;
        let delta = self.early_stopping.min_delta;
        require(delta >= 0.0 && delta.is_finite(), "early_stopping.min_delta", delta, "give 0 or more")?;
        let minutes = self.checkpoint.every_n_minutes;
        let remedy = "give minutes, or 0 for none";
        require(minutes >= 0.0 && minutes.is_finite(), "checkpoint.every_n_minutes", minutes, remedy)
    }

    fn check_optimizer(&self) -> Result<()> {
        let o = &self.optimizer;
        let positive =
            |field: &str, x: f64| require(is_positive(x), &format!("optimizer.{field}"), x, "give a positive number");
        let share = |field: &str, x: f64| {
            require((0.0..1.0).contains(&x), &format!("optimizer.{field}"), x, "give numbers in [0, 1)")
        };
        positive("learning_rate", o.learning_rate)?;
        positive("epsilon", o.epsilon)?;
        require((0.0..1.0).contains(&o.weight_decay), "optimizer.weight_decay", o.weight_decay, DECAY)?;
        o.betas.iter().try_for_each(|beta| share("betas", *beta))?;
        share("momentum", o.momentum)?;
        share("smoothing", o.smoothing)?;
        let sound = !o.nesterov || o.kind == OptimizerKind::Sgd && o.momentum > 0.0;
        require(sound, "optimizer.nesterov", true, "it is a form of the momentum of sgd; give kind and momentum")?;
        let (norm, value) = (o.gradient_clip_norm, o.gradient_clip_value);
        require(norm >= 0.0 && norm.is_finite(), "optimizer.gradient_clip_norm", norm, "give a norm, or 0 for none")?;
        let remedy = "give a bound, or 0 for none";
        require(value >= 0.0 && value.is_finite(), "optimizer.gradient_clip_value", value, remedy)?;
        let remedy = "set gradient_clip_norm to 0 to clip by value";
        require(norm == 0.0 || value == 0.0, "optimizer.gradient_clip_value", value, remedy)?;
        let accumulate = o.accumulate_grad_batches;
        require(accumulate > 0, "optimizer.accumulate_grad_batches", accumulate, "give at least 1 batch")?;
        o.groups.iter().try_for_each(|group| {
            require(!group.path.is_empty(), "optimizer.groups.path", "\"\"", "give part of a parameter's path")?;
            let factor = group.rate_factor;
            let sound = factor >= 0.0 && factor.is_finite();
            require(sound, "optimizer.groups.rate_factor", factor, "give 0 to freeze, or a positive factor")?;
            let decay = group.weight_decay.unwrap_or_default();
            require((0.0..1.0).contains(&decay), "optimizer.groups.weight_decay", decay, DECAY)
        })
    }

    fn check_parts(&self) -> Result<()> {
        let (average, recovery, loader) = (&self.averaging, &self.recovery, &self.loader);
        let remedy = "give a number in [0, 1)";
        require((0.0..1.0).contains(&average.decay), "averaging.decay", average.decay, remedy)?;
        require(average.start_epoch > 0, "averaging.start_epoch", 0, "epochs count from 1")?;
        let cut = recovery.learning_rate_cut;
        require(cut > 0.0 && cut <= 1.0, "recovery.learning_rate_cut", cut, "give a factor in (0, 1]")?;
        let most = 256;
        require(loader.num_workers <= most, "loader.num_workers", loader.num_workers, "give at most 256 threads")?;
        require(loader.prefetch_batches > 0, "loader.prefetch_batches", 0, "give at least 1 batch")?;
        let sound = self.class_weights.iter().all(|w| *w >= 0.0 && w.is_finite());
        let shown = format!("{:?}", self.class_weights);
        require(sound, "class_weights", &shown, "give numbers from 0")?;
        match self.objective {
            Objective::CrossEntropy { classes } => {
                let sound = self.class_weights.is_empty() || self.class_weights.len() == classes;
                require(sound, "class_weights", shown, &format!("give one for each of {classes} classes, or none"))
            }
            _ => require(self.class_weights.is_empty(), "class_weights", shown, "they need the loss cross_entropy"),
        }
    }

    fn check_cluster(&self) -> Result<()> {
        let c = &self.cluster;
        require(c.nodes > 0, "cluster.nodes", c.nodes, "give at least 1")?;
        require(c.devices > 0, "cluster.devices", c.devices, "give at least 1")?;
        require(c.virtual_shards > 0, "cluster.virtual_shards", c.virtual_shards, "give at least 1")?;
        let remedy = "gradients are not held in parts yet; zero1 holds the optimizer's state in parts";
        require(c.strategy != Strategy::Zero2, "cluster.strategy", "zero2", remedy)?;
        if c.strategy == Strategy::Zero1 {
            let remedy =
                "its rate depends on whole tensors, which no rank has in zero1; choose another optimizer, or ddp";
            require(self.optimizer.kind != OptimizerKind::Lamb, "optimizer.kind", "lamb", remedy)?;
            let remedy = "its sums are over whole gradients; choose order, or ddp";
            require(c.reduction != Reduction::Bits, "cluster.reduction", "bits", remedy)?;
        }
        let limit = |field: &str, value: Option<f64>| {
            let shown = value.unwrap_or(1.0);
            require(is_positive(shown), &format!("budget.{field}"), shown, "give a positive number, or leave it out")
        };
        limit("max_memory_gb", self.budget.max_memory_gb)?;
        limit("max_cpu_percent", self.budget.max_cpu_percent)
    }
}

const DECAY: &str = "give a number in [0, 1)";

fn is_positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
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
            "val_check_interval = 1.5: give a share of an epoch in (0, 1], or a whole number of steps"
        );
        assert_eq!(
            refusal(|c| c.optimizer.learning_rate = f64::NAN),
            "optimizer.learning_rate = NaN: give a positive number"
        );
        assert_eq!(refusal(|c| c.optimizer.betas = [0.9, 1.0]), "optimizer.betas = 1: give numbers in [0, 1)");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(refusal(|c| c.cluster.strategy = Strategy::Zero2).contains("not held in parts yet"));
        assert!(refusal(|c| c.optimizer.gradient_clip_value = 0.5).contains("set gradient_clip_norm to 0"));
        assert!(refusal(|c| c.optimizer.nesterov = true).contains("momentum of sgd"));
        assert!(refusal(|c| c.class_weights = vec![1.0, 2.0]).contains("need the loss cross_entropy"));
        assert!(refusal(|c| c.budget.max_memory_gb = Some(0.0)).contains("budget.max_memory_gb = 0"));
    }

    #[test]
    fn names_of_other_trainers_are_understood() {
        let config = TrainConfig::from_toml("[cluster]\nprecision = \"16-mixed\"\nnodes = 2\ndevices = 8");
        let config = config.expect("the names of the original configuration");
        assert_eq!(config.cluster.precision, crate::Precision::F16Mixed);
        assert_eq!(config.global_batch(), 128 * 2 * 16);
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
