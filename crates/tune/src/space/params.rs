use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tapeloom_core::exact;

use crate::{Error, Result};

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParamValue {
    /// Of a float range.
    Float(#[serde(with = "exact")] f64),
    /// Of a whole-number range.
    Int(i64),
    /// One of a parameter's choices.
    Category(String),
}

impl ParamValue {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "float",
            Self::Int(_) => "int",
            Self::Category(_) => "category",
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(x) => write!(f, "{x:?}"),
            Self::Int(x) => write!(f, "{x}"),
            Self::Category(name) => f.write_str(name),
        }
    }
}

/// The values of a trial's active parameters, by name.
///
/// ```
/// use tapeloom_tune::{Params, ParamValue};
///
/// let params: Params = [("lr".to_owned(), ParamValue::Float(0.01))].into_iter().collect();
/// assert_eq!(params.float("lr")?, 0.01);
/// assert!(params.int("lr").is_err());
/// # Ok::<(), tapeloom_tune::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, ParamValue>);

impl Params {
    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether no parameter is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same values with one more, or another one.
    #[must_use]
    pub fn with(mut self, name: &str, value: ParamValue) -> Self {
        self.insert(name, value);
        self
    }

    /// The value of a float parameter.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `name` is not active in this trial or is of another kind.
    pub fn float(&self, name: &str) -> Result<f64> {
        match self.active(name)? {
            ParamValue::Float(x) => Ok(*x),
            other => Err(wrong_kind(name, other)),
        }
    }

    /// The value of a whole-number parameter.
    ///
    /// # Errors
    /// As [`Params::float`].
    pub fn int(&self, name: &str) -> Result<i64> {
        match self.active(name)? {
            ParamValue::Int(x) => Ok(*x),
            other => Err(wrong_kind(name, other)),
        }
    }

    /// The choice of a categorical parameter.
    ///
    /// # Errors
    /// As [`Params::float`].
    pub fn category(&self, name: &str) -> Result<&str> {
        match self.active(name)? {
            ParamValue::Category(choice) => Ok(choice),
            other => Err(wrong_kind(name, other)),
        }
    }

    /// The value of any parameter, or none when it is not active in this trial.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&ParamValue> {
        self.0.get(name)
    }

    /// All active parameters, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &ParamValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn insert(&mut self, name: &str, value: ParamValue) {
        self.0.insert(name.to_owned(), value);
    }

    fn active(&self, name: &str) -> Result<&ParamValue> {
        self.value(name).ok_or_else(|| {
            let names: Vec<_> = self.0.keys().collect();
            Error::invalid("parameter", name, format!("it is not active in this trial; these are: {names:?}"))
        })
    }
}

impl FromIterator<(String, ParamValue)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, ParamValue)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

fn wrong_kind(name: &str, value: &ParamValue) -> Error {
    Error::invalid(name, value, format!("it holds a value of kind {0}; read it with `{0}`", value.kind()))
}
