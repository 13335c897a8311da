use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::blocks::{Block, cut};
use super::split::{Key, Split};
use super::{Mode, TpeConfig};
use crate::{Domain, History, Params, TrialRecord};

/// What was read from a history so far. It is a function of the set of trials, whatever the order of their results.
#[derive(Debug)]
pub(super) struct Cache {
    history: Arc<()>,
    /// How many changes of the history are in it.
    changes: usize,
    mode: Mode,
    pending_counts: bool,
    domains: BTreeMap<String, Domain>,
    /// The sets of parameters that evidence had.
    sets: BTreeSet<Vec<String>>,
    /// By number: what is known of the trial.
    known: Vec<Option<Known>>,
    pub(super) split: Split,
    pub(super) blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Known {
    params: Params,
    /// None for a trial that runs.
    key: Option<Key>,
}

impl Cache {
    pub(super) fn new(history: &History, config: &TpeConfig) -> Self {
        Self {
            history: history.identity(),
            changes: 0,
            mode: config.mode.unwrap_or(if history.directions().len() > 1 { Mode::Univariate } else { Mode::Group }),
            pending_counts: config.constant_liar,
            domains: history.domains().clone(),
            sets: BTreeSet::new(),
            known: Vec::new(),
            split: Split::default(),
            blocks: Vec::new(),
        }
    }

    /// Whether it was read from this history, at this moment or an earlier one.
    pub(super) fn is_of(&self, history: &History) -> bool {
        history.is(&self.history) && self.changes <= history.changes().len()
    }

    /// Reads what changed.
    pub(super) fn update(&mut self, history: &History) {
        let changed: BTreeSet<u64> = history.changes()[self.changes..].iter().copied().collect();
        self.changes = history.changes().len();
        self.known.resize(history.trials().len(), None);
        let mut recut = false;
        if &self.domains != history.domains() {
            self.domains = history.domains().clone();
            recut = true;
        }
        for number in changed {
            let new = self.know(history, &history.trials()[number as usize]);
            let old = std::mem::replace(&mut self.known[number as usize], new.clone());
            if let Some(old) = old {
                self.forget(number, &old);
            }
            let Some(new) = new else { continue };
            if let Some(key) = new.key {
                let names = new.params.iter().map(|(name, _)| name.to_owned()).collect();
                recut |= self.sets.insert(names);
                self.split.insert(key, number);
            }
            for block in &mut self.blocks {
                if let Some(places) = block.places(&new.params) {
                    block.bad.insert(number, &places);
                }
            }
        }
        if recut {
            self.cut(history);
        }
        let (joined, left) = self.split.choose(history);
        for (numbers, good) in [(joined, true), (left, false)] {
            for number in numbers {
                // Those that left by being forgotten are nowhere any more.
                let Some(known) = &self.known[number as usize] else { continue };
                for block in &mut self.blocks {
                    let Some(places) = block.places(&known.params) else { continue };
                    let (from, to) =
                        if good { (&mut block.bad, &mut block.good) } else { (&mut block.good, &mut block.bad) };
                    from.remove(number);
                    to.insert(number, &places);
                }
            }
        }
        for block in &mut self.blocks {
            block.good.settle();
            block.bad.settle();
        }
    }

    /// All values that a parameter had, of good and of bad trials.
    pub(super) fn values_of(&self, name: &str, domain: &Domain) -> [Vec<(u64, f64)>; 2] {
        let known = self.known.iter().enumerate().filter_map(|(number, known)| {
            let place = domain.place(known.as_ref()?.params.value(name)?)?;
            Some((number as u64, place))
        });
        let (good, bad) = known.partition(|(number, _)| self.split.good().contains(number));
        [good, bad]
    }

    fn know(&self, history: &History, trial: &TrialRecord) -> Option<Known> {
        let key = Key::of(history, trial);
        if key.is_some() {
            return (!trial.params.is_empty()).then(|| Known { params: trial.params.clone(), key });
        }
        if trial.status.is_final() || !self.pending_counts {
            return None;
        }
        // What it drew ahead, until it names something else.
        let ahead = trial.drawn.iter().chain(trial.params.iter());
        let params: Params = ahead.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        (!params.is_empty()).then_some(Known { params, key: None })
    }

    fn forget(&mut self, number: u64, old: &Known) {
        if let Some(key) = old.key {
            self.split.remove(key, number);
        }
        for block in &mut self.blocks {
            block.bad.remove(number);
            block.good.remove(number);
        }
    }

    /// Makes the blocks anew, and puts all that is known into them.
    fn cut(&mut self, history: &History) {
        let several = history.directions().len() > 1;
        let blocks = cut(self.mode, &self.sets, &self.domains);
        self.blocks = blocks.into_iter().map(|parameters| Block::new(parameters, several)).collect();
        for (number, known) in self.known.iter().enumerate() {
            let (number, Some(known)) = (number as u64, known) else { continue };
            let good = known.key.is_some() && self.split.good().contains(&number);
            for block in &mut self.blocks {
                if let Some(places) = block.places(&known.params) {
                    if good { &mut block.good } else { &mut block.bad }.insert(number, &places);
                }
            }
        }
    }
}
