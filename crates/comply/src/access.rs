//! Who may do what, who was locked out, and what looks unusual.

mod anomaly;
mod lockout;
mod meter;
mod roles;

pub use anomaly::{AnomalyConfig, AnomalyDetector, AnomalyScore, Observation};
pub use lockout::{Attempt, Lockout, LockoutConfig};
pub use meter::SecurityMeter;
pub use roles::{Access, Grant, Role};
