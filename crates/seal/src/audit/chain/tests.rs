use super::*;
use crate::Key;
use proptest::prelude::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn hashers() -> [Hasher; 2] {
    [Hasher::new(None), Hasher::new(Some(&Key::from_bytes([7; 32])))]
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A log of its opening record and four more.
fn log(hasher: &Hasher) -> Result<String> {
    let scope = Scope { run: "run-1".parse().ok(), tenant: Some("desk \"7\"\n".into()) };
    let mut head = Head::default();
    let mut log = head.extend(hasher, time(1_000_000), &Scope::default(), &hasher.opening("0123456789abcdef"))?.0;
    for i in 0..4 {
        let record =
            Record::new("desk", "checkpoint.saved", format!("epoch-{i}")).detail("note", "a \"q\"\n\0\u{1b}[2J");
        log += &head.extend(hasher, time(1_000_000 + i), &scope, &record)?.0;
    }
    Ok(log)
}

fn scanned(bytes: &[u8], hasher: &Hasher) -> Result<Scanned> {
    scan(Path::new("run.log"), bytes, hasher, Head::default(), |_, _| {})
}

/// The line and problem that are named; a torn tail counts as one of the line it would have been.
fn problem(bytes: &[u8], hasher: &Hasher) -> Option<(u64, String)> {
    match scanned(bytes, hasher) {
        Err(Error::Tampered { line, detail, .. }) => Some((line, detail)),
        Ok(scanned) if !scanned.torn.is_empty() => Some((scanned.head.next + 1, "torn".into())),
        _ => None,
    }
}

/// A line with a right hash, around a body of the test's choice: what somebody who knows the chain's key could write.
fn line(hasher: &Hasher, body: &str) -> String {
    format!("{body}{HASH}{}\"}}\n", hasher.hash(body.as_bytes()))
}

fn lines(log: &str) -> Vec<&str> {
    log.split_inclusive('\n').collect()
}

#[test]
fn every_flipped_byte_is_named_and_refused() -> Outcome {
    for hasher in hashers() {
        let good = log(&hasher)?.into_bytes();
        assert_eq!(problem(&good, &hasher), None);
        for at in 0..good.len() {
            let number = 1 + good[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let found = problem(&bad, &hasher).map(|(line, _)| line);
                assert_eq!(found, Some(number), "bit {bit} of byte {at}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_cut_is_either_torn_or_at_the_end_of_a_line() -> Outcome {
    let hasher = Hasher::new(None);
    let good = log(&hasher)?;
    for length in 0..good.len() {
        let cut = &good.as_bytes()[..length];
        let scanned = scanned(cut, &hasher)?;
        assert_eq!(scanned.sound as usize + scanned.torn.len(), length);
        assert_eq!(scanned.torn.is_empty(), cut.is_empty() || cut.ends_with(b"\n"));
    }
    Ok(())
}

#[test]
fn a_line_removed_moved_doubled_or_forged_is_named() -> Outcome {
    for hasher in hashers() {
        let log = log(&hasher)?;
        let lines = lines(&log);
        let with = |order: &[usize]| problem(order.iter().map(|i| lines[*i]).collect::<String>().as_bytes(), &hasher);
        assert_eq!(with(&[0, 1, 3, 4]), Some((3, "it is record 3 where 2 was expected".into())));
        assert_eq!(with(&[0, 2, 1, 3, 4]), Some((2, "it is record 2 where 1 was expected".into())));
        assert_eq!(with(&[0, 1, 1, 2, 3, 4]), Some((3, "it is record 1 where 2 was expected".into())));
        assert_eq!(with(&[1, 2, 3, 4]), Some((1, "it is record 1 where 0 was expected".into())));
        let forged = lines[4].replace("epoch-3", "epoch-9").replace("\"seq\":4", "\"seq\":5");
        let forged = problem((log.clone() + &forged).as_bytes(), &hasher);
        assert_eq!(forged, Some((6, "it does not match its hash".into())));
    }
    Ok(())
}

#[test]
fn a_forger_with_the_right_hash_still_has_to_keep_the_chain() -> Outcome {
    let hasher = Hasher::new(None);
    let log = log(&hasher)?;
    let last = lines(&log)[4];
    let body = &last[..last.rfind(HASH).ok_or("a hash")?];
    let with = |body: &str| {
        let forged = lines(&log)[..4].concat() + &line(&hasher, body);
        problem(forged.as_bytes(), &hasher).map(|(number, detail)| {
            assert_eq!(number, 5);
            detail
        })
    };
    assert_eq!(with(body), None);
    assert_eq!(with(&body.replace("\"seq\":4", "\"seq\":9")).as_deref(), Some("it is record 9 where 4 was expected"));
    let prev = &body[body.len() - 65..body.len() - 1];
    assert_eq!(with(&body.replace(prev, GENESIS)).as_deref(), Some("it is not tied to the line before"));
    let early = body.replace("00:00:01.000003", "00:00:00.999999");
    assert_eq!(with(&early).as_deref(), Some("it is earlier than the line before"));
    for bad in
        ["", "{", "[1]", "{\"seq\":4", &body.replace("\"seq\"", "\"extra\":1,\"seq\""), &body.replace("actor", "act")]
    {
        assert!(with(bad).is_some_and(|detail| detail.starts_with("it is no record")), "{bad}");
    }
    // The line end would be another's, too.
    let other = last.replace("\"}\n", "\" }\n");
    assert_eq!(problem((lines(&log)[..4].concat() + &other).as_bytes(), &hasher).map(|p| p.0), Some(5));
    Ok(())
}

#[test]
fn a_log_of_another_key_says_whose_it_is() -> Outcome {
    let [plain, keyed] = hashers();
    let found = problem(log(&keyed)?.as_bytes(), &plain).map(|p| p.1);
    assert_eq!(found, Some(format!("it opens a log chained by {}, and was checked by sha256", keyed.name())));
    let found = problem(log(&plain)?.as_bytes(), &keyed).map(|p| p.1);
    assert_eq!(found, Some(format!("it opens a log chained by sha256, and was checked by {}", keyed.name())));
    // Text that no key makes is damage, and is not repeated.
    let forged = log(&keyed)?.replace("with key ", "with key \u{202e}");
    assert_eq!(problem(forged.as_bytes(), &keyed), Some((1, "it does not match its hash".into())));
    Ok(())
}

#[test]
fn a_log_opens_by_saying_how_it_is_chained() -> Outcome {
    let hasher = Hasher::new(None);
    let record = Record::new("desk", "checkpoint.saved", "epoch-1");
    let first = Head::default().extend(&hasher, time(0), &Scope::default(), &record)?.0;
    assert_eq!(problem(first.as_bytes(), &hasher), Some((1, "it does not open a log chained by sha256".into())));
    Ok(())
}

#[test]
fn control_characters_are_escaped_and_come_back() -> Outcome {
    let hasher = Hasher::new(None);
    let log = log(&hasher)?;
    assert!(log.bytes().all(|byte| byte == b'\n' || !byte.is_ascii_control()));
    let mut entries = Vec::new();
    scan(Path::new("run.log"), log.as_bytes(), &hasher, Head::default(), |entry, _| entries.push(entry))?;
    assert_eq!(entries[1].record.details["note"], "a \"q\"\n\0\u{1b}[2J");
    assert_eq!((entries[0].run.clone(), entries[0].tenant.clone()), (None, None));
    assert_eq!(entries[1].run, "run-1".parse().ok());
    assert_eq!(entries[1].tenant.as_deref(), Some("desk \"7\"\n"));
    Ok(())
}

#[test]
fn a_record_that_could_not_be_read_back_is_not_written() -> Outcome {
    let hasher = Hasher::new(None);
    let extend = |time, note: usize| {
        let record = Record::new("a", "b", "c").detail("note", "x".repeat(note));
        Head::default().extend(&hasher, time, &Scope::default(), &record)
    };
    let overhead = extend(time(0), 1)?.0.len() - 1;
    assert_eq!(extend(time(0), MAX_LINE - overhead)?.0.len(), MAX_LINE);
    let error = extend(time(0), MAX_LINE - overhead + 1).expect_err("too long").to_string();
    assert!(error.contains("the limit is 1048576"), "{error}");
    assert!(matches!(extend(time(i64::MAX), 1), Err(Error::BadRecord { .. })));
    Ok(())
}

#[test]
fn the_longest_line_is_read_and_a_longer_one_is_named() -> Outcome {
    let hasher = Hasher::new(None);
    let log = log(&hasher)?;
    let long = "x".repeat(MAX_LINE);
    assert_eq!(problem((log.clone() + &long).as_bytes(), &hasher), Some((6, "it is too long for a record".into())));
    assert_eq!(problem((log + &long[1..]).as_bytes(), &hasher), Some((6, "torn".into())));
    Ok(())
}

#[test]
fn zeros_that_a_crash_left_are_torn_and_not_tampered() -> Outcome {
    let hasher = Hasher::new(None);
    let log = log(&hasher)?;
    let (sound, last) = log.split_at(log.len() - lines(&log)[4].len());
    let mut half = last.as_bytes().to_vec();
    half[..10].fill(0);
    let scanned = scanned(&[sound.as_bytes(), &half].concat(), &hasher)?;
    assert_eq!((scanned.sound as usize, scanned.torn.len()), (sound.len(), last.len()));
    let in_the_middle = [sound.as_bytes(), &half, last.as_bytes()].concat();
    assert_eq!(problem(&in_the_middle, &hasher), Some((5, "it does not match its hash".into())));
    Ok(())
}

#[test]
fn only_the_start_of_a_log_is_taken_for_a_torn_log() -> Outcome {
    let first = lines(&log(&Hasher::new(None))?)[0].to_owned();
    for length in 0..first.len() {
        assert!(may_be_torn_first_line(0, &first.as_bytes()[..length]));
    }
    assert!(may_be_torn_first_line(0, &[0; 40]));
    assert!(!may_be_torn_first_line(0, b"[settings]"));
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_verification_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for hasher in hashers() {
            prop_assert!(scanned(&bytes, &hasher).is_err() || scanned(&bytes, &hasher).is_ok_and(|s| s.head.next == 0));
        }
    }

    #[test]
    fn no_body_with_a_right_hash_makes_verification_panic(body in "[ -~]{0,200}") {
        let hasher = Hasher::new(None);
        prop_assert!(problem(line(&hasher, &body).as_bytes(), &hasher).is_some());
    }

    #[test]
    fn a_damaged_log_never_verifies(at: prop::sample::Index, with in prop::collection::vec(any::<u8>(), 1..20)) {
        let hasher = Hasher::new(None);
        let good = log(&hasher).expect("a log").into_bytes();
        let at = at.index(good.len());
        let mut bad = good.clone();
        bad.splice(at..(at + with.len()).min(good.len()), with);
        prop_assume!(bad != good);
        prop_assert!(problem(&bad, &hasher).is_some());
    }

    #[test]
    fn any_record_comes_back(actor in any::<String>(), object in any::<String>(), details in prop::collection::btree_map(any::<String>(), any::<String>(), 0..5)) {
        for hasher in hashers() {
            let mut record = Record::new(actor.clone(), "x.y", object.clone());
            record.details = details.clone();
            let mut head = Head::default();
            let first = head.extend(&hasher, time(0), &Scope::default(), &hasher.opening("0123456789abcdef")).expect("a line").0;
            let (second, receipt) = head.extend(&hasher, time(1), &Scope::default(), &record).expect("a line");
            let mut entries = Vec::new();
            let text = first + &second;
            scan(Path::new("run.log"), text.as_bytes(), &hasher, Head::default(), |entry, _| entries.push(entry)).expect("sound");
            prop_assert_eq!(&entries[1].record, &record);
            prop_assert_eq!(entries[1].hash, receipt.hash);
        }
    }
}
