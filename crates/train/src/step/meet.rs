use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use tapeloom_dist::ReduceOp;
use tapeloom_model::Network;

use super::on_device::OnDevice;
use super::passes::Part;
use super::{Step, gradients};
use crate::Result;

impl<N: Network> Step<N> {
    /// Loss and gradient of the mean over the global batch, the same on every rank.
    pub(super) fn meet(&mut self, mut parts: Vec<Part>) -> Result<(Tensor<1>, GradientsParams)> {
        if self.cut.virtual_shards.is_some() {
            return self.meet_by_tree(parts);
        }
        // Without virtual shards a rank has one part at most.
        let part = parts.pop();
        match part {
            Some(part) if self.cut.world_size == 1 => Ok((part.loss, part.gradients)),
            part => match self.collective.device().zip(self.on_device.as_mut()) {
                Some((guest, on_device)) => {
                    let device = self.device.clone().without_autodiff();
                    on_device.sum(&self.network, part, (guest, !self.is_recording), &device)
                }
                None => self.meet_on_host(part),
            },
        }
    }

    /// Through buffers of the host. The first step of a run goes this way everywhere: it shows which parameters have gradients.
    fn meet_on_host(&mut self, part: Option<Part>) -> Result<(Tensor<1>, GradientsParams)> {
        let mut flat = gradients::flatten(&self.network, part)?;
        self.collective.all_reduce(&mut flat, ReduceOp::Sum)?;
        let device = self.device.clone().without_autodiff();
        let present = gradients::present(&self.network, &flat);
        self.on_device = OnDevice::new(&self.network, present, &*self.collective, &device)?;
        Ok(gradients::unflatten(&self.network, &flat, &device))
    }

    /// Adds the shards of all ranks in one fixed tree, so that sums do not depend on who made which shard.
    fn meet_by_tree(&self, parts: Vec<Part>) -> Result<(Tensor<1>, GradientsParams)> {
        let (shards, width) = (self.cut.shards(), gradients::flat_len(&self.network));
        let mut mine = Vec::with_capacity(parts.len() * width);
        let mut parts = parts.into_iter().peekable();
        for shard in self.cut.shards_of(self.cut.rank) {
            // A batch may have fewer samples than there are shards.
            let part = parts.next_if(|part| part.shard == shard);
            mine.extend(gradients::flatten(&self.network, part)?);
        }
        let all = self.collective.all_gather(&mine)?;
        let owners = (0..self.cut.world_size).flat_map(|rank| self.cut.shards_of(rank));
        let mut rows = vec![&all[..0]; shards];
        owners.zip(all.chunks_exact(width)).for_each(|(shard, row)| rows[shard] = row);
        let flat = tree_sum(&rows);
        Ok(gradients::unflatten(&self.network, &flat, &self.device.clone().without_autodiff()))
    }
}

/// The sum of rows of one length: halves first, each in the same way.
fn tree_sum(rows: &[&[f32]]) -> Vec<f32> {
    match rows {
        [] => Vec::new(),
        [row] => row.to_vec(),
        rows => {
            let (left, right) = rows.split_at(rows.len().div_ceil(2));
            let mut sum = tree_sum(left);
            sum.iter_mut().zip(tree_sum(right)).for_each(|(a, b)| *a += b);
            sum
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_adds_halves_first() {
        let rows: Vec<[f32; 1]> = vec![[1e8], [1.0], [-1e8], [1.0], [0.5]];
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        // ((1e8 + 1) + -1e8) + (1 + 0.5), where f32 loses the first 1.
        assert_eq!(tree_sum(&rows), [1.5]);
        assert!(tree_sum(&[]).is_empty());
    }
}
