//! The networks, one file each, and [`Forecaster`](crate::Forecaster), which is any of them.

mod linear;
mod lstm_attention;
mod recurrent;
mod tcn;
mod transformer;

pub use linear::Linear;
pub use lstm_attention::LstmAttention;
pub use recurrent::{GruForecaster, LstmForecaster};
pub use tcn::Tcn;
pub use transformer::Transformer;
