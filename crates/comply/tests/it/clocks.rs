use tapeloom_comply::{ClockRule, is_high_message_rate};

#[test]
fn rules_are_those_of_the_annex() {
    for (rule, divergence, granularity) in [
        (ClockRule::Venue, 1_000, 1_000),
        (ClockRule::FastVenue, 100, 1),
        (ClockRule::HighFrequency, 100, 1),
        (ClockRule::Human, 1_000_000, 1_000_000),
        (ClockRule::Other, 1_000, 1_000),
    ] {
        let asked = rule.accuracy();
        assert_eq!((asked.most_divergence_us, asked.granularity_us), (divergence, granularity));
    }
}

#[test]
fn a_coarse_clock_shows_in_its_stamps_and_a_few_stamps_prove_nothing() {
    let fine: Vec<i64> = (0..100).map(|i| 1_500_000_000_000_000 + i * 37).collect();
    let coarse: Vec<i64> = fine.iter().map(|stamp| stamp / 1000 * 1000).collect();
    let very_coarse: Vec<i64> = fine.iter().map(|stamp| stamp / 1_000_000 * 1_000_000).collect();
    let granularity = |rule: ClockRule, stamps: &[i64]| rule.check(stamps, None).granularity;
    assert_eq!(granularity(ClockRule::HighFrequency, &fine), Some(true));
    assert_eq!(granularity(ClockRule::HighFrequency, &coarse), Some(false));
    assert_eq!(granularity(ClockRule::Other, &coarse[..40].iter().map(|s| s + 3000).collect::<Vec<_>>()), Some(true));
    assert_eq!(granularity(ClockRule::Other, &very_coarse), Some(false));
    assert_eq!(granularity(ClockRule::HighFrequency, &coarse[..31]), None);
}

#[test]
fn divergence_is_open_until_somebody_measures_it() {
    let check = |measured| ClockRule::HighFrequency.check(&[], measured).divergence;
    assert_eq!((check(None), check(Some(100)), check(Some(101))), (None, Some(true), Some(false)));
}

#[test]
fn a_high_message_rate_is_two_on_one_instrument_or_four_on_all() {
    assert!(is_high_message_rate(2.0, 0.0) && is_high_message_rate(0.1, 4.0) && !is_high_message_rate(1.9, 3.9));
}
