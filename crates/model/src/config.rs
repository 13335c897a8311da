use burn::config::Config;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which network, and how large. In TOML: `type = "lstm_attention"` beside the fields of that type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelConfig {
    /// Stacked LSTM, then self-attention with a residual, mean over time, and a two-layer head.
    LstmAttention(LstmAttentionConfig),
    /// Stacked LSTM and a head on its last step.
    Lstm(RecurrentNetworkConfig),
    /// Stacked GRU and a head on its last step.
    Gru(RecurrentNetworkConfig),
    /// Pre-norm Transformer encoder with learned positions, mean over time, and a two-layer head.
    Transformer(TransformerConfig),
    /// Temporal convolutional network and a head on its last step.
    Tcn(TcnConfig),
    /// One affine map of the window's last row.
    Linear(LinearConfig),
}

/// Sizes of the LSTM with attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LstmAttentionConfig {
    /// Width of every layer (H). Default 256.
    pub hidden_size: usize,
    /// LSTM layers. Default 4.
    pub num_layers: usize,
    /// Share of activations dropped in training: between LSTM layers (not behind the last), on attention weights and
    /// output, and in the head. In [0, 1). Default 0.2.
    pub dropout: f64,
    /// Attention heads; must divide `hidden_size`. Default 8.
    pub attention_heads: usize,
}

impl Default for LstmAttentionConfig {
    fn default() -> Self {
        Self { hidden_size: 256, num_layers: 4, dropout: 0.2, attention_heads: 8 }
    }
}

/// Sizes of the plain recurrent networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecurrentNetworkConfig {
    /// Width of every layer (H). Default 64.
    pub hidden_size: usize,
    /// Recurrent layers. Default 2.
    pub num_layers: usize,
    /// Share of activations dropped in training: between layers and in the head. In [0, 1). Default 0.
    pub dropout: f64,
}

impl Default for RecurrentNetworkConfig {
    fn default() -> Self {
        Self { hidden_size: 64, num_layers: 2, dropout: 0.0 }
    }
}

/// Sizes of the temporal convolutional network. It sees `1 + 2 (kernel_size - 1) (2^num_layers - 1)` steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TcnConfig {
    /// Channels of every block. Default 64.
    pub hidden_size: usize,
    /// Blocks; the dilation doubles from one to the next. At most 16. Default 4.
    pub num_layers: usize,
    /// Taps of each convolution. Default 3.
    pub kernel_size: usize,
    /// Share of activations dropped in training, in [0, 1). Default 0.2.
    pub dropout: f64,
}

impl Default for TcnConfig {
    fn default() -> Self {
        Self { hidden_size: 64, num_layers: 4, kernel_size: 3, dropout: 0.2 }
    }
}

/// Sizes of the Transformer encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerConfig {
    /// Width of every layer (d). Default 256.
    pub hidden_size: usize,
    /// Encoder blocks. Default 4.
    pub num_layers: usize,
    /// Width of the feed-forward part as a multiple of `hidden_size`. Default 4.
    pub feedforward_factor: usize,
    /// Share of activations dropped in training, in [0, 1). Default 0.2.
    pub dropout: f64,
    /// Attention heads; must divide `hidden_size`. Default 8.
    pub attention_heads: usize,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self { hidden_size: 256, num_layers: 4, feedforward_factor: 4, dropout: 0.2, attention_heads: 8 }
    }
}

/// The linear model has no sizes of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearConfig {}

// Burn's trait gives hosts its `save` and `load`; serde is derived here, since Burn's derive lets unknown keys pass.
impl Config for ModelConfig {}
impl Config for LstmAttentionConfig {}
impl Config for RecurrentNetworkConfig {}
impl Config for TransformerConfig {}
impl Config for TcnConfig {}
impl Config for LinearConfig {}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::LstmAttention(LstmAttentionConfig::default())
    }
}

impl ModelConfig {
    /// The names of all types, as in TOML.
    pub const NAMES: [&str; 6] = ["lstm_attention", "lstm", "gru", "transformer", "tcn", "linear"];

    /// The network of this name with its default sizes.
    ///
    /// # Errors
    /// [`Error::Invalid`] that lists the names there are.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "lstm_attention" => Self::LstmAttention(LstmAttentionConfig::default()),
            "lstm" => Self::Lstm(RecurrentNetworkConfig::default()),
            "gru" => Self::Gru(RecurrentNetworkConfig::default()),
            "transformer" => Self::Transformer(TransformerConfig::default()),
            "tcn" => Self::Tcn(TcnConfig::default()),
            "linear" => Self::Linear(LinearConfig::default()),
            other => {
                return Err(Error::invalid("model.type", other, format!("give one of {}", Self::NAMES.join(", "))));
            }
        })
    }

    /// The type's name, as in TOML.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LstmAttention(_) => "lstm_attention",
            Self::Lstm(_) => "lstm",
            Self::Gru(_) => "gru",
            Self::Transformer(_) => "transformer",
            Self::Tcn(_) => "tcn",
            Self::Linear(_) => "linear",
        }
    }

    /// Checks every size.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first field that breaks a rule, such as heads that do not divide the hidden size.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::LstmAttention(c) => check_sizes(c.hidden_size, c.num_layers, c.dropout, c.attention_heads),
            Self::Lstm(c) | Self::Gru(c) => check_sizes(c.hidden_size, c.num_layers, c.dropout, 1),
            Self::Tcn(c) => {
                at_least_one("model.kernel_size", c.kernel_size)?;
                if c.num_layers > 16 {
                    return Err(Error::invalid(
                        "model.num_layers",
                        c.num_layers,
                        "16 blocks already see 131,071 steps",
                    ));
                }
                check_sizes(c.hidden_size, c.num_layers, c.dropout, 1)
            }
            Self::Transformer(c) => {
                at_least_one("model.feedforward_factor", c.feedforward_factor)?;
                check_sizes(c.hidden_size, c.num_layers, c.dropout, c.attention_heads)
            }
            Self::Linear(_) => Ok(()),
        }
    }
}

fn check_sizes(hidden_size: usize, num_layers: usize, dropout: f64, heads: usize) -> Result<()> {
    at_least_one("model.hidden_size", hidden_size)?;
    at_least_one("model.num_layers", num_layers)?;
    at_least_one("model.attention_heads", heads)?;
    if !hidden_size.is_multiple_of(heads) {
        let remedy = format!("it must divide model.hidden_size = {hidden_size} without remainder");
        return Err(Error::invalid("model.attention_heads", heads, remedy));
    }
    if !(0.0..1.0).contains(&dropout) {
        return Err(Error::invalid("model.dropout", dropout, "give a share in [0, 1)"));
    }
    Ok(())
}

fn at_least_one(field: &str, value: usize) -> Result<()> {
    if value == 0 { Err(Error::invalid(field, value, "give at least 1")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused() {
        let text = r#"{"type": "lstm_attention", "hidden_size": 8, "layers": 2}"#;
        let error = serde_json::from_str::<ModelConfig>(text).expect_err("layers is no field");
        assert!(error.to_string().contains("layers"), "{error}");
    }

    #[test]
    fn heads_must_divide_the_hidden_size() {
        let config = LstmAttentionConfig { hidden_size: 32, attention_heads: 5, ..Default::default() };
        let error = ModelConfig::LstmAttention(config).validate().expect_err("5 does not divide 32");
        assert_eq!(
            error.to_string(),
            "model.attention_heads = 5: it must divide model.hidden_size = 32 without remainder"
        );
    }

    #[test]
    fn dropout_of_one_would_drop_everything() {
        let config = TransformerConfig { dropout: 1.0, ..Default::default() };
        assert!(ModelConfig::Transformer(config).validate().is_err());
    }
}
