//! Times Tapeloom on the networks that `torch_step.py` times PyTorch on; the options and the JSON lines are the same.
//!
//! `--model loop` and `--model overhead` time the trainer around a tiny and a usual step (the peer of the first is
//! `lightning_loop.py`), `--model checkpoint` what a set costs the steps. `--model check` compares the kernels of a device with those of
//! the CPU instead, in values, gradients and repeatability; `--model runs` trains, saves, resumes, loads and predicts with
//! every network there. `--model collectives`, and any network with `--ranks 1`, are ranks of a launcher.
//!
//! ```text
//! cargo run --release -p tapeloom-peers -- --model lstm_attention --threads 2
//! cargo run --release -p tapeloom-peers --features cuda -- --device cuda --precision bf16
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

mod check;
mod options;
#[cfg(feature = "cuda")]
mod ranks;
mod runs;
mod step;
mod stream;
mod trainer;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    if options.threads > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global().expect("the first pool");
    }
    let line = match options.model.as_str() {
        #[cfg(feature = "cuda")]
        "collectives" => ranks::collectives(&options),
        "check" => check::run(&options),
        "runs" => runs::run(&options),
        "loop" | "overhead" => trainer::overhead(&options),
        "checkpoint" => trainer::checkpoint(&options),
        model if model.ends_with("_stream") => stream::time(&options),
        _ => step::time(&options),
    };
    // One rank speaks for all.
    if !line.is_null() {
        println!("{line}");
    }
    ExitCode::SUCCESS
}
