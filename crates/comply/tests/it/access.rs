use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tapeloom_comply::{
    Access, AnomalyConfig, AnomalyDetector, AnomalyScore, Attempt, Error, Grant, Lockout, LockoutConfig, Observation,
    Role, SecurityMeter,
};
use tapeloom_core::{MemoryLedger, Timestamp};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn role(may: &[&str], excludes: &[&str]) -> Role {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Role { may: set(may), excludes: set(excludes) }
}

fn grant(actor: &str, tenant: &str, role: &str) -> Grant {
    Grant { actor: actor.into(), tenant: tenant.into(), role: role.into() }
}

fn roles() -> BTreeMap<String, Role> {
    [
        ("trainer".to_owned(), role(&["run.start", "checkpoint.save"], &["approver"])),
        ("approver".to_owned(), role(&["checkpoint.promote"], &[])),
        ("reader".to_owned(), role(&["audit.*"], &[])),
    ]
    .into()
}

#[test]
fn what_no_role_allows_is_refused_and_on_record() -> tapeloom_comply::Result<()> {
    let ledger = Arc::new(MemoryLedger::default());
    let grants =
        [grant("kim", "desk 7", "trainer"), grant("lee", "desk 7", "approver"), grant("kim", "desk 7", "reader")];
    let access = Access::new(roles(), grants, ledger.clone())?;
    assert!(access.check("kim", "desk 7", "run.start", "run-1").is_ok());
    assert!(access.check("kim", "desk 7", "audit.verify", "log").is_ok());
    assert!(access.check("lee", "desk 7", "checkpoint.promote", "epoch-3").is_ok());
    for (actor, tenant, operation) in [
        ("kim", "desk 7", "checkpoint.promote"),
        ("kim", "desk 8", "run.start"),
        ("nobody", "desk 7", "run.start"),
        ("kim", "desk 7", "run.start.now"),
        ("kim", "desk 7", "audit"),
    ] {
        let error = access.check(actor, tenant, operation, "x").expect_err(operation);
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    }
    let records = ledger.records();
    assert_eq!(records.iter().map(|record| record.outcome.as_str()).filter(|outcome| *outcome == "refused").count(), 5);
    assert_eq!((records.len(), records[0].details["role"].as_str()), (8, "trainer"));
    Ok(())
}

#[test]
fn a_meter_counts_what_goes_on_record_and_that_nothing_does() -> Result<(), Box<dyn std::error::Error>> {
    use tapeloom_core::{Ledger, Receipt, Record, contract};
    #[derive(Debug)]
    struct Broken;
    impl Ledger for Broken {
        fn append(&self, _: &Record) -> tapeloom_core::Result<Receipt> {
            Err(tapeloom_core::Error::provider("the ledger is full", "no space"))
        }
    }
    let ledger = Arc::new(MemoryLedger::default());
    let meter = Arc::new(SecurityMeter::new(ledger.clone()));
    contract::ledger(&*meter)?;
    let access = Access::new(roles(), [grant("kim", "desk 7", "trainer")], meter.clone())?;
    access.check("kim", "desk 7", "run.start", "run-1")?;
    (0..3).for_each(|_| assert!(access.check("eve", "desk 7", "run.start", "run-1").is_err()));
    let counts = meter.counts();
    let of =
        |action: &str, outcome: &str| counts.iter().find(|(a, o, _)| a == action && o == outcome).map(|(_, _, n)| *n);
    assert_eq!((of("access.checked", "success"), of("access.checked", "refused")), (Some(1), Some(3)));
    assert_eq!(ledger.records().len(), 6);
    (0..1200).for_each(|i| assert!(meter.append(&Record::new("a", format!("action-{i}"), "o")).is_ok()));
    assert!(meter.counts().len() <= 1001);
    let broken = SecurityMeter::new(Arc::new(Broken));
    assert!(broken.append(&Record::new("a", "b", "c")).is_err());
    assert_eq!(broken.counts(), [("ledger.failed".to_owned(), "failure".to_owned(), 1)]);
    Ok(())
}

#[test]
fn roles_that_exclude_each_other_are_kept_apart() {
    let ledger = || Arc::new(MemoryLedger::default());
    let both = [grant("kim", "desk 7", "trainer"), grant("kim", "desk 7", "approver")];
    let error = Access::new(roles(), both, ledger()).expect_err("four eyes").to_string();
    assert!(error.contains("kim") && error.contains("excludes \"approver\""), "{error}");
    // In another tenant they may.
    let apart = [grant("kim", "desk 7", "trainer"), grant("kim", "desk 8", "approver")];
    assert!(Access::new(roles(), apart, ledger()).is_ok());
    assert!(Access::new(roles(), [grant("kim", "desk 7", "king")], ledger()).is_err());
}

#[test]
fn five_failures_lock_the_source_and_nobody_else() -> tapeloom_comply::Result<()> {
    let mut lockout = Lockout::new(LockoutConfig::default())?;
    for second in 0..4 {
        assert_eq!(lockout.failed("kim", "evil", at(second)), None);
    }
    assert_eq!(lockout.failed("kim", "evil", at(4)), Some(at(64)));
    assert_eq!(lockout.may_try("kim", "evil", at(63)), Attempt::Locked { until: at(64) });
    assert_eq!(lockout.may_try("kim", "evil", at(64)), Attempt::Allowed);
    // The owner, who is elsewhere, and the attacker's other accounts are not touched.
    assert_eq!(lockout.may_try("kim", "office", at(5)), Attempt::Allowed);
    assert_eq!(lockout.may_try("lee", "evil", at(5)), Attempt::Allowed);
    // Attempts while locked change nothing; the next lock is twice as long, up to an hour.
    assert_eq!(lockout.failed("kim", "evil", at(10)), None);
    let mut lengths = Vec::new();
    let mut now = 100;
    while lengths.len() < 8 {
        now += 1;
        if let Some(until) = lockout.failed("kim", "evil", at(now)) {
            lengths.push(until.micros() / 1_000_000 - now);
            now = until.micros() / 1_000_000;
        }
    }
    assert_eq!(lengths, [120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    Ok(())
}

#[test]
fn old_failures_and_successes_are_forgiven() -> tapeloom_comply::Result<()> {
    let mut lockout = Lockout::new(LockoutConfig::default())?;
    (0..4).for_each(|second| assert_eq!(lockout.failed("kim", "home", at(second)), None));
    assert_eq!(lockout.failed("kim", "home", at(700)), None, "the first ones are out of the window");
    (0..3).for_each(|second| assert_eq!(lockout.failed("kim", "home", at(701 + second)), None));
    lockout.succeeded("kim", "home");
    assert_eq!(lockout.failed("kim", "home", at(705)), None);
    Ok(())
}

#[test]
fn many_sources_slow_strangers_down_and_not_the_owner() -> tapeloom_comply::Result<()> {
    let mut lockout = Lockout::new(LockoutConfig::default())?;
    lockout.succeeded("kim", "home");
    for source in 0..60 {
        lockout.failed("kim", &format!("bot-{source}"), at(100));
    }
    assert!(matches!(lockout.may_try("kim", "bot-99", at(101)), Attempt::Locked { until } if until == at(105)));
    assert_eq!(lockout.may_try("kim", "bot-99", at(105)), Attempt::Allowed);
    assert_eq!(lockout.may_try("kim", "home", at(101)), Attempt::Allowed);
    Ok(())
}

#[test]
fn locks_outlive_a_restart() -> Result<(), Box<dyn std::error::Error>> {
    let mut lockout = Lockout::new(LockoutConfig::default())?;
    (0..5).for_each(|second| {
        lockout.failed("kim", "evil", at(second));
    });
    let again: Lockout = serde_json::from_str(&serde_json::to_string(&lockout)?)?;
    assert_eq!(again.may_try("kim", "evil", at(10)), Attempt::Locked { until: at(64) });
    for bad in [r#"{"max_failed_attempts":0}"#, r#"{"first_lock_s":99999}"#] {
        assert!(Lockout::new(serde_json::from_str(bad)?).is_err(), "{bad}");
    }
    Ok(())
}

fn event<'a>(action: &'a str, source: &'a str, time: Timestamp) -> Observation<'a> {
    Observation { actor: "kim", action, source, time }
}

fn score(scored: AnomalyScore) -> (f64, bool) {
    match scored {
        AnomalyScore::Scored { score, is_anomaly, .. } => (score, is_anomaly),
        AnomalyScore::InsufficientData { .. } => panic!("cold"),
        _ => panic!("new"),
    }
}

#[test]
fn a_cold_start_says_so() -> tapeloom_comply::Result<()> {
    let mut detector = AnomalyDetector::new(AnomalyConfig::default())?;
    for i in 0..200 {
        let said = detector.observe(&event("secret.read", "office", at(i * 60)));
        assert_eq!(said, AnomalyScore::InsufficientData { events: i as u32, needed: 200 });
    }
    assert!(matches!(detector.observe(&event("secret.read", "office", at(200 * 60))), AnomalyScore::Scored { .. }));
    Ok(())
}

#[test]
fn a_burst_is_an_anomaly_and_is_not_learnt() -> tapeloom_comply::Result<()> {
    let mut detector = AnomalyDetector::new(AnomalyConfig::default())?;
    let mut time = 0;
    for i in 0..2_000 {
        time += 20 + i % 7;
        let (_, is_anomaly) = match detector.observe(&event("secret.read", "office", at(time))) {
            AnomalyScore::Scored { score, is_anomaly, .. } => (score, is_anomaly),
            _ => (0.0, false),
        };
        assert!(!is_anomaly);
    }
    for round in 0..2 {
        time += 3600;
        let scores: Vec<(f64, bool)> =
            (0..60).map(|_| score(detector.observe(&event("secret.read", "office", at(time))))).collect();
        assert!(!scores[2].1 && scores[59].1 && scores[59].0 > 0.95, "round {round}: {:?}", scores[59]);
    }
    Ok(())
}

#[test]
fn what_was_never_seen_is_as_rare_as_the_history_is_long() -> tapeloom_comply::Result<()> {
    let mut detector = AnomalyDetector::new(AnomalyConfig::default())?;
    (0..1_000).for_each(|i| {
        detector.observe(&event("secret.read", "office", at(i * 61)));
    });
    let (new_source, is_anomaly) = score(detector.observe(&event("secret.read", "abroad", at(70_000))));
    assert!((0.6..0.65).contains(&new_source) && !is_anomaly, "{new_source}");
    (0..50_000).for_each(|i| {
        detector.observe(&event("secret.read", "office", at(70_000 + i * 61)));
    });
    let strange = event("secret.deleted", "nowhere", at(4_000_000));
    assert!(score(detector.observe(&strange)).1);
    assert!(score(detector.observe(&strange)).1, "an anomaly is not learnt");
    detector.accept(&strange);
    assert!(!score(detector.observe(&strange)).1);
    Ok(())
}

#[test]
fn a_threshold_stands_for_its_rate_of_false_alarms() -> tapeloom_comply::Result<()> {
    assert!((AnomalyDetector::false_alarm_rate(0.8) - 1e-4).abs() < 1e-8);
    // An actor of steady habits: events come independently, from three sources, with two actions, at all hours.
    let config = AnomalyConfig { anomaly_threshold: 0.5, ..AnomalyConfig::default() };
    let promised = AnomalyDetector::false_alarm_rate(0.5);
    let mut detector = AnomalyDetector::new(config)?;
    let random = tapeloom_core::Philox::new(11);
    let (mut time, mut alarms, mut scored) = (0.0_f64, 0, 0);
    for i in 0..60_000_u32 {
        let words = random.block([i, 0, 0, 0]);
        let uniform = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
        time -= uniform(words[0]).ln() * 30.0;
        let source = ["office", "home", "train"][if words[1].is_multiple_of(20) { 2 } else { (words[1] % 2) as usize }];
        let action = if words[2].is_multiple_of(50) { "secret.added" } else { "secret.read" };
        if let AnomalyScore::Scored { is_anomaly, .. } =
            detector.observe(&event(action, source, Timestamp::from_micros((time * 1e6) as i64)))
        {
            scored += 1;
            alarms += u32::from(is_anomaly);
        }
    }
    let rate = f64::from(alarms) / f64::from(scored);
    assert!(rate <= promised, "{rate} of {promised}");
    assert!(promised < 0.02 && scored > 59_000);
    for bad in [0.0, 1.0, f64::NAN] {
        assert!(AnomalyDetector::new(AnomalyConfig { anomaly_threshold: bad, ..AnomalyConfig::default() }).is_err());
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_source_can_lock_another_one_out(events in prop::collection::vec((0_u8..4, 0_u8..3, 0_i64..2_000), 0..200)) {
        let config = LockoutConfig { account_threshold: 1_000, ..LockoutConfig::default() };
        let mut lockout = Lockout::new(config).expect("sound");
        let mut events = events;
        events.sort_by_key(|(_, _, time)| *time);
        for (source, account, time) in events {
            lockout.failed(&account.to_string(), &source.to_string(), at(time));
        }
        for account in 0..3 {
            prop_assert_eq!(lockout.may_try(&account.to_string(), "owner", at(2_000)), Attempt::Allowed);
        }
    }
}
