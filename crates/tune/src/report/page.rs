use std::fmt::Write;

use super::charts;
use super::svg::escape;
use crate::importance::{fanova, ped_anova};
use crate::{History, pruning_audit};

/// A study as one page of HTML that needs nothing else: no script, no network.
///
/// Values by trial, intermediate curves, parallel coordinates, slices, the two most important parameters, importances by fANOVA
/// and PED-ANOVA with their deviations, front and hypervolume of several objectives, timeline, pruning audit, best trials.
#[must_use]
pub fn study_html(title: &str, history: &History) -> String {
    let (fanova, ped) = (fanova(history), ped_anova(history));
    let mut figures: Vec<String> = Vec::new();
    figures.extend(charts::history(history));
    figures.extend(charts::front(history).into_iter().flatten());
    figures.extend(charts::curves(history));
    figures.extend(charts::parallel(history));
    figures.extend(charts::importances("Importance by fANOVA", &fanova));
    figures.extend(charts::importances("Importance by PED-ANOVA", &ped));
    figures.extend(charts::contour(history, &fanova));
    figures.extend(charts::slices(history, &fanova));
    figures.extend(charts::timeline(history));
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\n"
    );
    let count = |name: &str| history.count(name);
    _ = writeln!(
        page,
        "<p>{} trials: {} complete, {} pruned, {} failed, {} running. Seed {}. The best of many trials is partly luck: say their number beside it, and confirm it on data that no trial has seen.</p>",
        history.trials().len(),
        count("complete"),
        count("pruned"),
        count("failed"),
        history.running().len(),
        history.header().seed
    );
    let audit = pruning_audit(history);
    if audit.pruned + audit.audited > 0 {
        _ = writeln!(page, "<p>{}</p>", escape(&audit.to_string()));
    }
    best_trials(&mut page, history);
    _ = writeln!(page, "<main>{}</main></body></html>", figures.join("\n"));
    page
}

fn best_trials(page: &mut String, history: &History) {
    let mut complete: Vec<_> = history.trials().iter().filter(|trial| trial.value().is_some()).collect();
    let loss = |trial: &crate::TrialRecord| trial.value().map_or(f64::INFINITY, |value| history.loss(value));
    complete.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    page.push_str("<table><tr><th>trial</th><th>values</th><th>parameters</th><th>chosen by</th></tr>\n");
    for trial in complete.into_iter().take(10) {
        let params: Vec<String> = trial.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let values = trial.values().unwrap_or_default();
        let (params, by) = (escape(&params.join(", ")), escape(&trial.by));
        _ = writeln!(page, "<tr><td>{}</td><td>{values:?}</td><td>{params}</td><td>{by}</td></tr>", trial.number);
    }
    page.push_str("</table>\n");
}

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#1b1b1f}\
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(34rem,1fr));gap:1rem}\
figure{margin:0;border:1px solid #ddd;border-radius:6px}svg{width:100%;height:auto}\
.title{font-weight:600;font-size:13px}.tick,.label,.note{font-size:10px;fill:#555}.grid{stroke:#eee}\
.dot{fill:#3b6fb6;fill-opacity:.55}.front{fill:#c2410c}.best{fill:none;stroke:#c2410c;stroke-width:1.5}\
.curve{fill:none;stroke:#3b6fb6;stroke-opacity:.35}.curve.pruned{stroke-dasharray:3 3}.curve.good{stroke:#c2410c;stroke-opacity:.8}\
.bar{fill:#3b6fb6;fill-opacity:.6}.error{stroke:#1b1b1f;fill:none}\
.complete{fill:#3b6fb6}.pruned{fill:#e0a100}.failed{fill:#c0262d}\
.level0{fill:#dbe7f5}.level1{fill:#a9c5e6}.level2{fill:#6f9bd1}.level3{fill:#3b6fb6}.level4{fill:#0f2f66}\
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #ddd;padding:.2rem .6rem;text-align:left}";
