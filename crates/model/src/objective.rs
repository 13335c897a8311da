use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::ops::{self, Loss};
use crate::{Error, Result};

/// What the network is trained for: the loss, and with it the meaning of its outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "loss", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Objective {
    /// Regression on the mean squared error.
    #[default]
    Mse,
    /// Regression on the mean absolute error.
    Mae,
    /// Regression on Huber's loss: squared up to `delta`, linear beyond.
    Huber {
        /// In units of the target, greater than 0.
        delta: f64,
    },
    /// Classification: the one target is the class number, 0 to `classes - 1`.
    CrossEntropy {
        /// At least 2.
        classes: usize,
    },
}

impl Objective {
    /// Numbers that the network puts out for a sample with `targets` targets.
    #[must_use]
    pub const fn outputs(&self, targets: usize) -> usize {
        match self {
            Self::CrossEntropy { classes } => *classes,
            _ => targets,
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Huber { delta } if !(*delta > 0.0 && delta.is_finite()) => {
                Err(Error::invalid("objective.delta", delta, "give a positive number"))
            }
            Self::CrossEntropy { classes } if *classes < 2 => {
                Err(Error::invalid("objective.classes", classes, "give at least 2"))
            }
            _ => Ok(()),
        }
    }

    /// The loss of a batch, a tensor of one number: the mean over samples and outputs.
    ///
    /// `outputs` is `[batch, outputs]` as the network gave it, `targets` is `[batch, targets]`.
    #[must_use]
    pub fn loss(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let fused = match self {
            Self::Mse => Some(Loss::Squared),
            Self::Mae => Some(Loss::Absolute),
            Self::Huber { delta } => Some(Loss::Huber { delta: *delta }),
            Self::CrossEntropy { .. } => None,
        };
        if let Some(call) = fused.filter(|_| ops::covers(&outputs.device(), outputs.dtype())) {
            return ops::loss(call, outputs, targets);
        }
        match self {
            Self::Mse => (outputs - targets).square().mean(),
            Self::Mae => (outputs - targets).abs().mean(),
            Self::Huber { delta } => huber(outputs - targets, *delta).mean(),
            Self::CrossEntropy { .. } => {
                let class: Tensor<2, Int> = targets.int();
                -log_softmax(outputs, 1).gather(1, class).mean()
            }
        }
    }

    /// The loss of each sample, `[batch]`: the mean over its outputs. Their mean is [`Objective::loss`].
    #[must_use]
    pub fn losses(&self, outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let batch = outputs.dims()[0];
        let each = match self {
            Self::Mse => (outputs - targets).square(),
            Self::Mae => (outputs - targets).abs(),
            Self::Huber { delta } => huber(outputs - targets, *delta),
            Self::CrossEntropy { .. } => -log_softmax(outputs, 1).gather(1, targets.int()),
        };
        each.mean_dim(1).reshape([batch])
    }

    /// What a user wants to see: values for regression, class probabilities for classification.
    #[must_use]
    pub fn prediction(&self, outputs: Tensor<2>) -> Tensor<2> {
        match self {
            Self::CrossEntropy { .. } => softmax(outputs, 1),
            _ => outputs,
        }
    }
}

fn huber(error: Tensor<2>, delta: f64) -> Tensor<2> {
    let error = error.abs();
    let small = error.clone().clamp(0.0, delta);
    // With s = min(e, d): s^2/2 + d (e - s) is the loss on both sides of d, and smooth at d.
    small.clone().square() * 0.5 + (error - small) * delta
}
