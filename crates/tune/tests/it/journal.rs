use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tapeloom_tune::{Entry, Error, Journal, Result, Space, Storage, Study};

fn line() -> Result<Space> {
    Space::builder().float("x", -1.0..=1.0).build()
}

fn written(path: &Path, trials: u64) -> Result<Vec<u8>> {
    let study = Study::builder(line()?).storage(Journal::builder(path).sync(false).open()?).build()?;
    study.optimize(trials, |trial| trial.params().float("x"))?;
    Ok(fs::read(path).expect("the journal"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_is_cut_off_the_end_only_whole_steps_are_lost(cut in 1_usize..2_000) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.study");
        let bytes = written(&path, 6).expect("written");
        let all = Journal::open(&path).and_then(|j| j.read(0)).expect("whole");
        let left = bytes.len().saturating_sub(cut).max(16);
        fs::write(&path, &bytes[..left]).expect("cut");
        let journal = Journal::open(&path).expect("opens");
        let kept = journal.read(0).expect("reads");
        prop_assert!(kept.len() < all.len() && kept[..] == all[..kept.len()]);
        // The next writer cuts the torn end away and goes on.
        let note = Entry::Noted { trial: 0, attempt: 1, key: "after".into(), value: "the cut".into() };
        journal.transact(kept.len() as u64, &mut |_| Ok(vec![note.clone()])).expect("writes");
        let again = Journal::open(&path).and_then(|j| j.read(0)).expect("whole again");
        prop_assert_eq!(again.len(), kept.len() + 1);
        prop_assert_eq!(&*again[kept.len()], &note);
    }

    #[test]
    fn a_flipped_bit_before_the_last_step_is_refused_and_nothing_is_cut(place in 0.0_f64..1.0, bit in 0_u8..8) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.study");
        let mut bytes = written(&path, 6).expect("written");
        // The last step may as well be torn; all before it can't.
        let last = bytes.windows(11).rposition(|w| w == b"[{\"kind\":\"f").expect("the last step") - 8;
        let at = (place * last as f64) as usize;
        bytes[at] ^= 1 << bit;
        fs::write(&path, &bytes).expect("damaged");
        let found = Journal::open(&path).and_then(|journal| journal.read(0));
        prop_assert!(matches!(found, Err(Error::Damaged { .. })), "byte {at}: {found:?}");
        if let Ok(journal) = Journal::open(&path) {
            prop_assert!(journal.transact(0, &mut |_| Ok(Vec::new())).is_err());
        }
        prop_assert_eq!(fs::read(&path).expect("still there"), bytes);
    }
}

#[test]
fn another_file_is_not_taken_for_a_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    fs::write(&path, "Dear diary").expect("written");
    let text = Journal::open(&path).expect_err("no journal").to_string();
    assert!(text.ends_with("notes.txt is no usable study: it does not start like the journal of a study"), "{text}");
    assert_eq!(fs::read(&path).expect("untouched"), b"Dear diary");
}

#[test]
fn a_study_of_a_newer_version_is_told_from_damage() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.study");
    let mut header = tapeloom_tune::Header::new(vec![tapeloom_tune::Direction::Minimize], 0, Some(line()?));
    header.version = 2;
    Journal::open(&path)?.transact(0, &mut |_| Ok(vec![Entry::Created(header.clone())]))?;
    let error = Study::builder(line()?).storage(Journal::open(&path)?).build().expect_err("newer");
    assert!(matches!(error, Error::UnknownVersion { version: 2, supported: 1, .. }), "{error}");
    Ok(())
}

#[test]
fn a_study_that_differs_is_refused_by_what_differs() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.study");
    written(&path, 1)?;
    let open = || Ok::<_, Error>(Study::builder(line()?).storage(Journal::open(&path)?));
    let text = |study: Result<Study>| study.expect_err("refused").to_string();
    assert!(text(open()?.seed(5).build()).starts_with("seed = 5: "));
    let maximize = open()?.direction(tapeloom_tune::Direction::Maximize).build();
    assert!(text(maximize).contains("was made with [Minimize]"));
    let other = Space::builder().float("x", -1.0..=2.0).build()?;
    let other = Study::builder(other).storage(Journal::open(&path)?).build();
    assert!(text(other).contains("was made over another space"));
    Ok(())
}

#[test]
fn a_disk_that_is_full_loses_nothing_that_was_told() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.study");
    let before = written(&path, 3)?;
    // A limit on the size of files stands for a full disk: writes end in the middle.
    let program = std::env::current_exe().expect("this program");
    let blocks = before.len() / 512 + 1;
    let script =
        format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" --exact crash::child_that_fills_the_disk --ignored");
    let status = std::process::Command::new("bash")
        .args(["-c", &script])
        .arg(program)
        .env("TAPELOOM_TUNE_TEST_JOURNAL", &path)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("bash runs");
    assert!(status.success(), "the child saw an error of the storage, and nothing else");
    let study = Study::builder(line()?).storage(Journal::open(&path)?).build()?;
    let summary = study.summary()?;
    assert!(summary.complete >= 3, "{summary:?}");
    assert_eq!(fs::read(&path).expect("there")[..before.len()], before);
    study.optimize(5, |trial| trial.params().float("x"))?;
    assert!(study.summary()?.complete >= 8);
    Ok(())
}
