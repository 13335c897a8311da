//! Sums over many kernels, in the widest registers that the processor has.
//!
//! The order of additions is fixed and products are not fused with sums, so every processor gives the same bits.

/// The widest registers that this processor has, among those that matter: those of AVX2 and FMA, or what every processor of
/// its kind has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    #[cfg(target_arch = "x86_64")]
    v3: Option<pulp::x86::V3>,
}

/// How many kernels are taken at once, for all candidates: their numbers then stay in the second-level cache.
pub(crate) const BLOCK: usize = 512;

/// How many sums run side by side.
const LANES: usize = 8;

impl Registers {
    pub(crate) fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            v3: pulp::x86::V3::try_new(),
        }
    }

    #[inline(always)]
    fn run<T>(self, work: impl FnOnce() -> T) -> T {
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = self.v3 {
            return pulp::Simd::vectorize(v3, work);
        }
        work()
    }
}

/// Adds -((x - mu) * scale)^2 to each sum.
pub(crate) fn subtract_squares(registers: Registers, sums: &mut [f64], mu: &[f64], scale: &[f64], x: f64) {
    registers.run(
        #[inline(always)]
        || {
            for ((sum, mu), scale) in sums.iter_mut().zip(mu).zip(scale) {
                let z = (x - mu) * scale;
                *sum -= z * z;
            }
        },
    );
}

/// Adds to each sum what the table holds for its class.
pub(crate) fn add_classes(sums: &mut [f64], classes: &[u32], table: &[f64]) {
    for (sum, class) in sums.iter_mut().zip(classes) {
        *sum += table[*class as usize];
    }
}

/// The largest of the numbers.
pub(crate) fn max(registers: Registers, numbers: &[f64]) -> f64 {
    registers.run(
        #[inline(always)]
        || {
            let mut lanes = [f64::NEG_INFINITY; LANES];
            let chunks = numbers.chunks_exact(LANES);
            let rest = chunks.remainder();
            for chunk in chunks {
                for (lane, x) in lanes.iter_mut().zip(chunk) {
                    *lane = if *x > *lane { *x } else { *lane };
                }
            }
            lanes.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max)
        },
    )
}

/// The sum of weight times e^(number - shift); no number may be above the shift.
pub(crate) fn weighted_exp_sum(registers: Registers, numbers: &[f64], weights: &[f64], shift: f64) -> f64 {
    registers.run(
        #[inline(always)]
        || {
            let mut lanes = [0.0; LANES];
            let chunks = numbers.chunks_exact(LANES).zip(weights.chunks_exact(LANES));
            for (numbers, weights) in chunks {
                for ((lane, x), weight) in lanes.iter_mut().zip(numbers).zip(weights) {
                    *lane += weight * exp(x - shift);
                }
            }
            let done = numbers.len() / LANES * LANES;
            for ((lane, x), weight) in lanes.iter_mut().zip(&numbers[done..]).zip(&weights[done..]) {
                *lane += weight * exp(x - shift);
            }
            lanes.iter().sum()
        },
    )
}

/// e^x for x up to 0, to one unit in the last place or two; below -700 it is as good as nothing.
///
/// Without branches and tables, so that it is done for several numbers at once: x = n ln 2 + r, and a Taylor polynomial in r.
#[inline(always)]
fn exp(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it rounds to a whole number.
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut sum = 1.0 / 479_001_600.0;
    for factorial in [39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        sum = sum * r + 1.0 / factorial;
    }
    sum * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_standard_library() {
        for i in 0..70_000 {
            let x = -f64::from(i) / 100.0 + 0.003_7;
            let want = if x > 0.0 { continue } else { x.exp() };
            assert!((exp(x) - want).abs() <= 4.0 * f64::EPSILON * want, "{x}: {:e} instead of {want:e}", exp(x));
        }
        assert!(exp(f64::NEG_INFINITY) < 1e-300 && exp(0.0) == 1.0);
    }

    #[test]
    fn sums_are_those_of_plain_loops() {
        let registers = Registers::detect();
        for len in [0_usize, 1, 7, 8, 9, 100] {
            let numbers: Vec<f64> = (0..len).map(|i| -((i * 7 % 13) as f64)).collect();
            let weights: Vec<f64> = (0..len).map(|i| 1.0 + i as f64).collect();
            let want: f64 = numbers.iter().zip(&weights).map(|(x, w)| w * x.exp()).sum();
            assert!((weighted_exp_sum(registers, &numbers, &weights, 0.0) - want).abs() <= 1e-13 * want.max(1.0));
            assert_eq!(max(registers, &numbers), numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            let mut sums = vec![1.0; len];
            subtract_squares(registers, &mut sums, &numbers, &weights, 2.0);
            let plain = numbers.iter().zip(&weights).map(|(mu, scale)| 1.0 - ((2.0 - mu) * scale).powi(2));
            assert!(sums.into_iter().eq(plain));
        }
    }
}
