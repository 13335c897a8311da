use crate::{Domain, Draws, ParamValue};

/// A domain as a kernel density sees it: an interval of numbers, or a number of choices.
///
/// Log ranges lie on their logarithm. Stepped ranges reach half a step beyond their ends, so that every value has a whole step
/// around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Axis {
    Interval(Interval),
    Choices(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interval {
    /// Of the density, in its scale.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// In the scale of the values.
    pub(crate) step: Option<f64>,
    pub(crate) log: bool,
}

impl Axis {
    /// None for a domain of one value: there is nothing to learn.
    pub(crate) fn of(domain: &Domain) -> Option<Self> {
        if domain.cardinality() == Some(1) {
            return None;
        }
        let interval = |low: f64, high: f64, step: Option<f64>, log: bool| {
            let half = step.unwrap_or(0.0) / 2.0;
            let (low, high) = (low - half, high + half);
            let (low, high) = if log { (low.ln(), high.ln()) } else { (low, high) };
            Self::Interval(Interval { low, high, step, log })
        };
        Some(match domain {
            Domain::Float { low, high } => interval(*low, *high, None, false),
            Domain::LogFloat { low, high } => interval(*low, *high, None, true),
            Domain::SteppedFloat { low, high, step } => interval(*low, *high, Some(*step), false),
            Domain::Int { low, high, step } => interval(*low as f64, *high as f64, Some(*step as f64), false),
            Domain::LogInt { low, high } => interval(*low as f64, *high as f64, Some(1.0), true),
            Domain::Categorical { choices } => Self::Choices(choices.len()),
        })
    }

    /// Whether values repeat, so that what is computed for one serves for many.
    pub(crate) const fn is_discrete(&self) -> bool {
        matches!(self, Self::Choices(_) | Self::Interval(Interval { step: Some(_), .. }))
    }
}

impl Interval {
    /// The ends of the step around a place of a stepped range.
    pub(crate) fn around(&self, place: f64) -> (f64, f64) {
        let half = self.step.unwrap_or(0.0) / 2.0;
        if self.log {
            // A whole number that went through its logarithm.
            let value = place.exp().round();
            ((value - half).ln(), (value + half).ln())
        } else {
            (place - half, place + half)
        }
    }
}

impl Domain {
    /// Where a value of this domain lies on its axis; a choice at its index.
    pub(crate) fn place(&self, value: &ParamValue) -> Option<f64> {
        if !self.contains(value) {
            return None;
        }
        match (self, value) {
            (Self::LogFloat { .. }, ParamValue::Float(x)) => Some(x.ln()),
            (_, ParamValue::Float(x)) => Some(*x),
            (Self::LogInt { .. }, ParamValue::Int(x)) => Some((*x as f64).ln()),
            (_, ParamValue::Int(x)) => Some(*x as f64),
            (Self::Categorical { choices }, ParamValue::Category(name)) => {
                choices.iter().position(|choice| choice == name).map(|index| index as f64)
            }
            _ => None,
        }
    }

    /// The value nearest to a place on the axis, and where that value lies.
    pub(crate) fn value_at(&self, place: f64) -> (ParamValue, f64) {
        let value = match self {
            Self::Float { low, high } => ParamValue::Float(place.clamp(*low, *high)),
            Self::LogFloat { low, high } => ParamValue::Float(place.exp().clamp(*low, *high)),
            Self::SteppedFloat { low, high, step } => {
                let last = self.cardinality().unwrap_or(1) - 1;
                let index = (((place - low) / step).round().max(0.0) as u64).min(last);
                self.at(index).unwrap_or(ParamValue::Float(*high))
            }
            Self::Int { low, high, step } => {
                let index = ((place - *low as f64) / *step as f64).round().max(0.0) as u64;
                let last = self.cardinality().unwrap_or(1) - 1;
                self.at(index.min(last)).unwrap_or(ParamValue::Int(*high))
            }
            Self::LogInt { low, high } => ParamValue::Int((place.exp().round() as i64).clamp(*low, *high)),
            Self::Categorical { choices } => {
                ParamValue::Category(choices[(place.max(0.0) as usize).min(choices.len() - 1)].clone())
            }
        };
        let place = self.place(&value).unwrap_or(place);
        (value, place)
    }
}

/// Draws a place of any axis, evenly.
pub(crate) fn even(axis: &Axis, draws: &mut Draws) -> f64 {
    match axis {
        Axis::Interval(interval) => interval.low + (interval.high - interval.low) * draws.unit(),
        Axis::Choices(count) => draws.below(*count as u64) as f64,
    }
}
