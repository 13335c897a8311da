//! Looking for personal data in text: bytes a second of processor time. With the path of a file, of that file, once: what
//! `benches/presidio.py` beside it does with the same file.
#![expect(clippy::print_stdout, reason = "a bench shows its figures")]

use std::hint::black_box;

use tapeloom_comply::Detector;

/// Time that this thread had a core, in seconds: on a busy machine the wall clock measures the others.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

/// Notes as a desk writes them, one in four with something to find.
fn notes(count: usize) -> Vec<String> {
    const PLAIN: [&str; 3] = [
        "Spoke to the client about the rebalancing; wants 40% in short duration by 2018-06-29 and no more than 3 names over 5%.",
        "Booked 2000 DE0007164600 at 42.5 on XETR, LEI 7LTWFZYICNSX8D621K86, ref 20180625REF0001, settled T+2, fees 12.40 EUR.",
        "Model lstm-3 of run 20181231T235900 drifted: IC 0.013 over 250 days, checkpoint epoch-000012 withdrawn, see ticket 4711.",
    ];
    const FOUND: &str = "Please call Jane Doe on +49 30 1234567 or write to jane.doe@mail.example.com; account DE89370400440532013000, \
        card 4111 1111 1111 1111, login from 192.168.0.17.";
    (0..count).map(|i| if i % 4 == 3 { FOUND.to_owned() } else { PLAIN[i % 4].to_owned() }).collect()
}

fn main() {
    if let Some(path) = std::env::args().nth(1).filter(|path| !path.starts_with("--")) {
        std::fs::write(&path, notes(2_000).join("\n")).expect("written");
        println!("wrote 2000 notes to {path}");
    }
    for (name, detector) in [
        ("no countries", Detector::new()),
        ("6 countries", Detector::new().countries(["DE", "ES", "FI", "IT", "PL", "SE"])),
    ] {
        let notes = notes(2_000);
        let bytes: usize = notes.iter().map(String::len).sum();
        let run = || notes.iter().map(|note| detector.find(black_box(note)).len()).sum::<usize>();
        let found = run();
        let start = cpu_seconds();
        (0..100).for_each(|_| assert_eq!(run(), found));
        let seconds = (cpu_seconds() - start) / 100.0;
        println!(
            "{name:<14} {:>6.0} MB/s, {:>9.0} notes/s, {found} found",
            bytes as f64 / seconds / 1e6,
            notes.len() as f64 / seconds
        );
    }
}
