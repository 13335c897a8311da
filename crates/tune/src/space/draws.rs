use tapeloom_core::{Fingerprint, Philox, hash_words};

/// The random numbers of one parameter in one trial of one study.
///
/// They are a pure function of (seed, trial number, name), so a study draws the same values for any number of workers, in
/// any order, and after a resume.
#[derive(Clone, Debug)]
pub struct Draws {
    philox: Philox,
    trial: u64,
    next: u64,
}

impl Draws {
    /// The numbers that `name` has in trial `trial` of a study with `seed`, from the first one on.
    #[must_use]
    pub fn new(seed: u64, trial: u64, name: &str) -> Self {
        let digest = Fingerprint::of(name.as_bytes());
        let word = digest.as_bytes()[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self { philox: Philox::new(hash_words(&[seed, word])), trial, next: 0 }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let (at, trial) = (self.next, self.trial);
        self.next += 1;
        let words = self.philox.block([at as u32, (at >> 32) as u32, trial as u32, (trial >> 32) as u32]);
        u64::from(words[0]) << 32 | u64::from(words[1])
    }

    /// A number in [0, 1), one of 2^53 equally likely ones.
    pub fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.bits() >> 11) as f64 * STEP
    }

    /// A whole number below `count`, all equally likely (Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    /// When `count` is zero.
    pub fn below(&mut self, count: u64) -> u64 {
        assert!(count > 0, "there is no number below zero");
        // Products whose low half falls under this would make some numbers likelier than others.
        let unfair = count.wrapping_neg() % count;
        loop {
            let product = u128::from(self.bits()) * u128::from(count);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_trial_name_and_position() {
        let bits = |seed, trial, name| {
            let mut draws = Draws::new(seed, trial, name);
            [draws.bits(), draws.bits()]
        };
        let all = [bits(1, 2, "lr"), bits(2, 2, "lr"), bits(1, 3, "lr"), bits(1, 2, "rl")].concat();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 8, "{all:?}");
        assert_eq!(bits(1, 2, "lr"), bits(1, 2, "lr"));
    }

    #[test]
    fn the_draws_of_a_seed_never_change_between_versions() {
        let mut draws = Draws::new(7, 3, "learning_rate");
        // Computed by a second implementation, in Python.
        assert_eq!([draws.bits(), draws.bits()], [12_320_645_746_459_745_284, 18_386_862_844_876_349_073]);
    }

    #[test]
    fn a_count_that_is_no_power_of_two_is_fair() {
        // Without the rejection every third number would come twice as often as its neighbours.
        let count = 3 << 62;
        let mut draws = Draws::new(1, 0, "x");
        let low = (0..30_000).filter(|_| draws.below(count).is_multiple_of(3)).count();
        assert!((9_500..10_500).contains(&low), "{low} of 30000 are divisible by 3");
        assert!((0..1000).all(|_| draws.below(1) == 0));
    }
}
