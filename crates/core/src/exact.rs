//! Floats as text, because a JSON number need not come back as the same bits, and has no word for NaN: for
//! `#[serde(with = "tapeloom_core::exact")]`, and the same for options and maps.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// The shortest text that parses to the same bits.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}

/// Accepts plain numbers too, since people write them.
///
/// # Errors
/// When it is no number.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(Float)
}

/// The same for the values of a map.
pub mod map {
    use super::{BTreeMap, Deserialize, Deserializer, Exact, Serializer};

    /// See [`super::serialize`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(map: &BTreeMap<u64, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(key, value)| (key, Exact(*value))))
    }

    /// See [`super::deserialize`].
    ///
    /// # Errors
    /// When a value is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u64, f64>, D::Error> {
        let map = BTreeMap::<u64, Exact>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, Exact(value))| (key, value)).collect())
    }
}

/// The same for an option.
pub mod option {
    use super::{Deserialize, Deserializer, Exact, Serialize, Serializer};

    /// See [`super::serialize`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Exact).serialize(serializer)
    }

    /// See [`super::deserialize`].
    ///
    /// # Errors
    /// When it is neither a number nor nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Exact>::deserialize(deserializer)?.map(|Exact(value)| value))
    }
}

struct Exact(f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

struct Float;

impl Visitor<'_> for Float {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a number as text")
    }

    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
        text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Pair(#[serde(with = "super")] f64, #[serde(with = "super::option")] Option<f64>);

    proptest::proptest! {
        #[test]
        fn every_float_comes_back_to_the_bit(bits: u64) {
            let value = f64::from_bits(bits);
            let json = serde_json::to_string(&Pair(value, Some(value))).expect("text");
            let back: Pair = serde_json::from_str(&json).expect("the same text");
            for got in [back.0, back.1.expect("some")] {
                proptest::prop_assert!(got.to_bits() == bits || got.is_nan() && value.is_nan());
            }
        }
    }
}
