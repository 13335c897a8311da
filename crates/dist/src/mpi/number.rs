use ::mpi::traits::Equivalence;

use crate::element::Element;

/// A number that MPI carries.
pub(super) trait Number: Element + Equivalence + Send + 'static {
    /// An integer that is larger where the number is: MPI's own maximum of floats loses NaN.
    type Key: Equivalence + Copy + Default;

    /// NaN is the largest of all.
    fn key(self) -> Self::Key;

    fn of_key(key: Self::Key) -> Self;
}

impl Number for f32 {
    type Key = i32;

    fn key(self) -> i32 {
        if self.is_nan() {
            return i32::MAX;
        }
        let bits = self.to_bits().cast_signed();
        // Negative numbers count down as their bits count up.
        bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
    }

    fn of_key(key: i32) -> Self {
        if key == i32::MAX {
            return Self::NAN;
        }
        Self::from_bits((key ^ ((key >> 31).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
    }
}

impl Number for f64 {
    type Key = i64;

    fn key(self) -> i64 {
        if self.is_nan() {
            return i64::MAX;
        }
        let bits = self.to_bits().cast_signed();
        bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
    }

    fn of_key(key: i64) -> Self {
        if key == i64::MAX {
            return Self::NAN;
        }
        Self::from_bits((key ^ ((key >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_numbers_and_lead_back() {
        let numbers =
            [f64::NEG_INFINITY, -1e300, -1.5, -1e-310, -0.0, 0.0, 1e-310, 1.0, 1e300, f64::INFINITY, f64::NAN];
        assert!(numbers.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        assert!(numbers.iter().all(|x| f64::of_key(x.key()).to_bits() == x.to_bits()));
        let numbers = numbers.map(|x| x as f32);
        assert!(numbers.windows(2).all(|pair| pair[0].key() <= pair[1].key()));
        assert!(numbers.iter().all(|x| f32::of_key(x.key()).to_bits() == x.to_bits()));
    }
}
