//! The shortest way that the device has for a step: replayed, from rows on the device, or batch by batch from the host.

use std::error::Error as _;

use tapeloom_core::WindowSource;
use tapeloom_model::{AdamW, Dials, Network, Rows};

use super::recorder::Recorded;
use super::{Step, read};
use crate::batches::{Feed, Resident, Supply};
use crate::optimizer::fork;
use crate::{Error, Result};

impl<N: Network> Step<N> {
    /// Does the step; gives loss and gradient norm.
    pub(super) fn carry_out(
        &mut self,
        feed: &mut dyn Feed,
        ids: &[usize],
        learning_rate: f64,
        key: u64,
    ) -> Result<Vec<f32>> {
        let profile = self.profile.clone();
        let Some((rows, first_rows)) = self.rows(feed, ids)? else {
            let numbers = self.update(&mut Supply::Host(feed), ids, learning_rate, key)?;
            return profile.time("wait", || read(numbers));
        };
        // Weights of samples are looked up by the host.
        let rule = self.optimizer.dialled(&self.config, learning_rate).filter(|_| self.weights.is_none());
        if let Some(rule) = rule {
            if let Some(recorded) = self.recorder.recorded(ids.len()) {
                profile.time("replay", || recorded.replay(&rule, key, &first_rows))?;
                if let Some(guest) = self.collective.device() {
                    self.on_device.as_mut().map_or(Ok(()), |on_device| on_device.announce(guest))?;
                    self.sharded.as_mut().map_or(Ok(()), |on_device| on_device.announce(guest))?;
                }
                return profile.time("wait", || read(recorded.numbers.clone()));
            }
            let due = self.recorder.due(ids.len()).and_then(|sites| Dials::new(&self.device, sites, ids.len()));
            if let Some(dials) = due {
                return self.record(rows, dials, (ids, &first_rows), key, &rule);
            }
        }
        let mut supply = Supply::Resident { rows: &rows, first_rows: &first_rows };
        let numbers = self.update(&mut supply, ids, learning_rate, key)?;
        profile.time("wait", || read(numbers))
    }

    /// The rows on the device, and where the samples begin there; none where the host cuts the batches.
    fn rows(&mut self, feed: &dyn Feed, ids: &[usize]) -> Result<Option<(Rows, Vec<usize>)>> {
        let Some(matrix) = feed.matrix().filter(|_| Rows::pay_on(&self.device)) else { return Ok(None) };
        if let Some(id) = ids.iter().find(|id| **id >= matrix.len()) {
            return Err(Error::invalid("sample id", id, format!("this source holds {} samples", matrix.len())));
        }
        if self.resident.as_ref().is_none_or(|resident| resident.source != matrix.fingerprint()) {
            self.resident = Resident::new(matrix, &self.spec, &self.device.clone().without_autodiff());
            self.recorder.forget();
        }
        Ok(self.resident.as_ref().map(|resident| (resident.rows.clone(), resident.first_rows(matrix, ids))))
    }

    /// Does the step, and records it for the steps to come. Where the device will not record, all goes on as it was.
    fn record(
        &mut self,
        rows: Rows,
        dials: Dials,
        (ids, first_rows): (&[usize], &[usize]),
        key: u64,
        rule: &AdamW,
    ) -> Result<Vec<f32>> {
        let (samples, rate) = (ids.len(), rule.learning_rate);
        let before = (fork(self.network.clone()), self.optimizer.fork());
        dials.turn(rule, key, first_rows);
        let supply = || Supply::Recorded { rows: &rows, dials: &dials };
        let recorded = match dials.prepare() {
            Err(error) => Err(error),
            Ok(()) => {
                // A device that is left prepared would refuse every recording to come.
                let run = self.update(&mut supply(), ids, rate, key).and_then(read);
                let done = run.inspect_err(|_| dials.abandon())?;
                self.is_recording = true;
                let recorded = dials.record(|| self.update(&mut supply(), ids, rate, key));
                self.is_recording = false;
                recorded.map(|(numbers, recording)| (done, numbers, recording))
            }
        };
        // A step that one rank replays and another one runs would not meet.
        match (self.any_rank(recorded.is_err())?, recorded) {
            (false, Ok((done, numbers, recording))) => {
                let numbers = numbers?;
                self.recorder.keep(Recorded { recording, dials, _rows: rows, numbers, samples });
                return Ok(done);
            }
            (_, Err(error)) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                self.refused(&format!("{error}{cause}"));
            }
            (true, Ok(_)) => self.refused("another rank's device did not record"),
        }
        // What the recording would have written can't be read any more.
        (self.network, self.optimizer) = before;
        (self.on_device, self.sharded) = (None, None);
        read(self.update(&mut Supply::Resident { rows: &rows, first_rows }, ids, rate, key)?)
    }

    fn refused(&mut self, why: &str) {
        let again = self.recorder.refuse();
        tracing::warn!(why, again, "a step was not recorded; steps run launch by launch");
    }
}
