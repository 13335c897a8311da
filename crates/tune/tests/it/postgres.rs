//! Against a real server, whose address `TAPELOOM_POSTGRES` holds: `cargo xtask ci storages`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postgres::{Client, NoTls};
use tapeloom_tune::{Error, Postgres, Result, Space, Study, contract};

#[expect(clippy::disallowed_methods, reason = "how the stage tells the tests where its server is")]
fn server() -> String {
    std::env::var("TAPELOOM_POSTGRES").expect("TAPELOOM_POSTGRES holds the address of a server")
}

/// A study that no earlier run has left.
fn fresh(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{name}-{now}-{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn line() -> Result<Space> {
    Space::builder().float("x", -1.0..=1.0).build()
}

#[test]
#[ignore = "needs a server"]
fn postgres_keeps_the_storage_contract() -> Result<()> {
    let name = fresh("contract");
    contract::storage(&|| Ok(Arc::new(Postgres::open(server(), &name)?)))
}

#[test]
#[ignore = "needs a server"]
fn postgres_survives_workers_that_are_killed() -> Result<()> {
    crate::crash::survives_kills(&format!("postgres:{}#{}", server(), fresh("crash")), 12)
}

#[test]
#[ignore = "needs a server"]
fn a_worker_that_is_silent_for_a_lease_is_gone_and_one_that_beats_is_not() -> Result<()> {
    use tapeloom_tune::Storage;
    let name = fresh("lease");
    let open = || Postgres::builder(server(), &name).lease(Duration::from_secs(1)).open();
    let (one, other) = (open()?, open()?);
    let (silent, beating) = (one.join()?, one.join()?);
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(250));
        one.beat(beating)?;
    }
    assert_eq!(other.gone(&[silent, beating])?, [silent]);
    one.leave(beating)?;
    one.beat(beating)?;
    assert_eq!(other.gone(&[beating])?, [beating], "a late beat does not bring it back");
    Ok(())
}

#[test]
#[ignore = "needs a server"]
fn a_connection_that_is_cut_off_is_made_anew() -> Result<()> {
    let study = Study::builder(line()?).storage(Postgres::open(server(), fresh("cut"))?).build()?;
    let mut admin = Client::connect(&server(), NoTls).expect("the server");
    study.optimize(30, |trial| {
        if trial.number() % 10 == 5 {
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE pid <> pg_backend_pid() AND query LIKE '%tapeloom_entry%' AND query NOT LIKE '%activity%'";
            admin.execute(cut, &[]).expect("cut");
        }
        trial.params().float("x")
    })?;
    let summary = study.summary()?;
    assert_eq!((summary.trials, summary.complete), (30, 30));
    Ok(())
}

#[test]
#[ignore = "needs a server"]
fn sixty_four_workers_lose_nothing_and_try_nothing_twice() -> Result<()> {
    const WORKERS: u64 = 64;
    let (name, space) = (fresh("crowd"), Space::builder().float("x", -1.0..=1.0).log_float("y", 1e-6..=1.0).build()?);
    let trials: u64 = if cfg!(debug_assertions) { 2_560 } else { 10_048 };
    let told = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let work = || {
            let study = Study::builder(space.clone()).seed(6).storage(Postgres::open(server(), &name)?).build()?;
            study.optimize(trials / WORKERS, |trial| {
                told.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Error>(trial.params().float("x")? + trial.params().float("y")?.log10())
            })
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic").map(|_| ()))
    })?;
    let study = Study::builder(space).seed(6).storage(Postgres::open(server(), &name)?).build()?;
    let all = study.trials()?;
    assert_eq!((all.len() as u64, told.into_inner()), (trials, trials));
    assert!(all.iter().all(|trial| trial.value().is_some() && trial.attempts == 1));
    let mut points: Vec<String> = all.iter().map(|trial| format!("{:?}", trial.params)).collect();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), all.len(), "no two trials tried the same");
    for number in [11, 500, trials - 1] {
        assert_eq!(study.replay(number)?.as_ref(), Some(&all[number as usize].params), "trial {number}");
    }
    Ok(())
}
