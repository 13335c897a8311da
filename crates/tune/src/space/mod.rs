mod domain;
mod draws;
mod params;

pub use domain::Domain;
pub use draws::Draws;
pub use params::{ParamValue, Params};

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a study searches: named parameters, some of them active only when others have certain values.
///
/// ```
/// use tapeloom_tune::Space;
///
/// let space = Space::builder()
///     .log_float("learning_rate", 1e-5..=1e-1)
///     .int_step("window", 10..=120, 10)
///     .categorical("cell", ["lstm", "transformer"])
///     .when("cell", ["transformer"], |space| space.int("layers", 1..=6))
///     .build()?;
/// assert_eq!(space.parameters().len(), 4);
/// # Ok::<(), tapeloom_tune::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Parameter>", into = "Vec<Parameter>")]
pub struct Space(Vec<Parameter>);

/// One named parameter of a [`Space`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    name: String,
    domain: Domain,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
}

/// The parent, a categorical parameter, must be active and have one of these values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    parent: String,
    values: Vec<String>,
}

/// Declares the parameters of a [`Space`], parents before those that depend on them.
#[derive(Clone, Debug, Default)]
pub struct SpaceBuilder {
    parameters: Vec<Parameter>,
    conditions: Vec<Condition>,
}

impl Space {
    /// Starts an empty space.
    #[must_use]
    pub fn builder() -> SpaceBuilder {
        SpaceBuilder::default()
    }

    /// All parameters in the order of declaration; a parent stands before those that depend on it.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.0
    }

    /// Gives each parameter that becomes active the value that `pick` chooses for it.
    ///
    /// # Errors
    /// Whatever `pick` returns.
    pub fn fill(&self, mut pick: impl FnMut(&Parameter) -> Result<ParamValue>) -> Result<Params> {
        let mut params = Params::default();
        for parameter in &self.0 {
            if parameter.is_active(&params) {
                params.insert(&parameter.name, pick(parameter)?);
            }
        }
        Ok(params)
    }

    /// Refuses values outside of the space: a missing or inactive parameter, a value that its domain does not have.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the parameter.
    pub fn check(&self, params: &Params) -> Result<()> {
        let active = self.fill(|parameter| {
            let value = params.value(&parameter.name).ok_or_else(|| {
                Error::invalid(&parameter.name, "nothing", "it is active in this trial and needs a value")
            })?;
            if parameter.domain.contains(value) {
                return Ok(value.clone());
            }
            Err(Error::invalid(&parameter.name, value, format!("choose from {}", parameter.domain)))
        })?;
        let extra = params.iter().find(|(name, _)| active.value(name).is_none());
        extra.map_or(Ok(()), |(name, value)| {
            Err(Error::invalid(name, value, "it is not active in this trial; leave it out"))
        })
    }
}

impl Parameter {
    /// Unique in its space.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values that it can take.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether every trial has it.
    pub(crate) const fn is_unconditional(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether it has a value next to these values of its parents.
    #[must_use]
    pub fn is_active(&self, parents: &Params) -> bool {
        self.conditions.iter().all(|condition| match parents.value(&condition.parent) {
            Some(ParamValue::Category(choice)) => condition.values.contains(choice),
            _ => false,
        })
    }

    /// Refuses what can't stand behind the `earlier` parameters.
    fn check(&self, earlier: &[Self]) -> Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            let remedy = "use 1 to 64 letters, digits, '.', '-' or '_'";
            return Err(Error::invalid("parameter name", format!("{:?}", self.name), remedy));
        }
        if earlier.iter().any(|other| other.name == self.name) {
            return Err(Error::invalid("parameter name", &self.name, "declare each name once, in other branches too"));
        }
        self.domain.check(&self.name)?;
        self.conditions.iter().try_for_each(|condition| condition.check(&self.name, earlier))
    }
}

impl Condition {
    fn check(&self, child: &str, earlier: &[Parameter]) -> Result<()> {
        let field = format!("condition of {child}");
        let parent = earlier.iter().find(|other| other.name == self.parent);
        let Some(Domain::Categorical { choices }) = parent.map(Parameter::domain) else {
            return Err(Error::invalid(field, &self.parent, "name a categorical parameter that is declared before it"));
        };
        if self.values.is_empty() {
            return Err(Error::invalid(field, "no value", format!("name some of {choices:?}")));
        }
        let stranger = self.values.iter().find(|value| !choices.contains(value));
        stranger.map_or(Ok(()), |value| Err(Error::invalid(field, value, format!("name some of {choices:?}"))))
    }
}

impl SpaceBuilder {
    /// Any number of `range`, uniform.
    #[must_use]
    pub fn float(self, name: impl Into<String>, range: RangeInclusive<f64>) -> Self {
        let (low, high) = range.into_inner();
        self.parameter(name, Domain::Float { low, high })
    }

    /// Any number of a positive `range`, uniform in its logarithm.
    #[must_use]
    pub fn log_float(self, name: impl Into<String>, range: RangeInclusive<f64>) -> Self {
        let (low, high) = range.into_inner();
        self.parameter(name, Domain::LogFloat { low, high })
    }

    /// Every `step`-th number of `range`, both ends included.
    #[must_use]
    pub fn float_step(self, name: impl Into<String>, range: RangeInclusive<f64>, step: f64) -> Self {
        let (low, high) = range.into_inner();
        self.parameter(name, Domain::SteppedFloat { low, high, step })
    }

    /// Every whole number of `range`.
    #[must_use]
    pub fn int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        self.int_step(name, range, 1)
    }

    /// Every `step`-th whole number of `range`, both ends included.
    #[must_use]
    pub fn int_step(self, name: impl Into<String>, range: RangeInclusive<i64>, step: i64) -> Self {
        let (low, high) = range.into_inner();
        self.parameter(name, Domain::Int { low, high, step })
    }

    /// Whole numbers of a positive `range`, as likely as their share of its logarithm.
    #[must_use]
    pub fn log_int(self, name: impl Into<String>, range: RangeInclusive<i64>) -> Self {
        let (low, high) = range.into_inner();
        self.parameter(name, Domain::LogInt { low, high })
    }

    /// One of `choices`.
    #[must_use]
    pub fn categorical<C: Into<String>>(self, name: impl Into<String>, choices: impl IntoIterator<Item = C>) -> Self {
        let choices = choices.into_iter().map(Into::into).collect();
        self.parameter(name, Domain::Categorical { choices })
    }

    /// What `declare` adds is active only while the categorical `parent` is active and has one of `values`.
    #[must_use]
    pub fn when<V: Into<String>>(
        mut self,
        parent: impl Into<String>,
        values: impl IntoIterator<Item = V>,
        declare: impl FnOnce(Self) -> Self,
    ) -> Self {
        let outer = self.conditions.clone();
        let values = values.into_iter().map(Into::into).collect();
        self.conditions.push(Condition { parent: parent.into(), values });
        Self { conditions: outer, ..declare(self) }
    }

    /// The space, if every parameter of it can be drawn from.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the first parameter that breaks a rule, its value and the remedy.
    pub fn build(self) -> Result<Space> {
        self.parameters.try_into()
    }

    fn parameter(mut self, name: impl Into<String>, domain: Domain) -> Self {
        self.parameters.push(Parameter { name: name.into(), domain, conditions: self.conditions.clone() });
        self
    }
}

impl TryFrom<Vec<Parameter>> for Space {
    type Error = Error;

    fn try_from(parameters: Vec<Parameter>) -> Result<Self> {
        if parameters.is_empty() {
            return Err(Error::invalid("space", "empty", "declare at least one parameter"));
        }
        parameters.iter().enumerate().try_for_each(|(i, parameter)| parameter.check(&parameters[..i]))?;
        Ok(Self(parameters))
    }
}

impl From<Space> for Vec<Parameter> {
    fn from(space: Space) -> Self {
        space.0
    }
}
