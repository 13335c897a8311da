//! All rules of RTS 22 over transaction reports, on one core: reports a second of processor time.
#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

use std::hint::black_box;

use tapeloom_comply::{ClockRule, Holidays, Instruments, References, Rts22, SentReports, TransactionReport};
use tapeloom_core::Timestamp;

const REPORTS: usize = 10_000;

/// A third each: firm against firm on a venue, a person's order, an option off venue with all its details.
fn reports() -> Vec<TransactionReport> {
    let common = [
        (1, "NEWT"),
        (4, "7LTWFZYICNSX8D621K86"),
        (5, "true"),
        (6, "7LTWFZYICNSX8D621K86"),
        (25, "false"),
        (28, "2018-06-25T12:45:27.123456Z"),
        (30, "2000"),
        (33, "42.5"),
        (34, "EUR"),
        (65, "false"),
    ];
    let firms = [
        (3, "VENUE7712"),
        (7, "7LTWFZYICNSX8D621K86"),
        (16, "529900T8BM49AURSDO55"),
        (29, "DEAL"),
        (36, "XETR"),
        (37, "DE"),
        (41, "DE0007164600"),
        (59, "ALGO-7f3a"),
        (61, "SIZE"),
    ];
    let person = [
        (3, "VENUE7712"),
        (7, "SE19851205JOHN#ENGHO"),
        (8, "SE"),
        (9, "JOHN"),
        (10, "ENGHOLM"),
        (11, "1985-12-05"),
        (16, "529900T8BM49AURSDO55"),
        (29, "AOTC"),
        (36, "XETR"),
        (41, "DE0007164600"),
        (57, "DE19720703MELISSMITH"),
        (58, "DE"),
        (59, "ALGO-7f3a"),
    ];
    let option = [
        (7, "7LTWFZYICNSX8D621K86"),
        (16, "529900T8BM49AURSDO55"),
        (29, "DEAL"),
        (31, "EUR"),
        (36, "XXXX"),
        (38, "-10.5"),
        (39, "EUR"),
        (41, "DE0007164600"),
        (42, "CALL DEC 18"),
        (43, "HEPPVP"),
        (44, "EUR"),
        (46, "100"),
        (47, "DE0007164600"),
        (50, "CALL"),
        (51, "42.5"),
        (52, "EUR"),
        (53, "EURO"),
        (55, "2018-12-21"),
        (56, "PHYS"),
        (57, "ALGO-11"),
        (59, "ALGO-7f3a"),
        (63, "SIZE"),
    ];
    let kinds: [&[(u8, &str)]; 3] = [&firms, &person, &option];
    let report = |i: usize| {
        let fields = common.iter().chain(kinds[i % 3]).map(|(number, text)| (*number, (*text).to_owned()));
        TransactionReport::new(fields.chain([(2, format!("20180625REF{i:07}"))])).expect("known fields")
    };
    (0..REPORTS).map(report).collect()
}

fn rules() -> Rts22 {
    let mut references = References::standard(Timestamp::parse("2018-06-26T08:00:00Z").expect("a time"));
    let mut instruments = Instruments::default();
    instruments.insert("DE0007164600", "1988-11-04".parse().expect("a date"), None);
    references.leis = Some(["7LTWFZYICNSX8D621K86", "529900T8BM49AURSDO55"].map(str::to_owned).into());
    references.instruments = Some(instruments);
    references.sent = Some(SentReports::default());
    references.clock = Some(ClockRule::HighFrequency);
    references.holidays = Some(Holidays::default());
    Rts22::new(references)
}

/// Time that this thread had a core, in seconds: on a busy machine the wall clock measures the others.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

fn rate(what: &str, rounds: usize, mut run: impl FnMut() -> usize) {
    black_box(run());
    let start = cpu_seconds();
    for _ in 0..rounds {
        black_box(run());
    }
    let rate = (rounds * REPORTS) as f64 / (cpu_seconds() - start);
    println!("{what:<24} {rate:>10.0} reports/s of one core");
}

fn main() {
    let (reports, rules) = (reports(), rules());
    assert!(reports.iter().all(|report| rules.check(report).is_sound()));
    let (passed, _, open) = rules.check(&reports[2]).counts();
    println!("an option off venue: {passed} rules pass, {open} stay open");
    rate("check", 60, || reports.iter().filter(|report| rules.check(black_box(report)).is_sound()).count());
    rate("check and explain", 2, || {
        let explain = |report| rules.explain(report, &rules.check(report)).mifid_ii.passed.len();
        reports.iter().map(|report| explain(black_box(report))).sum()
    });
}
