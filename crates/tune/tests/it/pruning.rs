use std::sync::Arc;
use std::time::Duration;

use tapeloom_core::ManualClock;
use tapeloom_tune::{
    Advice, Asha, Curve, Direction, Dominated, Error, Hyperband, Patient, Percentile, Pruner, Random, Result, Space,
    Study, Threshold, Trial, TrialOutcome, Wilcoxon, pruning_audit,
};

fn study(pruner: impl Pruner + 'static) -> Result<Study> {
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    Study::builder(space).sampler(Random).seed(5).pruner(pruner).build()
}

/// Reports a curve; says at which step it was ended.
fn run(study: &Study, curve: &[f64]) -> Result<Option<u64>> {
    let trial = study.ask()?;
    for (step, value) in (1..).zip(curve) {
        let advice = trial.report(step, *value)?;
        if advice.ends() {
            study.tell(&trial, advice)?;
            return Ok(Some(step));
        }
    }
    study.tell(&trial, curve[curve.len() - 1])?;
    Ok(None)
}

#[test]
fn the_median_rule_ends_what_is_worse_than_half_after_the_warm_up() -> Result<()> {
    let study = study(Percentile::median(2))?;
    for i in 0..5 {
        assert_eq!(run(&study, &[f64::from(i), f64::from(i), f64::from(i)])?, None, "five trials to start with");
    }
    assert_eq!(run(&study, &[2.0, 2.0, 2.0])?, None, "the median itself is good enough");
    assert_eq!(run(&study, &[3.0, 3.0, 3.0])?, Some(2), "not before the warm-up");
    assert_eq!(run(&study, &[1.0, 9.0, 9.0])?, None, "the best so far counts");
    assert_eq!(run(&study, &[f64::NAN, f64::NAN, f64::NAN])?, Some(2));
    let explained = study.explain(6)?.to_string();
    assert!(explained.contains("Step 2: pruned: its best, 3.000000, is not among the best 50 %"), "{explained}");
    Ok(())
}

#[test]
fn a_rung_keeps_its_best_share() -> Result<()> {
    let study = study(Asha::new(1, 2))?;
    assert_eq!(run(&study, &[5.0; 4])?, None, "the first one is the best so far");
    assert_eq!(run(&study, &[6.0; 4])?, Some(1));
    assert_eq!(run(&study, &[4.0; 4])?, None);
    assert_eq!(run(&study, &[4.5, 4.5, 4.5, 4.5])?, Some(2), "second of four at step 1, and of three at step 2");
    assert_eq!(run(&study, &[f64::NAN; 4])?, Some(1));
    Ok(())
}

#[test]
fn a_paused_trial_goes_on_at_its_checkpoint_when_others_are_worse() -> Result<()> {
    let study = study(Asha::pausing(1, 2))?;
    let pause = |value: f64| {
        let trial = study.ask()?;
        assert!(trial.checkpoint().is_none());
        assert_eq!(trial.report(1, value)?, Advice::Pause, "{value}");
        trial.save("at 1", 1)?;
        study.tell(&trial, Advice::Pause)?;
        Ok::<_, Error>(trial.number())
    };
    let first = study.ask()?;
    assert_eq!(first.report(1, 1.0)?, Advice::Continue);
    let second = pause(2.0)?;
    pause(3.0)?;
    pause(4.0)?;
    // Two of four go on: the second one's time has come.
    let promoted = study.ask()?;
    assert_eq!((promoted.number(), promoted.attempt()), (second, 2));
    assert_eq!(promoted.checkpoint().map(|checkpoint| checkpoint.step), Some(1));
    assert_eq!(promoted.report(2, 1.5)?, Advice::Continue);
    study.tell(&promoted, 1.5)?;
    study.tell(&first, 1.0)?;
    assert_eq!(study.ask()?.number(), 4, "nobody else is good enough yet");
    Ok(())
}

#[test]
fn hyperband_gives_trials_to_all_brackets_by_their_shares() {
    let hyperband = Hyperband::new(1, 81, 3);
    let mut hits = [0_u32; 5];
    (0..20_000).for_each(|trial| hits[hyperband.bracket(7, trial)] += 1);
    // ceil(5 * 3^(4-b) / (5-b)): 81, 34, 15, 8, 5 of 143.
    for (hit, share) in hits.iter().zip([81.0, 34.0, 15.0, 8.0, 5.0]) {
        let want = share / 143.0 * 20_000.0;
        assert!((f64::from(*hit) - want).abs() < 5.0 * want.sqrt(), "{hits:?}");
    }
}

#[test]
fn a_threshold_ends_nan_and_what_leaves_the_range() -> Result<()> {
    let study = study(Threshold::new(f64::NEG_INFINITY..=10.0).warmup(2))?;
    assert_eq!(run(&study, &[99.0, 5.0, 5.0])?, None);
    assert_eq!(run(&study, &[5.0, 11.0])?, Some(2));
    assert_eq!(run(&study, &[5.0, 5.0, f64::NAN])?, Some(3));
    Ok(())
}

#[test]
fn a_patient_pruner_waits_for_a_trial_that_still_gets_better() -> Result<()> {
    let study = study(Patient::new(Threshold::new(0.0..=0.0), 2))?;
    assert_eq!(run(&study, &[5.0, 4.0, 3.0, 2.0, 1.0])?, None);
    assert_eq!(run(&study, &[5.0, 4.0, 4.5, 4.6, 4.7])?, Some(5));
    Ok(())
}

#[test]
fn folds_are_compared_in_pairs() -> Result<()> {
    let study = study(Wilcoxon::new(0.1))?;
    let best = [1.0, 2.0, 1.5, 1.2, 1.8, 1.1];
    assert_eq!(run(&study, &best)?, None);
    let worse: Vec<f64> = best.iter().enumerate().map(|(i, x)| x + 0.1 + 0.01 * i as f64).collect();
    assert_eq!(run(&study, &worse)?, Some(4), "p = 1/16 with four pairs");
    let mixed = [0.5, 2.5, 1.4, 1.3, 1.7, 1.0];
    assert_eq!(run(&study, &mixed)?, None);
    Ok(())
}

#[test]
fn several_objectives_are_pruned_when_most_beat_them() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let directions = [Direction::Minimize, Direction::Maximize];
    let refused = Study::builder(space.clone()).directions(directions).pruner(Percentile::median(0)).build();
    assert!(refused.expect_err("one objective").to_string().contains("use `Dominated`"));
    let pruner = Dominated::new(0.5, 1).startup(4);
    let study = Study::builder(space).directions(directions).sampler(Random).pruner(pruner).build()?;
    let first = |values: [f64; 2]| {
        let trial = study.ask()?;
        let advice = trial.report(1, values)?;
        study.tell(&trial, if advice.ends() { advice.clone().into() } else { TrialOutcome::from(values) })?;
        Ok::<_, Error>(advice)
    };
    for i in 0..4 {
        assert_eq!(first([f64::from(i), 5.0])?, Advice::Continue);
    }
    assert_eq!(first([2.5, 6.0])?, Advice::Continue, "nobody is better in both");
    assert!(matches!(first([2.5, 4.0])?, Advice::Prune(_)), "three of five are");
    assert!(matches!(first([0.0, f64::NAN])?, Advice::Prune(_)));
    Ok(())
}

/// Curves that cross: what ends well starts slowly, and noise is on top.
fn crossing(trial: &Trial, step: u64) -> Result<f64> {
    let x = trial.params().float("x")?;
    let noise =
        (trial.seed().wrapping_mul(step).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1 << 24) as f64 - 0.5;
    let speed = 0.02 + 0.3 * x;
    let end = 0.1 + 0.8 * x;
    Ok(end + 2.0 * (-speed * step as f64).exp() + 0.02 * noise)
}

fn epochs(study: &Study, trials: u64) -> Result<u64> {
    let mut epochs = 0;
    study.optimize(trials, |trial| {
        for step in 1..=60 {
            epochs += 1;
            let advice = trial.report(step, crossing(trial, step)?)?;
            if advice.ends() {
                return Ok::<_, Error>(TrialOutcome::from(advice));
            }
        }
        Ok(crossing(trial, 60)?.into())
    })?;
    Ok(epochs)
}

#[test]
fn the_curve_pruner_saves_epochs_and_keeps_the_good_ones() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let build = || Study::builder(space.clone()).sampler(Random).seed(5);
    let (plain, pruned) = (build().build()?, build().pruner(Curve::new(60)).audit(0.05).build()?);
    let (all, some) = (epochs(&plain, 200)?, epochs(&pruned, 200)?);
    assert!(some * 2 < all, "{some} of {all} epochs");
    let best = |study: &Study| study.best().and_then(|best| best.value()).unwrap_or(f64::INFINITY);
    assert!(best(&pruned) <= best(&plain) + 0.02, "{} instead of {}", best(&pruned), best(&plain));
    // By the plain study it is known what each ended trial would have come to.
    let (ended, known) = (pruned.trials()?, plain.trials()?);
    let mut finals: Vec<f64> = known.iter().filter_map(|trial| trial.value()).collect();
    finals.sort_by(f64::total_cmp);
    let ended = ended.iter().filter(|trial| trial.status.name() == "pruned");
    let (count, wrong) = ended.fold((0_u32, 0_u32), |(count, wrong), trial| {
        let would = known[trial.number as usize].value().unwrap_or(f64::INFINITY);
        (count + 1, wrong + u32::from(would <= finals[finals.len() / 5]))
    });
    assert!(count > 80 && f64::from(wrong) <= 0.05 * f64::from(count), "{wrong} of {count} were good ones");
    let audit = pruning_audit(&pruned.history()?);
    assert!(audit.audited > 0 && audit.pruned == u64::from(count), "{audit}");
    Ok(())
}

#[test]
fn an_audited_trial_runs_on_and_is_counted() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let study = Study::builder(space).sampler(Random).pruner(Threshold::new(0.0..=1.0)).audit(1.0).build()?;
    assert_eq!(run(&study, &[2.0, 2.0, 0.5])?, None);
    let audit = pruning_audit(&study.history()?);
    assert_eq!((audit.pruned, audit.audited, audit.became_best), (0, 1, 1));
    let text = study.explain(0)?.to_string();
    assert!(text.contains("Step 1: would have been pruned, and ran on for the audit"), "{text}");
    Ok(())
}

#[test]
fn a_trial_that_takes_too_long_is_told_so() -> Result<()> {
    let clock = Arc::new(ManualClock::default());
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let study = Study::builder(space).clock(clock.clone()).trial_timeout(Duration::from_secs(10)).build()?;
    let trial = study.ask()?;
    assert_eq!(trial.report(1, 0.0)?, Advice::Continue);
    clock.advance(10_000_000);
    assert_eq!(trial.report(2, 0.0)?, Advice::Prune("it took too long".into()));
    study.tell(&trial, trial.advice())?;
    assert_eq!(study.summary()?.pruned, 1);
    Ok(())
}

#[test]
fn a_trial_that_does_not_listen_is_given_up() -> Result<()> {
    let space = Space::builder().float("x", 0.0..=1.0).build()?;
    let study = Study::builder(space).hard_timeout(Duration::from_millis(50)).build()?;
    study.optimize(2, |trial| {
        if trial.number() == 0 {
            std::thread::sleep(Duration::from_millis(300));
        }
        trial.params().float("x")
    })?;
    let summary = study.summary()?;
    assert_eq!((summary.failed, summary.complete), (1, 1));
    assert_eq!(study.explain(0)?.to_string().lines().last(), Some("It failed: it did not end within 50ms."));
    Ok(())
}
