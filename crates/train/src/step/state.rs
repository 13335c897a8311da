use tapeloom_model::{Network, encode_weights, load_weights, updates_in_place};

use super::{LossScale, Step, gradients};
use crate::Result;
use crate::checkpoint::Checkpointer;
use crate::optimizer::{Averages, Optimizer, fork, rows};

/// All that moves in a [`Step`], at one moment. On CUDA, where updates move numbers where they lie, taking one copies them on the
/// device; elsewhere tensors are shared until one side moves.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot<N> {
    network: N,
    optimizer: Optimizer,
    averages: Option<Averages<N>>,
    scale: Option<LossScale>,
    pass_size: usize,
}

impl<N: Network> Snapshot<N> {
    /// The parts of a checkpoint set.
    pub(crate) fn encode(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut parts = vec![
            (Checkpointer::WEIGHTS, encode_weights(&self.network)?),
            (Checkpointer::OPTIMIZER, self.optimizer_bytes()?),
        ];
        if let Some(network) = self.averages.as_ref().and_then(Averages::network) {
            parts.push((Checkpointer::AVERAGES, encode_weights(network)?));
        }
        Ok(parts)
    }

    pub(crate) const fn scale(&self) -> Option<&LossScale> {
        self.scale.as_ref()
    }

    pub(crate) const fn pass_size(&self) -> usize {
        self.pass_size
    }

    /// Weights that went into the average.
    pub(crate) fn averaged(&self) -> u64 {
        self.averages.as_ref().map_or(0, Averages::count)
    }

    fn optimizer_bytes(&self) -> Result<Vec<u8>> {
        let bytes = self.optimizer.encode();
        Ok(bytes.map_err(|e| tapeloom_model::Error::Weights { detail: e.to_string() })?.to_vec())
    }
}

impl<N: Network> Step<N> {
    pub(crate) fn snapshot(&self) -> Snapshot<N> {
        let in_place = updates_in_place(&self.device);
        Snapshot {
            network: if in_place { fork(self.network.clone()) } else { self.network.clone() },
            optimizer: if in_place { self.optimizer.fork() } else { self.optimizer.clone() },
            averages: self.averages.clone(),
            scale: self.scale.clone(),
            pass_size: self.cut.pass,
        }
    }

    /// Goes back to where a snapshot was taken.
    pub(crate) fn rewind(&mut self, snapshot: Snapshot<N>) {
        let Snapshot { network, optimizer, averages, scale, pass_size } = snapshot;
        // The snapshot's own numbers stay as they are: it may be gone back to again.
        let (network, optimizer) =
            if updates_in_place(&self.device) { (fork(network), optimizer.fork()) } else { (network, optimizer) };
        self.recorder.forget();
        (self.network, self.optimizer, self.averages, self.scale) = (network, optimizer, averages, scale);
        self.cut.pass = pass_size;
    }

    /// The same with the optimizer's state of all ranks in it, where each holds a part. All ranks call this at once.
    pub(crate) fn whole_snapshot(&self) -> Result<Snapshot<N>> {
        let optimizer = self.optimizer.gathered(&self.config, &*self.collective)?;
        Ok(Snapshot { optimizer, ..self.snapshot() })
    }

    /// Every weight, in the network's order.
    pub(crate) fn weights_row(&self) -> Result<Vec<f32>> {
        gradients::weights(&self.network)
    }

    /// Takes over weights from [`Step::weights_row`] of a network of the same shape.
    pub(crate) fn take_weights(&mut self, row: &[f32]) {
        let device = self.device.clone().without_autodiff();
        let rows = rows(self.optimizer.pieces(), row, &device);
        self.network = fork(Optimizer::assign(self.network.clone(), rows.into_iter()));
        self.recorder.forget();
    }

    /// Whether a checkpoint set is made of what all ranks hold.
    pub(crate) const fn is_sharded(&self) -> bool {
        !self.optimizer.pieces().is_whole()
    }

    /// The optimizer's state as bytes in Burn's own format. Where each rank holds a part of it, all ranks call this at once.
    ///
    /// # Errors
    /// When Burn can't encode it, or ranks do not meet.
    pub fn encode_optimizer(&self) -> Result<Vec<u8>> {
        self.whole_snapshot()?.optimizer_bytes()
    }

    /// Takes over weights and optimizer state from [`encode_weights`] and [`Step::encode_optimizer`].
    ///
    /// # Errors
    /// When they do not fit this network.
    pub fn restore(&mut self, weights: Vec<u8>, optimizer: Vec<u8>) -> Result<()> {
        let bad = |e: burn::store::RecordError| tapeloom_model::Error::Weights { detail: e.to_string() };
        self.recorder.forget();
        self.optimizer = self.optimizer.decode(&self.config, optimizer).map_err(bad)?;
        self.network = load_weights(self.network.clone(), weights)?;
        Ok(())
    }

    /// Takes over what else a checkpoint set holds: the average and the weights in it, the loss scale, the size of a pass.
    pub(crate) fn restore_rest(
        &mut self,
        averages: Option<(Vec<u8>, u64)>,
        scale: Option<LossScale>,
        pass_size: usize,
    ) -> Result<()> {
        if let (Some(kept), Some((weights, count))) = (&mut self.averages, averages) {
            *kept = Averages::restored(load_weights(self.network.valid(), weights)?, count);
        }
        if self.scale.is_some() && scale.is_some() {
            self.scale = scale;
        }
        if pass_size > 0 {
            self.cut.pass = pass_size;
        }
        Ok(())
    }

    /// Takes the weights into the average, keeping `decay` of it, or as a plain mean without one.
    pub(crate) fn average(&mut self, decay: Option<f64>) {
        if let Some(averages) = &mut self.averages {
            match decay {
                Some(decay) => averages.decayed(&self.network, decay),
                None => averages.mean(&self.network),
            }
        }
    }
}
