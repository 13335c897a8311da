//! Contract suites: call one from a test of each provider. They return the first broken promise as an error.

use crate::{BlobStore, Clock, Error, Event, Ledger, Observer, Record, Result, Timestamp, WindowSource};

fn promise(kept: bool, text: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(Error::Provider { what: format!("broken contract: {text}"), source: text.into() }) }
}

/// What every [`BlobStore`] promises. The store must be empty; it is left empty.
///
/// # Errors
/// The first broken promise.
pub fn blob_store(store: &dyn BlobStore) -> Result<()> {
    promise(store.list("")?.is_empty(), "the suite starts on an empty store")?;
    promise(matches!(store.get("a"), Err(Error::NotFound { .. })), "a missing blob is NotFound")?;
    let long: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    store.put("a/long.bin", &long)?;
    store.put("a/empty", b"")?;
    store.put("b", b"1")?;
    promise(store.get("a/long.bin")? == long, "what was put is what is got")?;
    promise(store.get("a/empty")?.is_empty(), "an empty blob is a blob")?;
    store.put("b", b"2")?;
    promise(store.get("b")? == b"2", "put replaces")?;
    promise(store.list("")? == ["a/empty", "a/long.bin", "b"], "list is complete and sorted")?;
    promise(store.list("a/")? == ["a/empty", "a/long.bin"], "list keeps to its prefix")?;
    for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a b", "a\\b", "a\0"] {
        promise(matches!(store.put(bad, b"x"), Err(Error::Invalid { .. })), "a bad name is refused")?;
    }
    for name in ["a/long.bin", "a/empty", "b", "b"] {
        store.delete(name)?;
    }
    promise(store.list("")?.is_empty(), "delete removes, twice is no error")?;
    let claim = store.claim()?;
    let second = store.claim();
    let refused = matches!(second, Err(Error::InUse { .. }));
    promise(refused == claim.is_exclusive(), "an exclusive claim keeps a second one out")?;
    drop((claim, second));
    store.claim().map(drop)?;
    promise(store.list("")?.is_empty(), "a claim is no blob")
}

/// What every [`Ledger`] promises. Returns the hashes' order through sequence numbers from where the ledger stood.
///
/// # Errors
/// The first broken promise.
pub fn ledger(ledger: &dyn Ledger) -> Result<()> {
    let first = ledger.append(&Record::new("tester", "contract.started", "ledger"))?;
    let second =
        ledger.append(&Record::new("tester", "contract.ended", "ledger").detail("note", "line\nbreak \"q\""))?;
    promise(second.sequence == first.sequence + 1, "sequence numbers have no gaps")?;
    promise(first.hash != second.hash, "different records have different hashes")
}

/// What every [`Observer`] promises: it takes any event, not-a-number included, and `flush` can be called at any time.
///
/// # Errors
/// Never; a panic is the failure.
pub fn observer(observer: &dyn Observer) -> Result<()> {
    observer.flush();
    let events = [
        Event::EpochStarted { epoch: 1 },
        Event::StepFinished {
            epoch: 1,
            step: 1,
            global_step: 1,
            loss: f64::NAN,
            learning_rate: 0.0,
            grad_norm: f64::INFINITY,
            samples: 0,
            seconds: 0.0,
        },
        Event::Warning { code: "contract".into(), message: "\u{0} \u{202e} \"quotes\"\n".into() },
    ];
    events.iter().for_each(|event| observer.observe(Timestamp::default(), event));
    observer.flush();
    Ok(())
}

/// What every [`Clock`] promises: it does not run backwards.
///
/// # Errors
/// The first broken promise.
pub fn clock(clock: &dyn Clock) -> Result<()> {
    let first = clock.now();
    promise(first <= clock.now(), "time does not run backwards")
}

/// What every [`WindowSource`] promises. The source must not be empty.
///
/// # Errors
/// The first broken promise.
pub fn window_source(source: &dyn WindowSource) -> Result<()> {
    let (spec, len) = (source.spec(), source.len());
    promise(len > 0 && !source.is_empty(), "the suite needs a source with samples")?;
    let (width, outputs) = (spec.window_len(), spec.targets.len());
    let ids: Vec<usize> = (0..len).rev().chain([0, 0]).collect();
    let (mut x, mut y) = (vec![f32::NAN; ids.len() * width], vec![f32::NAN; ids.len() * outputs]);
    source.gather(&ids, &mut x, &mut y)?;
    promise(x.iter().chain(&y).all(|v| v.is_finite()), "every number of a sample is written and finite")?;
    for (slot, id) in ids.iter().enumerate() {
        let (mut one, mut target) = (vec![0.0; width], vec![0.0; outputs]);
        source.gather(&[*id], &mut one, &mut target)?;
        promise(x[slot * width..(slot + 1) * width] == one, "a sample does not depend on its neighbours")?;
        promise(y[slot * outputs..(slot + 1) * outputs] == target, "a target does not depend on its neighbours")?;
        let stamp = source.stamp(*id)?;
        promise((stamp.symbol as usize) < source.symbols().len(), "a stamp names a known symbol")?;
        promise(stamp.target_end >= stamp.time, "a target does not end before the forecast")?;
    }
    let invalid = |result| matches!(result, Err(Error::Invalid { .. }));
    promise(invalid(source.gather(&[len], &mut x[..width], &mut y[..outputs])), "an id out of range is refused")?;
    promise(invalid(source.gather(&[0], &mut x[..width - 1], &mut y[..outputs])), "a short buffer is refused")?;
    promise(source.stamp(len).is_err(), "a stamp out of range is refused")?;
    promise(source.fingerprint() == source.fingerprint(), "the fingerprint is stable")
}
