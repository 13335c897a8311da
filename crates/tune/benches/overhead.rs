//! CPU time of asking, naming ten parameters and telling, at studies of several sizes. The peers' side is
//! `benches/peers/tune_overhead.py`; both print one line of JSON for each size.
#![expect(clippy::print_stdout, reason = "it is a program")]

use tapeloom_tune::{
    Domain, Entry, Header, Memory, Params, Random, Request, Result, Sampler, Space, Storage, Study, TrialStatus,
};

const SIZES: [u64; 4] = [100, 1_000, 5_000, 10_000];
const REPEATS: u64 = 200;

fn main() -> Result<()> {
    for size in SIZES {
        for (style, ms) in [("define_by_run", define_by_run(size)?), ("declared", declared(size)?)] {
            println!(r#"{{"tuner":"tapeloom","storage":"memory","style":"{style}","trials":{size},"ms":{ms:.4}}}"#);
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let journal = tapeloom_tune::Journal::builder(folder.path().join("a.study")).sync(false).open()?;
    println!(r#"{{"tuner":"tapeloom","storage":"journal","trials":1000,"ms":{:.4}}}"#, stored(1_000, journal)?);
    #[cfg(feature = "sqlite")]
    {
        let sqlite = tapeloom_tune::Sqlite::builder(folder.path().join("a.db"), "overhead").sync(false).open()?;
        println!(r#"{{"tuner":"tapeloom","storage":"sqlite","trials":1000,"ms":{:.4}}}"#, stored(1_000, sqlite)?);
    }
    #[cfg(feature = "postgres")]
    if let Some(server) = std::env::args().find(|word| word.starts_with("postgres")) {
        let postgres = tapeloom_tune::Postgres::open(server, format!("overhead-{}", std::process::id()))?;
        println!(r#"{{"tuner":"tapeloom","storage":"postgres","trials":1000,"ms":{:.4}}}"#, stored(1_000, postgres)?);
    }
    Ok(())
}

/// Over another storage, with trials that name their parameters as they run.
fn stored(size: u64, storage: impl Storage + 'static) -> Result<f64> {
    let entries = filled(size, false)?.read(0)?;
    storage.transact(0, &mut |_| Ok(entries.iter().map(|entry| entry.as_ref().clone()).collect()))?;
    asked(Study::define_by_run().seed(1).storage(storage).build()?)
}

fn space() -> Result<Space> {
    let mut space = Space::builder().log_float("lr", 1e-5..=1e-1).int("layers", 1..=20).log_int("hidden", 16..=512);
    for name in ["f0", "f1", "f2", "f3", "f4", "f5"] {
        space = space.float(name, -5.0..=5.0);
    }
    space.categorical("cell", ["lstm", "gru", "transformer"]).build()
}

fn loss(params: &Params) -> f64 {
    params.iter().map(|(name, _)| params.float(name).map_or(0.1, |x| x * x)).sum()
}

/// A storage with complete trials.
fn filled(size: u64, declared: bool) -> Result<Memory> {
    let (memory, space) = (Memory::default(), space()?);
    let header = Header::new(vec![Default::default()], 1, declared.then(|| space.clone()));
    let drawing = tapeloom_tune::History::new(Header::new(vec![Default::default()], 1, Some(space.clone())));
    let mut entries = vec![Entry::Created(header)];
    for trial in 0..size {
        let at = Default::default();
        let params =
            Random.propose(&Request::new(&drawing, trial))?.map(|proposal| proposal.params).unwrap_or_default();
        let added = if declared { params.clone() } else { Params::new() };
        entries.push(Entry::Added { params: Some(added), seen: None, by: "bench".into(), at });
        entries.push(Entry::Claimed { trial, worker: 1, at });
        if !declared {
            for parameter in space.parameters() {
                let (name, domain) = (parameter.name().to_owned(), Some(parameter.domain().clone()));
                let value = params.value(&name).cloned().unwrap_or(tapeloom_tune::ParamValue::Int(0));
                entries.push(Entry::Suggested { trial, attempt: 1, name, value, domain, seen: None });
            }
        }
        let status = TrialStatus::Complete { values: vec![loss(&params)] };
        entries.push(Entry::Finished { trial, attempt: 1, status, at });
    }
    memory.transact(0, &mut |_| Ok(std::mem::take(&mut entries)))?;
    Ok(memory)
}

/// Of one step, in the mean. CPU time and not wall time, as other programs may run; as Linux counts it for this thread.
fn cpu_ms(step: impl Fn() -> Result<()>) -> Result<f64> {
    let spent = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let start = spent();
    (0..REPEATS).try_for_each(|_| step())?;
    Ok((spent() - start) / 1e6 / REPEATS as f64)
}

fn declared(size: u64) -> Result<f64> {
    let study = Study::builder(space()?).seed(1).storage(filled(size, true)?).build()?;
    let step = || -> Result<()> {
        let trial = study.ask()?;
        study.tell(&trial, loss(trial.params()))
    };
    step()?;
    cpu_ms(step)
}

fn define_by_run(size: u64) -> Result<f64> {
    asked(Study::define_by_run().seed(1).storage(filled(size, false)?).build()?)
}

fn asked(study: Study) -> Result<f64> {
    let space = space()?;
    let domains: Vec<(&str, &Domain)> = space.parameters().iter().map(|p| (p.name(), p.domain())).collect();
    let step = || -> Result<()> {
        let trial = study.ask()?;
        let mut params = Params::new();
        for (name, domain) in &domains {
            params = params.with(name, trial.suggest(name, domain)?);
        }
        study.tell(&trial, loss(&params))
    };
    step()?;
    cpu_ms(step)
}
