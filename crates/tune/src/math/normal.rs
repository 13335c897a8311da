//! The normal distribution, in its tails too.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI, SQRT_2};

/// Half the logarithm of two pi.
pub(crate) const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;

/// The share below `x`.
pub(crate) fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The logarithm of the share below `x`, exact far in the lower tail.
pub(crate) fn ln_cdf(x: f64) -> f64 {
    if x > -5.0 {
        return if x > 5.0 { libm::log1p(-cdf(-x)) } else { cdf(x).ln() };
    }
    if x > -37.0 {
        return libm::erfc(-x * FRAC_1_SQRT_2).ln() - LN_2;
    }
    // The asymptotic series of Abramowitz and Stegun 26.2.12; its terms fall by x^-2.
    let inverse = 1.0 / (x * x);
    let series = 1.0 - inverse * (1.0 - 3.0 * inverse * (1.0 - 5.0 * inverse * (1.0 - 7.0 * inverse)));
    -0.5 * x * x - LN_SQRT_2PI - (-x).ln() + series.ln()
}

/// The logarithm of the share between `a` and `b`, where `a` is below `b`.
pub(crate) fn ln_between(a: f64, b: f64) -> f64 {
    if a > 0.0 {
        // The upper tail holds few digits; its mirror image holds all.
        return ln_between(-b, -a);
    }
    if b <= 0.0 {
        let (low, high) = (ln_cdf(a), ln_cdf(b));
        return high + ln_one_minus_exp(low - high);
    }
    libm::log1p(-cdf(a) - cdf(-b))
}

/// As [`ln_between`], in a third of the time, for kernels of which there are many: to 10 digits, and to 4 beyond 12 widths, where
/// what a kernel adds is lost in what the others do.
pub(crate) fn ln_between_quick(a: f64, b: f64) -> f64 {
    let (a, b) = if a > 0.0 { (-b, -a) } else { (a, b) };
    if b - a < 1e-4 {
        return ln_between(a, b);
    }
    if b > -12.0 {
        // Of the lower tail when both are there, so that nothing cancels but what the step is short.
        let (below, upto) = (libm::erfc(-a * FRAC_1_SQRT_2), libm::erfc(-b * FRAC_1_SQRT_2));
        return (0.5 * (upto - below)).ln();
    }
    let ratio = (0.5 * (b - a) * (b + a)).exp() * b / a;
    -0.5 * b * b - LN_SQRT_2PI + ((ratio - 1.0) / b * (1.0 - 1.0 / (b * b))).ln()
}

/// ln(1 - e^x) for a negative `x` (Mächler, "Accurately computing log(1 - exp(-|a|))", 2012).
fn ln_one_minus_exp(x: f64) -> f64 {
    if x > -LN_2 { (-libm::expm1(x)).ln() } else { libm::log1p(-x.exp()) }
}

/// Where the share below is `p`, by the rational approximation AS 241 of Wichura (1988), about 16 digits.
pub(crate) fn quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * poly(&CENTRE.0, r) / poly(&CENTRE.1, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    from_ln_tail(tail.ln()) * if q < 0.0 { -1.0 } else { 1.0 }
}

/// How far out the tail with this logarithm begins.
fn from_ln_tail(ln_tail: f64) -> f64 {
    let r = (-ln_tail).sqrt();
    if r <= 5.0 {
        return poly(&MIDDLE.0, r - 1.6) / poly(&MIDDLE.1, r - 1.6);
    }
    if r <= 27.0 {
        return poly(&FAR.0, r - 5.0) / poly(&FAR.1, r - 5.0);
    }
    // Newton's steps on the logarithm, from the leading term.
    let mut x = (-2.0 * ln_tail - (2.0 * PI).ln() - (-2.0 * ln_tail).ln()).sqrt();
    for _ in 0..4 {
        let value = ln_cdf(-x);
        let slope = -(-0.5 * x * x - LN_SQRT_2PI - value).exp();
        x -= (value - ln_tail) / slope;
    }
    x
}

/// Where the share `u` of a normal distribution cut to `a`..`b` lies.
pub(crate) fn truncated_quantile(u: f64, a: f64, b: f64) -> f64 {
    if a > 0.0 {
        return -truncated_quantile(1.0 - u, -b, -a);
    }
    let (low, high) = (cdf(a), cdf(b));
    let x = if high > 1e-280 {
        quantile(low + u * (high - low))
    } else {
        // Both ends are so far out that only logarithms tell them apart.
        let (low, high) = (ln_cdf(a), ln_cdf(b));
        -from_ln_tail(high + (u + (1.0 - u) * (low - high).exp()).ln())
    };
    x.clamp(a, b)
}

/// Two independent standard normal numbers from two uniform ones (Box and Muller 1958).
pub(crate) fn pair(u: f64, v: f64) -> (f64, f64) {
    let radius = (-2.0 * (1.0 - u).ln()).sqrt();
    let (sine, cosine) = (2.0 * PI * v).sin_cos();
    (radius * cosine, radius * sine)
}

/// exp(-x^2 / 2) / sqrt(2 pi).
pub(crate) fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (SQRT_2 * PI.sqrt())
}

fn poly(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

type Ratio = ([f64; 8], [f64; 8]);

const CENTRE: Ratio = (
    [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_854e3,
    ],
);

const MIDDLE: Ratio = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);

const FAR: Ratio = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    /// From SciPy 1.17: `scipy.special.log_ndtr`, `ndtri` and `scipy.stats.truncnorm.ppf`.
    #[test]
    fn values_are_those_of_scipy() {
        let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-12 * want.abs(), "{got:e}, not {want:e}");
        REFERENCE_LN_CDF.iter().for_each(|(x, want)| close(ln_cdf(*x), *want));
        REFERENCE_QUANTILE.iter().for_each(|(p, want)| close(quantile(*p), *want));
    }

    const REFERENCE_LN_CDF: &[(f64, f64)] = &[
        (-200.0, -20006.21728089819),
        (-60.0, -1805.0135606805675),
        (-38.5, -745.6952702904113),
        (-36.0, -652.5032275937986),
        (-10.0, -53.23128515051248),
        (-5.5, -17.779376352625263),
        (-1.0, -1.8410216450092634),
        (0.0, -LN_2),
        (1.5, -0.06914345561223399),
        (4.0, -3.1671743377489206e-05),
        (6.0, -9.86587645524372e-10),
    ];
    const REFERENCE_QUANTILE: &[(f64, f64)] = &[
        (1e-300, -37.0470962993612),
        (1e-20, -9.262340089798409),
        (1e-05, -4.264890793922825),
        (0.01, -2.3263478740408408),
        (0.3, -0.5244005127080409),
        (0.6, 0.2533471031357997),
        (0.99, 2.3263478740408408),
        (0.99999, 4.264890793923841),
    ];

    proptest::proptest! {
        #[test]
        fn a_truncated_quantile_has_its_share_below(u in 0.001_f64..0.999, a in -60.0_f64..60.0, width in 0.01_f64..80.0) {
            let b = a + width;
            let x = truncated_quantile(u, a, b);
            proptest::prop_assert!((a..=b).contains(&x));
            if x > a && x < b {
                let share = (ln_between(a, x) - ln_between(a, b)).exp();
                proptest::prop_assert!((share - u).abs() < 1e-6, "{} instead of {}", share, u);
            }
        }

        #[test]
        fn the_quick_form_says_the_same(a in -40.0_f64..40.0, width in 1e-5_f64..10.0) {
            let (quick, exact) = (ln_between_quick(a, a + width), ln_between(a, a + width));
            let far = a > 12.0 || a + width < -12.0;
            proptest::prop_assert!((quick - exact).abs() < if far { 2e-4 } else { 1e-9 }, "{} or {}", quick, exact);
        }

        #[test]
        fn shares_of_neighbours_add_up(a in -50.0_f64..50.0, first in 0.001_f64..5.0, second in 0.001_f64..5.0) {
            let (b, c) = (a + first, a + first + second);
            let sum = (ln_between(a, b) - ln_between(a, c)).exp() + (ln_between(b, c) - ln_between(a, c)).exp();
            proptest::prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
        }
    }
}
