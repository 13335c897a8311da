use serde::{Deserialize, Serialize};

/// How the gradient of the global batch moves the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The rule. Default `adamw`.
    pub kind: OptimizerKind,
    /// Peak learning rate, before the schedule. Default 1e-3.
    pub learning_rate: f64,
    /// Weight decay. Default 1e-5.
    pub weight_decay: f64,
    /// Weights that are vectors, such as biases and the gains of norms, do not decay. Default false.
    pub decay_matrices_only: bool,
    /// Decay of the first and second moment. Default 0.9 and 0.999; Lion's authors take 0.9 and 0.99.
    pub betas: [f64; 2],
    /// Added to the root of the second moment. Default 1e-8.
    pub epsilon: f64,
    /// Of `sgd` and `rmsprop`. Default 0.
    pub momentum: f64,
    /// Nesterov's form of the momentum of `sgd`. Default false.
    pub nesterov: bool,
    /// Decay of the mean square of `rmsprop`. Default 0.99.
    pub smoothing: f64,
    /// Largest global L2 norm of the gradient; 0 turns clipping by norm off. Default 1.
    pub gradient_clip_norm: f64,
    /// Largest absolute value of any number of the gradient; 0 turns clipping by value off. Default 0.
    pub gradient_clip_value: f64,
    /// Batches whose gradients make one step. Default 2.
    pub accumulate_grad_batches: usize,
    /// Parameters with a rate or decay of their own; the first group that matches a parameter holds. Default none.
    pub groups: Vec<ParameterGroup>,
}

/// The rule of an update. All but AdamW, Lion and LAMB add weight decay to the gradient, as PyTorch does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    #[default]
    AdamW,
    /// Kingma and Ba 2015.
    Adam,
    /// Stochastic gradient descent, with momentum where one is given.
    Sgd,
    /// The sign of a momentum (Chen et al. 2023).
    Lion,
    /// Division by the root of a running mean square (Tieleman and Hinton 2012).
    RmsProp,
    /// Division by the root of the sum of squares (Duchi et al. 2011).
    AdaGrad,
    /// Adam with a step of each parameter in proportion to its norm (You et al. 2020).
    Lamb,
}

/// Parameters by name, and what is different for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Matches every parameter whose path, such as `head.weight`, holds this text.
    pub path: String,
    /// Factor on the learning rate; 0 freezes the parameters. Default 1.
    #[serde(default = "one")]
    pub rate_factor: f64,
    /// Weight decay instead of the optimizer's.
    #[serde(default)]
    pub weight_decay: Option<f64>,
}

const fn one() -> f64 {
    1.0
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::AdamW,
            learning_rate: 1e-3,
            weight_decay: 1e-5,
            decay_matrices_only: false,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            momentum: 0.0,
            nesterov: false,
            smoothing: 0.99,
            gradient_clip_norm: 1.0,
            gradient_clip_value: 0.0,
            accumulate_grad_batches: 2,
            groups: Vec::new(),
        }
    }
}
