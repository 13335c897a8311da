use std::fmt;

use serde::{Deserialize, Serialize};
use tapeloom_core::exact;

use crate::{Draws, Error, ParamValue, Result};

/// The values that a parameter can take. Both ends of a range belong to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Domain {
    /// Any number of a range, uniform.
    Float {
        /// Smallest value.
        #[serde(with = "exact")]
        low: f64,
        /// Largest value.
        #[serde(with = "exact")]
        high: f64,
    },
    /// Any number of a positive range, uniform in its logarithm.
    LogFloat {
        /// Smallest value, above zero.
        #[serde(with = "exact")]
        low: f64,
        /// Largest value.
        #[serde(with = "exact")]
        high: f64,
    },
    /// `low`, `low + step` and so on up to `high`, equally likely.
    SteppedFloat {
        /// Smallest value.
        #[serde(with = "exact")]
        low: f64,
        /// Largest value, a whole number of steps above `low`.
        #[serde(with = "exact")]
        high: f64,
        /// Distance of neighbours.
        #[serde(with = "exact")]
        step: f64,
    },
    /// `low`, `low + step` and so on up to `high`, equally likely.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value, a whole number of steps above `low`.
        high: i64,
        /// Distance of neighbours.
        step: i64,
    },
    /// Whole numbers of a positive range: a uniform draw in the logarithm of `low - 0.5` to `high + 0.5`, rounded.
    LogInt {
        /// Smallest value, at least 1.
        low: i64,
        /// Largest value, at most 2^53.
        high: i64,
    },
    /// One of several names, equally likely.
    Categorical {
        /// The names.
        choices: Vec<String>,
    },
}

impl Domain {
    /// Draws a value. Values of log ranges may differ in the last bit between platforms, as their `exp` and `ln` do.
    #[must_use]
    pub fn sample(&self, draws: &mut Draws) -> ParamValue {
        match self {
            Self::Float { low, high } => ParamValue::Float((low + (high - low) * draws.unit()).clamp(*low, *high)),
            Self::LogFloat { low, high } => ParamValue::Float(log_uniform(*low, *high, draws).clamp(*low, *high)),
            Self::LogInt { low, high } => {
                let drawn = log_uniform(*low as f64 - 0.5, *high as f64 + 0.5, draws).round() as i64;
                ParamValue::Int(drawn.clamp(*low, *high))
            }
            Self::SteppedFloat { low, high, step } => {
                ParamValue::Float(stepped(*low, *high, *step, draws.below(float_count(*low, *high, *step))))
            }
            Self::Int { low, high, step } => {
                ParamValue::Int(low + step * draws.below(int_count(*low, *high, *step)) as i64)
            }
            Self::Categorical { choices } => {
                ParamValue::Category(choices[draws.below(choices.len() as u64) as usize].clone())
            }
        }
    }

    /// How many values there are, or none when the range is continuous.
    #[must_use]
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float { low, high } | Self::LogFloat { low, high } => (low == high).then_some(1),
            Self::SteppedFloat { low, high, step } => Some(float_count(*low, *high, *step)),
            Self::Int { low, high, step } => Some(int_count(*low, *high, *step)),
            Self::LogInt { low, high } => Some(int_count(*low, *high, 1)),
            Self::Categorical { choices } => Some(choices.len() as u64),
        }
    }

    /// The value at `index`, in ascending order, of a domain with a [cardinality](Domain::cardinality).
    #[must_use]
    pub fn at(&self, index: u64) -> Option<ParamValue> {
        if self.cardinality().is_none_or(|count| index >= count) {
            return None;
        }
        Some(match self {
            Self::Float { low, .. } | Self::LogFloat { low, .. } => ParamValue::Float(*low),
            Self::SteppedFloat { low, high, step } => ParamValue::Float(stepped(*low, *high, *step, index)),
            Self::Int { low, step, .. } => ParamValue::Int(low + step * index as i64),
            Self::LogInt { low, .. } => ParamValue::Int(low + index as i64),
            Self::Categorical { choices } => ParamValue::Category(choices.get(usize::try_from(index).ok()?)?.clone()),
        })
    }

    /// Whether `value` is one of this domain's, of the right kind too.
    #[must_use]
    pub fn contains(&self, value: &ParamValue) -> bool {
        match (self, value) {
            (Self::Float { low, high } | Self::LogFloat { low, high }, ParamValue::Float(x)) => {
                (*low..=*high).contains(x)
            }
            (Self::SteppedFloat { low, high, step }, ParamValue::Float(x)) => {
                // Steps are compared by their index: sums of floats are not exact.
                let index = ((x - low) / step).round();
                (*low..=*high).contains(x) && stepped(*low, *high, *step, index as u64) == *x
            }
            (Self::Int { low, high, step }, ParamValue::Int(x)) => {
                (*low..=*high).contains(x) && (i128::from(*x) - i128::from(*low)) % i128::from(*step) == 0
            }
            (Self::LogInt { low, high }, ParamValue::Int(x)) => (*low..=*high).contains(x),
            (Self::Categorical { choices }, ParamValue::Category(name)) => choices.contains(name),
            _ => false,
        }
    }

    /// Refuses what can't be drawn from, naming the parameter.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let refuse = |remedy: &str| Err(Error::invalid(name, self, remedy));
        match self {
            Self::Float { low, high } | Self::LogFloat { low, high } | Self::SteppedFloat { low, high, .. }
                if !(high - low).is_finite() || low > high =>
            {
                refuse("give finite ends, the low one first, not further apart than a float can say")
            }
            Self::LogFloat { low, .. } if *low <= 0.0 => refuse("a log range starts above 0"),
            Self::SteppedFloat { low, high, step } => {
                let steps = (high - low) / step;
                if !step.is_finite() || *step <= 0.0 {
                    return refuse("give a step above 0");
                }
                if steps > MAX_EXACT || low + step == *low {
                    return refuse("widen the step: a float can't tell the neighbours apart");
                }
                if (steps - steps.round()).abs() > 1e-9 * steps.max(1.0) {
                    let (below, above) = (low + step * steps.floor(), low + step * steps.ceil());
                    return refuse(&format!("end on a step, such as {below} or {above}"));
                }
                Ok(())
            }
            Self::Int { low, high, .. } | Self::LogInt { low, high } if low > high => refuse("put the low end first"),
            Self::Int { step, .. } if *step < 1 => refuse("give a step of at least 1"),
            Self::Int { low, high, step } => {
                let span = i128::from(*high) - i128::from(*low);
                if span > i128::from(i64::MAX) {
                    return refuse("give ends less than 2^63 apart");
                }
                if span % i128::from(*step) != 0 {
                    let below = i128::from(*high) - span % i128::from(*step);
                    return refuse(&format!("end on a step, such as {below} or {}", below + i128::from(*step)));
                }
                Ok(())
            }
            Self::LogInt { low, .. } if *low < 1 => refuse("a log range of whole numbers starts at 1 or above"),
            Self::LogInt { high, .. } if *high > MAX_EXACT as i64 => refuse("end at 2^53 or below"),
            Self::Categorical { choices } if choices.is_empty() => refuse("give at least one choice"),
            Self::Categorical { choices } if (1..choices.len()).any(|i| choices[..i].contains(&choices[i])) => {
                refuse("give each choice once")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float { low, high } => write!(f, "{low:?}..={high:?}"),
            Self::LogFloat { low, high } => write!(f, "log {low:?}..={high:?}"),
            Self::SteppedFloat { low, high, step } => write!(f, "{low:?}..={high:?} by {step:?}"),
            Self::Int { low, high, step: 1 } => write!(f, "{low}..={high}"),
            Self::Int { low, high, step } => write!(f, "{low}..={high} by {step}"),
            Self::LogInt { low, high } => write!(f, "log {low}..={high}"),
            Self::Categorical { choices } => write!(f, "{choices:?}"),
        }
    }
}

/// 2^53: up to here a float says every whole number.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

fn log_uniform(low: f64, high: f64, draws: &mut Draws) -> f64 {
    let (low, high) = (low.ln(), high.ln());
    (low + (high - low) * draws.unit()).exp()
}

fn float_count(low: f64, high: f64, step: f64) -> u64 {
    ((high - low) / step).round() as u64 + 1
}

fn stepped(low: f64, high: f64, step: f64, index: u64) -> f64 {
    // The last step is the end as it was given, not the sum that rounds near it.
    if index + 1 >= float_count(low, high, step) { high } else { low + step * index as f64 }
}

fn int_count(low: i64, high: i64, step: i64) -> u64 {
    high.abs_diff(low) / step.unsigned_abs() + 1
}
