use std::sync::Arc;

use tapeloom_comply::{
    Blocked, KillSwitch, Order, OrderRecord, PreTradeGate, PreTradeLimits, Side, assess, check_orders,
};
use tapeloom_core::{Ledger, ManualClock, MemoryLedger, Record, Timestamp};
use tapeloom_seal::{AuditLog, Key, Proof, SigningKey};

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn limits() -> PreTradeLimits {
    PreTradeLimits {
        price_collar: 0.05,
        max_order_value: 10_000.0,
        max_order_volume: 500.0,
        max_messages_per_s: 3,
        max_executions_per_s: 2,
        max_position: 600.0,
        instruments: vec!["DE0007164600".into()],
        venues: vec!["XETR".into()],
    }
}

fn order() -> Order<'static> {
    Order {
        algorithm: "lstm-3",
        instrument: "DE0007164600",
        venue: "XETR",
        side: Side::Buy,
        quantity: 100.0,
        price: 42.5,
        reference_price: 42.0,
    }
}

fn gate() -> tapeloom_comply::Result<(PreTradeGate, KillSwitch, Arc<MemoryLedger>)> {
    let ledger = Arc::new(MemoryLedger::default());
    let kill = KillSwitch::new(ledger.clone());
    Ok((PreTradeGate::new(limits(), kill.clone(), ledger.clone())?, kill, ledger))
}

#[test]
fn each_limit_blocks_at_its_border_and_says_so() -> tapeloom_comply::Result<()> {
    let (mut gate, _, ledger) = gate()?;
    assert_eq!(gate.check(&order(), at(0))?, Ok(()));
    for (bad, why) in [
        (Order { price: 44.11, ..order() }, Blocked::Price),
        (Order { price: 39.89, ..order() }, Blocked::Price),
        (Order { quantity: 501.0, price: 1.0, reference_price: 1.0, ..order() }, Blocked::Volume),
        (Order { quantity: 300.0, ..order() }, Blocked::Value),
        (Order { instrument: "US0378331005", ..order() }, Blocked::Instrument),
        (Order { venue: "XLON", ..order() }, Blocked::Venue),
        (Order { quantity: f64::NAN, ..order() }, Blocked::Unsound),
        (Order { quantity: -1.0, ..order() }, Blocked::Unsound),
        (Order { reference_price: 0.0, ..order() }, Blocked::Unsound),
    ] {
        assert_eq!(gate.check(&bad, at(0))?, Err(why), "{why}");
    }
    assert_eq!(gate.check(&Order { price: 44.09, ..order() }, at(1))?, Ok(()));
    assert_eq!(gate.check(&order(), at(2))?, Ok(()));
    assert_eq!(gate.check(&order(), at(999_999))?, Err(Blocked::Messages));
    assert_eq!(gate.check(&order(), at(1_000_000))?, Ok(()));
    let records = ledger.records();
    assert!(
        records.len() == 10
            && records.iter().all(|record| record.action == "order.blocked" && record.outcome == "refused")
    );
    assert!(records.iter().all(|record| !format!("{record:?}").contains("44.1")));
    Ok(())
}

#[test]
fn positions_and_repeated_executions_are_held() -> tapeloom_comply::Result<()> {
    let (mut gate, _, _) = gate()?;
    gate.executed(&order(), 450.0, at(0))?;
    assert_eq!(gate.check(&Order { quantity: 200.0, ..order() }, at(0))?, Err(Blocked::Position));
    assert_eq!(gate.check(&Order { quantity: 200.0, side: Side::Sell, ..order() }, at(0))?, Ok(()));
    gate.executed(&order(), 1.0, at(500_000))?;
    assert_eq!(gate.check(&order(), at(2_000_000))?, Ok(()));
    (0..2).try_for_each(|_| gate.executed(&order(), 1.0, at(900_000)))?;
    assert_eq!(gate.check(&order(), at(90_000_000))?, Err(Blocked::Throttled), "time alone does not turn it on");
    assert_eq!(gate.check(&Order { algorithm: "other", ..order() }, at(90_000_000))?, Ok(()));
    assert!(gate.turn_on("kim", "other", "slip").is_err());
    gate.turn_on("kim", "lstm-3", "looked at it")?;
    assert_eq!(gate.check(&order(), at(91_000_000))?, Ok(()));
    Ok(())
}

#[test]
fn the_kill_switch_stops_everything_even_when_the_ledger_fails() -> tapeloom_comply::Result<()> {
    #[derive(Debug)]
    struct Broken;
    impl Ledger for Broken {
        fn append(&self, _: &Record) -> tapeloom_core::Result<tapeloom_core::Receipt> {
            Err(tapeloom_core::Error::provider("the ledger is full", "no space"))
        }
    }
    let (mut gate, kill, ledger) = gate()?;
    kill.trip("risk", "runaway")?;
    assert_eq!(gate.check(&order(), at(0))?, Err(Blocked::Killed));
    kill.reset("risk", "lee", "fixed")?;
    assert_eq!(gate.check(&order(), at(0))?, Ok(()));
    assert_eq!(ledger.records()[2].details["approved_by"], "lee");
    let broken = KillSwitch::new(Arc::new(Broken));
    assert!(broken.trip("risk", "runaway").is_err() && broken.is_tripped());
    assert!(broken.reset("risk", "lee", "fixed").is_err() && broken.is_tripped());
    let mut gate = PreTradeGate::new(limits(), KillSwitch::new(Arc::new(Broken)), Arc::new(Broken))?;
    assert!(gate.check(&Order { venue: "XLON", ..order() }, at(0)).is_err());
    Ok(())
}

#[test]
fn a_limit_that_is_not_set_is_refused() {
    let ledger = Arc::new(MemoryLedger::default());
    for limits in [
        PreTradeLimits { price_collar: 0.0, ..limits() },
        PreTradeLimits { max_position: f64::INFINITY, ..limits() },
        PreTradeLimits { venues: Vec::new(), ..limits() },
    ] {
        let gate = PreTradeGate::new(limits, KillSwitch::new(ledger.clone()), ledger.clone());
        assert!(gate.is_err_and(|e| e.to_string().contains("art. 8")));
    }
}

#[test]
fn an_assessment_proves_what_it_shows_and_names_what_is_missing() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (path, key) = (folder.path().join("run.log"), Key::from_bytes([3; 32]));
    let signer = SigningKey::new("desk", &key.purpose("signer"))?;
    let clock = Arc::new(ManualClock::at(at(1_000_000)));
    let log = Arc::new(AuditLog::open(&path, Some(&key), clock.clone())?.signer(signer.clone()));
    let promoted =
        Record::new("kim", "checkpoint.promoted", "epoch-3").detail("approved_by", "lee").detail("nature", "retrained");
    log.append(&promoted)?;
    log.append(&Record::new("kim", "checkpoint.promoted", "epoch-4"))?;
    log.append(&Record::new("ops", "test.stress", "twice the peak"))?;
    KillSwitch::new(log.clone()).trip("risk", "drill")?;
    clock.advance(10_000_000);
    log.append(&Record::new("ops", "test.stress", "after the period"))?;
    let note = log.checkpoint()?;
    let pack = assess(&path, Some(&key), &signer.verifying(), &note, at(0), at(5_000_000))?;
    assert_eq!((pack.changes.len(), pack.incomplete_changes), (2, 1));
    let of = |article: &str| pack.findings.iter().find(|finding| finding.article == article).expect("listed");
    assert_eq!((of("art. 5(2)").records, of("art. 10").records, of("art. 12").records), (2, 1, 1));
    assert_eq!(pack.nothing_shown, ["art. 5(4)", "art. 6", "art. 8", "art. 13", "art. 15", "art. 18"]);
    for exhibit in pack.findings.iter().flat_map(|finding| &finding.evidence) {
        let proof: Proof = exhibit.proof.parse()?;
        assert_eq!(proof.verify(&exhibit.line, &signer.verifying())?.root, pack.root);
    }
    assert!(serde_json::to_string(&pack)?.contains("tlog-proof@v1"));
    let other = SigningKey::new("desk", &Key::generate()?)?;
    assert!(assess(&path, Some(&key), &other.verifying(), &note, at(0), at(5_000_000)).is_err());
    Ok(())
}

#[test]
fn order_records_keep_to_codes_sequence_and_life() -> Result<(), Box<dyn std::error::Error>> {
    let record = |event: &str, sequence: u64, change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = serde_json::json!({
            "order": "O1", "sequence": sequence, "time": "2018-06-25T12:00:00.000001Z", "event": event,
            "client": "7LTWFZYICNSX8D621K86", "validity": "DAVY", "kind": "LMTO", "remaining": "100",
        });
        change(&mut json);
        serde_json::from_value::<OrderRecord>(json)
    };
    let plain = |_: &mut serde_json::Value| {};
    let set = |name: &'static str, value: &'static str| move |json: &mut serde_json::Value| json[name] = value.into();
    let life = [record("NEWO", 1, &plain)?, record("PARF", 1, &set("remaining", "40"))?, record("CAME", 1, &plain)?];
    assert_eq!(check_orders(&life), []);
    let rules = |records: &[OrderRecord]| {
        check_orders(records).into_iter().map(|issue| (issue.row, issue.rule)).collect::<Vec<_>>()
    };
    let [new, part, cancel] = life;
    assert_eq!(rules(std::slice::from_ref(&part)), [(0, "RTS24.known_order")]);
    assert_eq!(rules(&[new.clone(), new.clone()]), [(1, "RTS24.sequence"), (1, "RTS24.new_once")]);
    assert_eq!(rules(&[new.clone(), cancel, part]), [(2, "RTS24.after_end")]);
    for (name, value, rule) in [
        ("client", "7LTWFZYICNSX8D621K87", "RTS24.client"),
        ("client", "somebody", "RTS24.client"),
        ("validity", "GTTV", "RTS24.validity_time"),
        ("valid_until", "2018-06-26T12:00:00Z", "RTS24.validity_time"),
        ("remaining", "-1", "RTS24.remaining"),
        ("remaining", "1e5", "RTS24.remaining"),
    ] {
        assert_eq!(rules(&[record("NEWO", 1, &set(name, value))?]), [(0, rule)], "{name} {value}");
    }
    assert!(record("NEW", 1, &plain).is_err() && record("NEWO", 1, &set("validity", "GTC")).is_err());
    assert_eq!(rules(&[new.clone(), record("FILL", 2, &plain)?]), [(1, "RTS24.filled")]);
    assert_eq!(rules(&[new, record("PARF", 2, &set("time", "2018-06-25T11:00:00Z"))?]), [(1, "RTS24.time")]);
    for client in ["AGGR", "PNAL", "SE19851205JOHN#ENGHO"] {
        assert_eq!(rules(&[record("NEWO", 1, &set("client", client))?]), []);
    }
    Ok(())
}
