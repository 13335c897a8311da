use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::{Direction, Entry, Error, Header, Result, Storage};

/// What every [`Storage`] promises. `open` opens a new connection to the same study, which is empty at first.
///
/// # Errors
/// Whatever the storage returns.
///
/// # Panics
/// At the first broken promise.
pub fn storage(open: &dyn Fn() -> Result<Arc<dyn Storage>>) -> Result<()> {
    let (one, other) = (open()?, open()?);
    assert!(!one.name().is_empty(), "a storage has a name");
    a_step_is_whole(one.as_ref(), other.as_ref())?;
    steps_have_one_order(&[open()?, open()?, open()?])?;
    workers_are_told_apart(one.as_ref(), other.as_ref())
}

fn a_step_is_whole(one: &dyn Storage, other: &dyn Storage) -> Result<()> {
    assert!(one.read(0)?.is_empty(), "a new study has no entries");
    let created = Entry::Created(Header::new(vec![Direction::Minimize], 7, None));
    let appended = one.transact(0, &mut |entries| {
        assert!(entries.is_empty());
        Ok(vec![created.clone(), note(0, 0)])
    })?;
    assert_eq!(appended.len(), 2);
    assert_eq!(*other.read(0)?[0], created, "what one appended another reads");
    assert_eq!(*other.read(1)?[0], note(0, 0), "from a position on");
    assert!(other.read(2)?.is_empty());
    let refused = other.transact(1, &mut |entries| {
        assert_eq!(entries.len(), 1, "the entries from a position on");
        Err(Error::Exhausted { trials: 3 })
    });
    assert!(matches!(refused, Err(Error::Exhausted { trials: 3 })), "an error of the caller comes back");
    assert_eq!(one.read(0)?.len(), 2, "and appends nothing");
    other.transact(2, &mut |_| Ok(Vec::new()))?;
    assert_eq!(one.read(0)?.len(), 2, "nor does an empty step");
    // Bits that plain JSON numbers lose.
    let values = vec![f64::NAN, f64::NEG_INFINITY, 0.1 + 0.2, f64::MIN_POSITIVE, -0.0];
    let exact = Entry::Reported { trial: 0, attempt: 1, step: u64::MAX, values };
    one.transact(2, &mut |_| Ok(vec![exact.clone()]))?;
    let Entry::Reported { values, step, .. } = other.read(2)?[0].as_ref().clone() else { panic!("another kind") };
    assert!(values[0].is_nan() && values[4].is_sign_negative() && step == u64::MAX);
    assert_eq!(values[1..4], [f64::NEG_INFINITY, 0.1 + 0.2, f64::MIN_POSITIVE]);
    Ok(())
}

fn steps_have_one_order(connections: &[Arc<dyn Storage>]) -> Result<()> {
    const STEPS: u64 = 25;
    let before = connections[0].read(0)?.len() as u64;
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for (writer, storage) in (1_u64..).zip(connections) {
            let failure = &failure;
            scope.spawn(move || {
                let mut known = before;
                for step in 0..STEPS {
                    let result = storage.transact(known, &mut |entries| {
                        let mine = |entry: &&Arc<Entry>| matches!(entry.attempt(), Some((trial, _)) if trial == writer);
                        assert_eq!(entries.iter().filter(mine).count() as u64, step.min(1) * 2, "nothing is missed");
                        Ok(vec![note(writer, step), note(writer, step)])
                    });
                    match result {
                        Ok(_) => known = storage.read(0).map_or(0, |all| position(&all, writer, step)),
                        Err(error) => {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let entries = connections[0].read(before)?;
    assert_eq!(entries.len() as u64, 2 * STEPS * connections.len() as u64, "nothing is lost, nothing comes twice");
    for pair in entries.chunks(2) {
        assert_eq!(pair[0], pair[1], "nobody writes into the middle of a step");
    }
    for storage in connections {
        assert_eq!(storage.read(before)?, entries, "all readers see one order");
    }
    Ok(())
}

fn workers_are_told_apart(one: &dyn Storage, other: &dyn Storage) -> Result<()> {
    let (a, b) = (one.join()?, other.join()?);
    assert_ne!(a, b, "each worker has a number of its own");
    one.beat(a)?;
    assert!(other.gone(&[a, b])?.is_empty(), "both are there");
    one.leave(a)?;
    assert_eq!(other.gone(&[b, a])?, [a], "one has left");
    assert_eq!(one.gone(&[a, b])?, [a]);
    let c = one.join()?;
    assert!(c != a && c != b, "numbers are not given again");
    one.leave(c)?;
    other.leave(b)
}

fn note(writer: u64, step: u64) -> Entry {
    Entry::Noted { trial: writer, attempt: 1, key: "step".into(), value: step.to_string() }
}

/// Where the first entry of this writer's step stands.
fn position(entries: &[Arc<Entry>], writer: u64, step: u64) -> u64 {
    let wanted = note(writer, step);
    entries.iter().position(|entry| **entry == wanted).unwrap_or_default() as u64
}
