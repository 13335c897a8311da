//! Floats in JSON that come back to the bit, infinities and NaN included: text in Rust's shortest round-trip form.
//! JSON numbers would pass through a parser that may round the last bit.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

pub(crate) mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.to_string()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
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
