use std::ops::RangeInclusive;

use proptest::prelude::*;
use tapeloom_tune::{Domain, Error, ParamValue, Params, Random, Result, Space, SpaceBuilder};

use crate::support::{propose, space};

fn refusal(declare: impl FnOnce(SpaceBuilder) -> SpaceBuilder) -> String {
    let error = declare(Space::builder()).build().expect_err("the space is refused");
    assert!(matches!(error, Error::Invalid { .. }));
    error.to_string()
}

#[test]
fn a_bad_parameter_is_refused_by_name_value_and_remedy() {
    let cases = [
        (refusal(|s| s), "space = empty: declare at least one parameter"),
        (refusal(|s| s.float("x", 1.0..=0.0)), "x = 1.0..=0.0: give finite ends, the low one first"),
        (refusal(|s| s.float("x", 0.0..=f64::NAN)), "x = 0.0..=NaN: give finite ends"),
        (refusal(|s| s.float("x", f64::MIN..=f64::MAX)), "not further apart than a float can say"),
        (refusal(|s| s.log_float("lr", 0.0..=1.0)), "lr = log 0.0..=1.0: a log range starts above 0"),
        (refusal(|s| s.float_step("m", 0.0..=1.0, 0.3)), "m = 0.0..=1.0 by 0.3: end on a step, such as 0.8999"),
        (refusal(|s| s.float_step("m", 0.0..=1.0, 0.0)), "give a step above 0"),
        (refusal(|s| s.float_step("m", 1e20..=1e20 + 1e6, 1.0)), "widen the step"),
        (refusal(|s| s.int("n", RangeInclusive::new(5, 4))), "n = 5..=4: put the low end first"),
        (refusal(|s| s.int_step("n", 0..=10, 4)), "n = 0..=10 by 4: end on a step, such as 8 or 12"),
        (refusal(|s| s.int_step("n", 0..=10, 0)), "give a step of at least 1"),
        (refusal(|s| s.int("n", i64::MIN..=i64::MAX)), "less than 2^63 apart"),
        (refusal(|s| s.log_int("n", 0..=8)), "n = log 0..=8: a log range of whole numbers starts at 1"),
        (refusal(|s| s.log_int("n", 1..=i64::MAX)), "end at 2^53 or below"),
        (refusal(|s| s.categorical("c", Vec::<String>::new())), "c = []: give at least one choice"),
        (refusal(|s| s.categorical("c", ["a", "b", "a"])), "give each choice once"),
        (refusal(|s| s.int("two words", 0..=1)), "parameter name = \"two words\": use 1 to 64 letters"),
        (refusal(|s| s.int("n", 0..=1).float("n", 0.0..=1.0)), "parameter name = n: declare each name once"),
    ];
    for (text, want) in cases {
        assert!(text.contains(want), "{text:?} should say {want:?}");
    }
}

#[test]
fn a_condition_that_can_never_hold_is_refused() {
    let child = |s: SpaceBuilder| s.int("child", 0..=1);
    let cases = [
        refusal(|s| s.when("cell", ["gru"], child).categorical("cell", ["gru"])),
        refusal(|s| s.int("cell", 0..=1).when("cell", ["gru"], child)),
        refusal(|s| s.categorical("cell", ["gru"]).when("cell", ["lstm"], child)),
        refusal(|s| s.categorical("cell", ["gru"]).when("cell", Vec::<String>::new(), child)),
    ];
    let wants =
        ["cell: name a categorical", "cell: name a categorical", "lstm: name some of", "no value: name some of"];
    for (text, want) in cases.iter().zip(wants) {
        assert!(text.starts_with("condition of child = ") && text.contains(want), "{text}");
    }
}

#[test]
fn a_parameter_is_active_only_below_its_parents_values() -> Result<()> {
    let space = space()?;
    let mut seen = [0; 3];
    for trial in 0..300 {
        let params = propose(&Random, &space, 1, trial)?.expect("random has no end");
        let transformer = params.category("cell")? == "transformer";
        assert_eq!(params.value("position").is_some(), transformer);
        assert_eq!(params.value("forget_bias").is_some(), !transformer);
        let sine = transformer && params.category("position")? == "sine";
        assert_eq!(params.value("base").is_some(), sine, "a grandchild needs both");
        seen[usize::from(transformer) + usize::from(sine)] += 1;
    }
    assert!(seen.iter().all(|n| *n > 20), "{seen:?}");
    Ok(())
}

#[test]
fn what_follows_a_branch_is_not_part_of_it() -> Result<()> {
    let space = Space::builder()
        .categorical("cell", ["a", "b"])
        .when("cell", ["a"], |s| s.int("inside", 0..=1))
        .int("outside", 0..=1)
        .build()?;
    let b: Params = [("cell", ParamValue::Category("b".into())), ("outside", ParamValue::Int(1))]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
    space.check(&b)
}

#[test]
fn values_outside_of_the_space_are_refused_by_name() -> Result<()> {
    let space = Space::builder().categorical("cell", ["a", "b"]).when("cell", ["a"], |s| s.int("n", 0..=9)).build()?;
    let check = |values: &[(&str, ParamValue)]| {
        let params: Params = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        space.check(&params).map_err(|error| error.to_string())
    };
    let (a, b) = (ParamValue::Category("a".into()), ParamValue::Category("b".into()));
    assert_eq!(check(&[("cell", a.clone()), ("n", ParamValue::Int(9))]), Ok(()));
    assert_eq!(check(&[("cell", b.clone())]), Ok(()));
    let text = check(&[("cell", a.clone())]).expect_err("n is missing");
    assert_eq!(text, "n = nothing: it is active in this trial and needs a value");
    let text = check(&[("cell", a.clone()), ("n", ParamValue::Int(10))]).expect_err("10 is outside");
    assert_eq!(text, "n = 10: choose from 0..=9");
    let text = check(&[("cell", a), ("n", ParamValue::Float(1.0))]).expect_err("kinds differ");
    assert!(text.starts_with("n = 1.0: "), "{text}");
    let text = check(&[("cell", b), ("n", ParamValue::Int(1))]).expect_err("n is not active");
    assert_eq!(text, "n = 1: it is not active in this trial; leave it out");
    Ok(())
}

#[test]
fn a_getter_names_what_is_wrong() {
    let params: Params = [("n".to_owned(), ParamValue::Int(3))].into_iter().collect();
    assert_eq!(params.int("n").ok(), Some(3));
    let text = params.float("n").expect_err("an int is no float").to_string();
    assert_eq!(text, "n = 3: it holds a value of kind int; read it with `int`");
    let text = params.category("m").expect_err("there is no m").to_string();
    assert_eq!(text, "parameter = m: it is not active in this trial; these are: [\"n\"]");
}

#[test]
fn a_space_survives_json_and_a_bad_one_does_not_enter_by_it() -> Result<()> {
    let space = space()?;
    let text = serde_json::to_string(&space).expect("written");
    assert_eq!(serde_json::from_str::<Space>(&text).expect("read"), space);
    let by_hand = r#"[{"name": "lr", "domain": {"log_float": {"low": 0.25, "high": 1}}}]"#;
    let read: Space = serde_json::from_str(by_hand).expect("people write plain numbers");
    assert_eq!(read, Space::builder().log_float("lr", 0.25..=1.0).build()?);
    let error = serde_json::from_str::<Space>(&by_hand.replace("0.25", "-1")).expect_err("checked on the way in");
    assert!(error.to_string().contains("a log range starts above 0"), "{error}");
    Ok(())
}

#[test]
fn the_last_step_is_the_end_as_it_was_given() {
    // In floats three times 0.1 is above 0.3.
    let domain = Domain::SteppedFloat { low: 0.0, high: 0.3, step: 0.1 };
    assert_eq!(domain.cardinality(), Some(4));
    assert_eq!(domain.at(3), Some(ParamValue::Float(0.3)));
    assert!(domain.contains(&ParamValue::Float(0.3)) && !domain.contains(&ParamValue::Float(0.15)));
}

fn domain() -> impl Strategy<Value = Domain> {
    let ends = || (-1e6..1e6_f64, 0.0..1e6_f64);
    prop_oneof![
        ends().prop_map(|(low, width)| Domain::Float { low, high: low + width }),
        (1e-9..1e3_f64, 1.0..1e9_f64).prop_map(|(low, ratio)| Domain::LogFloat { low, high: low * ratio }),
        (-1e3..1e3_f64, 1e-3..10.0_f64, 0..500_u32).prop_map(|(low, step, n)| Domain::SteppedFloat {
            low,
            high: low + step * f64::from(n),
            step
        }),
        (-1_000_000_i64..1_000_000, 1..1000_i64, 0..1000_i64).prop_map(|(low, step, n)| Domain::Int {
            low,
            high: low + step * n,
            step
        }),
        (1..1000_i64, 0..1_000_000_i64).prop_map(|(low, width)| Domain::LogInt { low, high: low + width }),
        (1..9_usize).prop_map(|n| Domain::Categorical { choices: (0..n).map(|i| format!("c{i}")).collect() }),
    ]
}

proptest! {
    #[test]
    fn every_draw_and_every_index_is_a_value_of_its_domain(domain in domain(), seed: u64) {
        let mut draws = tapeloom_tune::Draws::new(seed, 0, "x");
        for _ in 0..50 {
            let value = domain.sample(&mut draws);
            prop_assert!(domain.contains(&value), "{value} of {domain}");
        }
        if let Some(count) = domain.cardinality() {
            for index in (0..count.min(50)).chain(count.saturating_sub(50)..count) {
                let value = domain.at(index).expect("below the count");
                prop_assert!(domain.contains(&value), "{value} of {domain} at {index}");
            }
            prop_assert_eq!(domain.at(count), None);
        }
        let text = serde_json::to_string(&domain).expect("written");
        prop_assert_eq!(serde_json::from_str::<Domain>(&text).expect("read"), domain);
    }
}
