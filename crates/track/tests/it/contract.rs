use tapeloom_core::contract;
use tapeloom_track::{Console, Jsonl};

use crate::support::Page;

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn the_console_keeps_the_contract() -> Result {
    let page = Page::default();
    contract::observer(&Console::to_writer(Box::new(page.clone())).log_every_n_steps(1))?;
    assert!(!page.text().chars().any(|c| c != '\n' && c.is_control()), "{:?}", page.text());
    Ok(())
}

#[test]
fn the_event_log_keeps_the_contract() -> Result {
    let folder = tempfile::tempdir()?;
    let log = Jsonl::open(folder.path().join("a.jsonl"))?;
    contract::observer(&log)?;
    assert_eq!(log.lost(), 0);
    Ok(())
}

#[cfg(feature = "prometheus")]
#[test]
fn the_metrics_keep_the_contract_before_and_in_a_run() -> Result {
    use tapeloom_core::Observer;
    let metrics = tapeloom_track::PrometheusObserver::new();
    contract::observer(&metrics)?;
    assert_eq!(metrics.render(), "");
    metrics.observe(crate::support::at(0.0), &crate::support::started("a", 0));
    contract::observer(&metrics)?;
    assert!(
        metrics.render().contains("training_nonfinite_total{run=\"a\",metric=\"training_loss\"} 1"),
        "{}",
        metrics.render()
    );
    Ok(())
}
