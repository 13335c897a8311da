use serde::{Deserialize, Serialize};

/// Steps without an overflow after which the scale doubles.
const INTERVAL: u64 = 2000;
const HIGHEST: f64 = 16_777_216.0;

/// The factor that keeps small gradients inside the range of f16 (Micikevicius et al. 2018). It halves at an overflow and
/// doubles after a while without one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossScale {
    #[serde(with = "tapeloom_core::exact")]
    factor: f64,
    calm: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: 65_536.0, calm: 0 }
    }
}

impl LossScale {
    pub(crate) const fn factor(&self) -> f64 {
        self.factor
    }

    /// After a step whose gradient was finite.
    pub(crate) fn grow(&mut self) {
        self.calm += 1;
        if self.calm >= INTERVAL && self.factor < HIGHEST {
            (self.factor, self.calm) = (self.factor * 2.0, 0);
        }
    }

    /// After an overflow; says whether there was anything left to give up.
    pub(crate) fn shrink(&mut self) -> bool {
        let above = self.factor > 1.0;
        (self.factor, self.calm) = ((self.factor * 0.5).max(1.0), 0);
        above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_at_once_and_doubles_after_a_while() {
        let mut scale = LossScale::default();
        assert!(scale.shrink());
        assert_eq!(scale.factor(), 32_768.0);
        (1..INTERVAL).for_each(|_| scale.grow());
        assert_eq!(scale.factor(), 32_768.0);
        scale.grow();
        assert_eq!(scale.factor(), 65_536.0);
        (0..40).for_each(|_| {
            scale.shrink();
        });
        assert_eq!((scale.factor(), scale.shrink()), (1.0, false));
    }
}
