use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tapeloom_core::{Event, Observer, Timestamp};

use crate::lines;
use crate::progress::Progress;

/// Shows a run to the person at the keyboard: a progress bar on a terminal, plain lines anywhere else.
///
/// Plain lines are one per epoch and one per [`log_every_n_steps`](Self::log_every_n_steps). Speed and ETA come from the
/// time that steps, validation and checkpoints really took; the ETA counts every epoch of the plan, so early stopping can
/// only shorten it, and before the first validation is measured it holds training alone. Text of events can't steer the
/// terminal. What can't be written is dropped.
///
/// ```
/// use tapeloom_core::{Event, Observer, Timestamp};
/// use tapeloom_track::Console;
/// let console = Console::stderr().log_every_n_steps(100);
/// console.observe(Timestamp::default(), &Event::EpochStarted { epoch: 1 });
/// ```
pub struct Console {
    every: u64,
    state: Mutex<State>,
}

struct State {
    progress: Progress,
    output: Output,
}

enum Output {
    Lines(Box<dyn Write + Send>),
    Bar(ProgressBar),
}

impl Console {
    /// On standard error: a bar where that is a terminal that can move its cursor, else plain lines.
    #[must_use]
    pub fn stderr() -> Self {
        let target = ProgressDrawTarget::stderr();
        if target.is_hidden() { Self::to_writer(Box::new(std::io::stderr())) } else { Self::bar(target) }
    }

    /// Plain lines into `writer`.
    #[must_use]
    pub fn to_writer(writer: Box<dyn Write + Send>) -> Self {
        Self::new(Output::Lines(writer))
    }

    /// A plain line for each step whose number in the run divides by `steps`, if the trainer reports it; 0 for none.
    /// 50 when not said.
    #[must_use]
    pub const fn log_every_n_steps(mut self, steps: u64) -> Self {
        self.every = steps;
        self
    }

    fn bar(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=>-"));
        Self::new(Output::Bar(bar))
    }

    fn new(output: Output) -> Self {
        Self { every: 50, state: Mutex::new(State { progress: Progress::default(), output }) }
    }
}

impl Observer for Console {
    fn observe(&self, at: Timestamp, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { progress, output } = &mut *state;
        progress.note(at, event);
        if let Some(line) = lines::milestone(event, progress) {
            output.line(&line);
        }
        match (event, output) {
            (Event::StepFinished { global_step, loss, learning_rate, .. }, Output::Lines(writer))
                if self.every > 0 && global_step.is_multiple_of(self.every) =>
            {
                let _ = writeln!(writer, "{}", lines::step(*loss, *learning_rate, progress));
            }
            (Event::StepFinished { loss, learning_rate, .. }, Output::Bar(bar)) => {
                bar.set_message(lines::measures(*loss, *learning_rate, progress));
                bar.set_position(progress.step);
            }
            (Event::RunStarted { .. }, Output::Bar(bar)) => bar.reset(),
            (Event::EpochStarted { .. }, Output::Bar(bar)) => {
                bar.set_length(progress.steps_per_epoch);
                bar.set_prefix(lines::epoch(progress));
                bar.set_message("");
                bar.set_position(0);
            }
            (Event::RunFinished { .. }, Output::Bar(bar)) => bar.finish_and_clear(),
            _ => {}
        }
    }

    fn flush(&self) {
        if let Output::Lines(writer) = &mut self.state.lock().unwrap_or_else(PoisonError::into_inner).output {
            let _ = writer.flush();
        }
    }
}

impl Output {
    fn line(&mut self, line: &str) {
        match self {
            Self::Lines(writer) => {
                let _ = writeln!(writer, "{line}");
            }
            Self::Bar(bar) => bar.println(line),
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("every", &self.every).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use indicatif::TermLike;
    use tapeloom_core::Outcome;

    use super::*;

    /// A terminal that remembers the text it was sent.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn push(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
            Ok(())
        }

        fn text(&self) -> String {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.push(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.push(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.push("\r")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_shows_the_step_and_keeps_milestones_above_it() {
        let screen = Screen::default();
        let console = Console::bar(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let run = Event::RunStarted {
            run: "a".parse().expect("a valid id"),
            config: tapeloom_core::Fingerprint::of(b""),
            model: "lstm".into(),
            parameters: 10,
            samples: 256,
            epochs: 2,
            steps_per_epoch: 4,
            resumed_epoch: 0,
        };
        console.observe(at(0), &run);
        console.observe(at(0), &Event::EpochStarted { epoch: 1 });
        let step = Event::StepFinished {
            epoch: 1,
            step: 3,
            global_step: 3,
            loss: 0.5,
            learning_rate: 1e-3,
            grad_norm: 1.0,
            samples: 64,
            seconds: 2.0,
        };
        console.observe(at(6), &step);
        let shown = screen.text();
        assert!(shown.contains("run a: lstm with 10 parameters"), "{shown}");
        let bar = shown.rsplit(['\n', '\r']).next().unwrap_or_default();
        assert!(
            bar.contains("epoch 1/2") && bar.contains("3/4 loss 0.50000  lr 1.00e-3  32.0 samples/s  ETA 10.0s"),
            "{bar}"
        );
        let over = Event::RunFinished { outcome: Outcome::EarlyStopped, epochs: 1, seconds: 9.0 };
        console.observe(at(9), &over);
        let shown = screen.text();
        assert!(
            shown.contains("early stopping: the monitored metric no longer improved; 1 epoch in all, 9.0s"),
            "{shown}"
        );
    }

    #[test]
    fn a_bar_keeps_the_contract() -> tapeloom_core::Result<()> {
        let console = Console::bar(ProgressDrawTarget::term_like(Box::new(Screen::default())));
        tapeloom_core::contract::observer(&console)
    }
}
