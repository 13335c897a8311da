use super::tpe::axis::{Axis, Interval};
use crate::{Domain, History, ParamValue, Params, Result};

/// The parameters that every trial has, as a unit cube: what samplers that know no conditions work on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cube {
    pub(crate) parameters: Vec<(String, Domain, Axis)>,
}

impl Cube {
    /// Of a declared space those without a condition, else those that all trials with evidence named; not those of one value.
    pub(crate) fn of(history: &History) -> Self {
        let all_have = |name: &str| match &history.header().space {
            Some(space) => space.parameters().iter().any(|p| p.name() == name && p.is_unconditional()),
            None => history.trials().iter().filter(|t| t.is_evidence()).all(|t| t.params.value(name).is_some()),
        };
        let learned = history.domains().iter().filter(|(name, _)| all_have(name));
        let parameters = learned.filter_map(|(name, domain)| Some((name.clone(), domain.clone(), Axis::of(domain)?)));
        Self { parameters: parameters.collect() }
    }

    /// The same without choices, which have no order.
    pub(crate) fn numeric(mut self) -> Self {
        self.parameters.retain(|(_, _, axis)| matches!(axis, Axis::Interval(_)));
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Where a trial lies; none when it misses a parameter. A choice lies at the middle of its share.
    pub(crate) fn point(&self, params: &Params) -> Option<Vec<f64>> {
        let coordinate = |(name, domain, axis): &(String, Domain, Axis)| {
            let place = domain.place(params.value(name)?)?;
            Some(match axis {
                Axis::Interval(Interval { low, high, .. }) => (place - low) / (high - low),
                Axis::Choices(count) => (place + 0.5) / *count as f64,
            })
        };
        self.parameters.iter().map(coordinate).collect()
    }

    /// The value at a coordinate.
    pub(crate) fn value(&self, index: usize, coordinate: f64) -> ParamValue {
        let (_, domain, axis) = &self.parameters[index];
        let place = match axis {
            Axis::Interval(Interval { low, high, .. }) => low + coordinate * (high - low),
            Axis::Choices(count) => (coordinate * *count as f64).floor(),
        };
        domain.value_at(place).0
    }

    /// The parameters at a point, and those that are not in the cube by `other`.
    pub(crate) fn params(
        &self,
        request: &super::Request<'_>,
        point: &[f64],
        mut other: impl FnMut(&str, &Domain) -> Result<ParamValue>,
    ) -> Result<Params> {
        request.fill(|name, domain| match self.parameters.iter().position(|(own, _, _)| own == name) {
            Some(index) => Ok(self.value(index, point[index])),
            None => other(name, domain),
        })
    }

    /// The point of the cube's nearest value, coordinate by coordinate.
    pub(crate) fn snapped(&self, point: &[f64]) -> Vec<f64> {
        let snap = |(index, x): (usize, &f64)| {
            let (_, domain, axis) = &self.parameters[index];
            match axis {
                Axis::Interval(Interval { step: None, .. }) => x.clamp(0.0, 1.0),
                Axis::Interval(Interval { low, high, .. }) => {
                    (domain.value_at(low + x * (high - low)).1 - low) / (high - low)
                }
                Axis::Choices(count) => {
                    let count = *count as f64;
                    ((x * count).floor().clamp(0.0, count - 1.0) + 0.5) / count
                }
            }
        };
        point.iter().enumerate().map(snap).collect()
    }
}
