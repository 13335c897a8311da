use tapeloom_core::{Event, Observer, Outcome};
use tapeloom_track::Console;

use crate::support::{Page, STEPS, at, feed, run, started, step};

fn told(every: u64, events: &[(tapeloom_core::Timestamp, Event)]) -> String {
    let page = Page::default();
    feed(&Console::to_writer(Box::new(page.clone())).log_every_n_steps(every), events);
    page.text()
}

#[test]
fn a_run_reads_as_plain_lines() {
    insta::assert_snapshot!(told(50, &run("run-1")), @"
    run run-1: lstm_attention with 12,345 parameters, 6,352 samples, at most 3 epochs of 100 steps
    epoch 1/3  step 50/100  loss 0.71000  lr 1.00e-3  640 samples/s  ETA 25.0s
    epoch 1/3  step 100/100  loss 0.69000  lr 1.00e-3  635 samples/s  ETA 20.0s
    epoch 1/3  train_loss 0.69000  val_loss 0.70000  lr 1.00e-3  13.0s  489 samples/s  ETA 26.0s  improved
    epoch 2/3  step 50/100  loss 0.70000  lr 1.00e-3  640 samples/s  ETA 21.0s
    epoch 2/3  step 100/100  loss 0.68000  lr 1.00e-3  635 samples/s  ETA 16.0s
    epoch 2/3  train_loss 0.68000  val_loss 0.69000  lr 1.00e-3  13.0s  489 samples/s  ETA 13.0s
    early stopping: the monitored metric no longer improved; 2 epochs in all, 26.0s in this run
    ");
}

#[test]
fn without_step_lines_there_is_one_line_an_epoch() {
    let text = told(0, &run("run-1"));
    assert_eq!(text.lines().filter(|line| line.starts_with("epoch ")).count(), 2, "{text}");
    assert!(!text.contains("step "), "{text}");
}

#[test]
fn the_eta_is_measured_not_hoped() {
    let page = Page::default();
    let console = Console::to_writer(Box::new(page.clone()));
    let last = |page: &Page| page.text().lines().last().unwrap_or_default().to_owned();
    console.observe(at(0.0), &started("a", 0));
    console.observe(at(0.0), &Event::EpochStarted { epoch: 1 });
    // 50 steps took 10 s, so 250 more take 50 s.
    console.observe(at(10.0), &step(1, 50, 0.7));
    assert!(last(&page).ends_with("320 samples/s  ETA 50.0s"), "{}", page.text());
    // The rest of the epoch is faster: 100 steps took 12 s, so 200 more take 24 s.
    console.observe(at(12.0), &step(1, STEPS, 0.7));
    assert!(last(&page).ends_with("ETA 24.0s"), "{}", page.text());
}

#[test]
fn a_resumed_run_says_so_and_counts_what_is_left() {
    let events = [(at(0.0), started("a", 2)), (at(0.0), Event::EpochStarted { epoch: 3 }), (at(5.0), step(3, 50, 0.7))];
    let text = told(50, &events);
    assert!(text.contains("of 100 steps, resumed after epoch 2"), "{text}");
    assert!(text.ends_with("ETA 5.0s\n"), "{text}");
}

#[test]
fn trouble_is_told_in_one_line_that_cannot_steer_the_terminal() {
    let events = [
        (at(0.0), Event::Warning { code: "rows_quarantined".into(), message: "12 rows\u{1b}[2J\nset aside".into() }),
        (at(0.0), Event::CheckpointFailed { name: "epoch-0001".into(), reason: "disk full".into() }),
        (at(0.0), Event::TrialFinished { trial: 3, value: None, seconds: 1.5 }),
        (at(0.0), Event::RunFinished { outcome: Outcome::Failed, epochs: 1, seconds: 90.0 }),
    ];
    insta::assert_snapshot!(told(50, &events), @"
    warning: 12 rows [2J set aside (rows_quarantined)
    warning: checkpoint epoch-0001 was not saved: disk full
    trial 3  failed  1.5s
    failed: the error tells why; 1 epoch in all, 1m30s in this run
    ");
}

#[test]
fn nothing_is_left_when_the_plan_is_done() {
    let events = [
        (at(0.0), started("a", 2)),
        (at(0.0), Event::EpochStarted { epoch: 3 }),
        (at(13.0), crate::support::epoch_finished(3, 0.6, true)),
        (at(13.0), Event::RunFinished { outcome: Outcome::Finished, epochs: 3, seconds: 13.0 }),
    ];
    let text = told(50, &events);
    assert!(!text.contains("ETA"), "{text}");
    assert!(text.ends_with("finished: every epoch was trained; 3 epochs in all, 13.0s in this run\n"), "{text}");
}
