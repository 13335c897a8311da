use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tapeloom_core::{BlobStore, Error as CoreError, MemoryStore, Result as CoreResult};
use tapeloom_model::{LinearConfig, ModelConfig};
use tapeloom_train::{CheckpointConfig, Checkpointer, Error, Result, TrainConfig};

use crate::support::{Trace, config, fit, memory};

/// What happens at a chosen operation that changes the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// This one finds the disk full; later ones find room again.
    Full,
    /// The machine dies before it.
    Before,
    /// The machine dies after it.
    After,
    /// A store that is not atomic dies in the middle of it and leaves half of the bytes.
    Torn,
}

#[derive(Debug)]
struct Faulty {
    inner: Arc<MemoryStore>,
    at: usize,
    fault: Fault,
    done: AtomicUsize,
}

impl Faulty {
    fn change(&self, work: impl FnOnce(bool) -> CoreResult<()>) -> CoreResult<()> {
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        let gone = || CoreError::io("write", "store", std::io::ErrorKind::StorageFull.into());
        match (number.cmp(&self.at), self.fault) {
            (std::cmp::Ordering::Less, _) | (std::cmp::Ordering::Greater, Fault::Full) => work(true),
            (std::cmp::Ordering::Equal, Fault::After) => work(true).and(Err(gone())),
            (std::cmp::Ordering::Equal, Fault::Torn) => work(false).and(Err(gone())),
            _ => Err(gone()),
        }
    }

    fn was_hit(&self) -> bool {
        self.done.load(Ordering::SeqCst) > self.at
    }
}

impl BlobStore for Faulty {
    fn put(&self, name: &str, bytes: &[u8]) -> CoreResult<()> {
        self.change(|whole| self.inner.put(name, if whole { bytes } else { &bytes[..bytes.len() / 2] }))
    }
    fn get(&self, name: &str) -> CoreResult<Vec<u8>> {
        self.inner.get(name)
    }
    fn list(&self, prefix: &str) -> CoreResult<Vec<String>> {
        self.inner.list(prefix)
    }
    fn delete(&self, name: &str) -> CoreResult<()> {
        self.change(|whole| if whole { self.inner.delete(name) } else { Ok(()) })
    }
}

fn small() -> TrainConfig {
    TrainConfig {
        model: ModelConfig::Linear(LinearConfig::default()),
        max_epochs: 2,
        checkpoint: CheckpointConfig { every_n_steps: 4, save_top_k: 1, ..config().checkpoint },
        ..config()
    }
}

fn assert_same(resumed: &Trace, straight: &Trace, what: &str) {
    let from = straight.losses.len() - resumed.losses.len();
    assert_eq!(resumed.losses, straight.losses[from..], "{what}");
    assert_eq!(resumed.weights, straight.weights, "{what}");
    assert_eq!(resumed.fitted.history, straight.fitted.history, "{what}");
    assert_eq!(resumed.fitted.best, straight.fitted.best, "{what}");
}

/// Every put and every delete of a run is the last one once, in each of four ways.
#[test]
fn a_run_goes_on_exactly_after_a_fault_at_any_operation() -> Result<()> {
    let straight_store = memory();
    let straight = fit(small(), straight_store.clone(), |t| t)?;
    let mut operations = 0;
    for fault in [Fault::Full, Fault::Before, Fault::After, Fault::Torn] {
        for at in 0.. {
            let inner = memory();
            let store = Arc::new(Faulty { inner: inner.clone(), at, fault, done: AtomicUsize::new(0) });
            let first = fit(small(), store.clone(), |t| t);
            if !store.was_hit() {
                assert_eq!(first?.weights, straight.weights);
                break;
            }
            operations += 1;
            let what = format!("{fault:?} at operation {at}");
            let error = first.err().unwrap_or_else(|| panic!("{what}: the fault was not noticed"));
            assert!(matches!(error, Error::Core(CoreError::Io { .. })), "{what}: {error}");
            let checkpointer = Checkpointer::new(inner.clone());
            if checkpointer.latest()?.sound.is_none() && !checkpointer.sets()?.is_empty() {
                // Only a store that breaks its promise can leave a torn set with no sound one beside it.
                assert_eq!(fault, Fault::Torn, "{what}");
                continue;
            }
            let resumed = fit(small(), inner.clone(), |t| t.resume(true))?;
            assert_same(&resumed, &straight, &what);
            if fault != Fault::Torn {
                assert_eq!(inner.list("")?.len(), straight_store.list("")?.len(), "{what}: something was left over");
            }
        }
    }
    assert!(operations > 80, "{operations}");
    Ok(())
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    // Even root can't make folders in sysfs.
    let error = tapeloom_core::FsStore::open("/sys/kernel/tapeloom").err();
    if cfg!(target_os = "linux") {
        let text = error.expect("sysfs takes no folders").to_string();
        assert_eq!(text, "could not create folder /sys/kernel/tapeloom");
    }
}
