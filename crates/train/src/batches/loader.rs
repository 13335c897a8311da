use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use tapeloom_core::{MatrixWindows, WindowSource};

use super::batch::Samples;
use crate::config::LoaderConfig;
use crate::{Error, Result};

/// Where a step gets its samples from.
pub(crate) trait Feed {
    /// Samples by id, in the order of `ids`.
    fn take(&mut self, ids: &[usize]) -> Result<Samples>;

    /// The matrices behind the samples, for a device that keeps them and cuts batches itself.
    fn matrix(&self) -> Option<&MatrixWindows>;
}

/// Gathers when asked.
pub(crate) struct Direct<'a>(pub(crate) &'a dyn WindowSource);

impl Feed for Direct<'_> {
    fn take(&mut self, ids: &[usize]) -> Result<Samples> {
        Samples::gather(self.0, ids)
    }

    fn matrix(&self) -> Option<&MatrixWindows> {
        self.0.matrix()
    }
}

/// Gathers ahead, on threads of its own. Jobs are dealt out in turn and taken back in turn, so that the order of samples does
/// not depend on the number of threads or on which of them is fast.
pub(crate) struct Loader<'a> {
    source: &'a dyn WindowSource,
    workers: Vec<Worker>,
    ahead: usize,
    /// Ids of the passes to come, in order.
    plan: Box<dyn Iterator<Item = Vec<usize>> + 'a>,
    /// Ids under way, oldest first, and the worker that has them.
    under_way: VecDeque<(Vec<usize>, usize)>,
    next: usize,
}

struct Worker {
    jobs: Sender<Vec<usize>>,
    done: Receiver<Result<Samples>>,
}

impl<'a> Loader<'a> {
    /// Starts the threads. They end when the loader is dropped.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        source: &'a dyn WindowSource,
        config: &LoaderConfig,
    ) -> Self {
        let worker = |_| {
            let (jobs, orders) = channel::<Vec<usize>>();
            let (results, done) = channel();
            scope.spawn(move || {
                for ids in orders {
                    if results.send(Samples::gather(source, &ids)).is_err() {
                        return;
                    }
                }
            });
            Worker { jobs, done }
        };
        Self {
            source,
            workers: (0..config.num_workers).map(worker).collect(),
            ahead: config.num_workers * config.prefetch_batches,
            plan: Box::new(std::iter::empty()),
            under_way: VecDeque::new(),
            next: 0,
        }
    }

    /// Drops what is under way and goes on with the passes of `plan`.
    pub(crate) fn plan(&mut self, plan: impl Iterator<Item = Vec<usize>> + 'a) {
        for (_, worker) in std::mem::take(&mut self.under_way) {
            // What a thread says of samples that nobody wants any more is of no matter.
            let _ = self.workers[worker].done.recv();
        }
        self.plan = Box::new(plan);
    }

    fn fill(&mut self) -> Result<()> {
        while self.under_way.len() < self.ahead {
            let Some(ids) = self.plan.next() else { break };
            let worker = self.next % self.workers.len();
            self.workers[worker].jobs.send(ids.clone()).map_err(|_| gone())?;
            self.under_way.push_back((ids, worker));
            self.next += 1;
        }
        Ok(())
    }
}

impl Feed for Loader<'_> {
    fn take(&mut self, ids: &[usize]) -> Result<Samples> {
        if self.workers.is_empty() {
            return Samples::gather(self.source, ids);
        }
        self.fill()?;
        if self.under_way.front().is_none_or(|(planned, _)| planned != ids) {
            // Something else than planned, such as smaller passes: the plan is made anew by whoever changed it.
            return Samples::gather(self.source, ids);
        }
        let samples = match self.under_way.pop_front() {
            Some((_, worker)) => self.workers[worker].done.recv().map_err(|_| gone())??,
            None => Samples::gather(self.source, ids)?,
        };
        self.fill()?;
        Ok(samples)
    }

    fn matrix(&self) -> Option<&MatrixWindows> {
        self.source.matrix()
    }
}

fn gone() -> Error {
    let detail = "its thread ended; the panic's message is above";
    tapeloom_core::Error::provider("a loader worker is gone", detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tapeloom_core::{Fingerprint, Stamp, WindowSpec};

    /// Samples that hold their own number; those that a seed names are slow.
    #[derive(Debug)]
    struct Slow(WindowSpec);

    impl WindowSource for Slow {
        fn spec(&self) -> &WindowSpec {
            &self.0
        }
        fn len(&self) -> usize {
            1000
        }
        fn gather(&self, ids: &[usize], inputs: &mut [f32], targets: &mut [f32]) -> tapeloom_core::Result<()> {
            if ids[0].is_multiple_of(3) {
                std::thread::sleep(Duration::from_millis(2));
            }
            if ids[0] == 999 {
                return Err(tapeloom_core::Error::invalid("sample id", 999, "none"));
            }
            ids.iter().zip(inputs).for_each(|(id, x)| *x = *id as f32);
            targets.fill(0.0);
            Ok(())
        }
        fn stamp(&self, _: usize) -> tapeloom_core::Result<Stamp> {
            Err(tapeloom_core::Error::invalid("stamp", 0, "not needed here"))
        }
        fn symbols(&self) -> &[String] {
            &[]
        }
        fn fingerprint(&self) -> Fingerprint {
            Fingerprint::of(b"")
        }
    }

    fn source() -> Slow {
        Slow(WindowSpec { steps: 1, features: vec!["x".into()], targets: vec!["y".into()], scaler: None })
    }

    #[test]
    fn the_order_does_not_depend_on_the_workers() {
        let source = source();
        let passes: Vec<Vec<usize>> = (0..40).map(|i| (i * 7..i * 7 + 5).collect()).collect();
        for num_workers in [0, 1, 3] {
            std::thread::scope(|scope| {
                let config = LoaderConfig { num_workers, prefetch_batches: 2 };
                let mut loader = Loader::start(scope, &source, &config);
                loader.plan(passes.clone().into_iter());
                for ids in &passes {
                    let samples = loader.take(ids).expect("a sample");
                    assert!(samples.inputs.iter().zip(ids).all(|(x, id)| *x == *id as f32), "{num_workers}");
                }
            });
        }
    }

    #[test]
    fn a_new_plan_and_unplanned_samples_are_served() {
        let source = source();
        std::thread::scope(|scope| {
            let mut loader = Loader::start(scope, &source, &LoaderConfig::default());
            loader.plan((0..10).map(|i| vec![i]));
            assert_eq!(loader.take(&[0]).expect("planned").inputs, [0.0]);
            assert_eq!(loader.take(&[70]).expect("not planned").inputs, [70.0]);
            loader.plan((20..30).map(|i| vec![i]));
            assert_eq!(loader.take(&[20]).expect("planned anew").inputs, [20.0]);
            loader.plan(std::iter::once(vec![999]));
            assert!(loader.take(&[999]).is_err_and(|e| e.to_string().contains("sample id")));
        });
    }
}
