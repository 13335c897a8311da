use std::sync::Arc;

use tapeloom_tune::{Journal, Memory, Result, Storage, contract};

#[test]
fn memory_keeps_the_storage_contract() -> Result<()> {
    let memory = Memory::default();
    contract::storage(&|| Ok(Arc::new(memory.clone())))
}

#[test]
fn a_journal_keeps_the_storage_contract() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.study");
    contract::storage(&|| Ok(Arc::new(Journal::open(&path)?)))?;
    // A connection that was there before and one that comes after agree.
    let (one, two) = (Journal::open(&path)?, Journal::builder(&path).sync(false).open()?);
    assert_eq!(one.read(3)?, two.read(3)?);
    Ok(())
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::time::Duration;

    use super::*;
    use tapeloom_tune::{Space, Sqlite, Study};

    #[test]
    fn sqlite_keeps_the_storage_contract() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("studies.db");
        contract::storage(&|| Ok(Arc::new(Sqlite::open(&path, "one")?)))?;
        contract::storage(&|| Ok(Arc::new(Sqlite::open(&path, "two")?)))?;
        assert_eq!(Sqlite::studies(&path)?, ["one", "two"]);
        Ok(())
    }

    #[test]
    fn many_threads_with_connections_of_their_own_never_meet_a_lock() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("studies.db");
        let space = Space::builder().float("x", -1.0..=1.0).build()?;
        let open = || Sqlite::builder(&path, "busy").sync(false).patience(Duration::from_secs(30)).open();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let study = Study::builder(space.clone()).storage(open()?).build()?;
                        study.optimize(20, |trial| {
                            let x = trial.params().float("x")?;
                            let _ = trial.report(1, x)?;
                            Ok::<_, tapeloom_tune::Error>(x)
                        })
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("no panic").map(|_| ()))
        })?;
        let study = Study::builder(space).storage(open()?).build()?;
        let summary = study.summary()?;
        assert_eq!((summary.trials, summary.complete), (160, 160));
        Ok(())
    }
}
