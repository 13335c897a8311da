use crate::collective::{Collective, ReduceOp, check_root};
use crate::{Error, Result};
use std::sync::{Mutex, PoisonError};

/// The group of one rank, whose calls change nothing. The choice of a host that trains on one device.
#[derive(Debug, Default)]
pub struct Solo(Mutex<Option<Error>>);

impl Solo {
    /// A group that is alive.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn alive(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

impl Collective for Solo {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn all_reduce(&self, _: &mut [f32], _: ReduceOp) -> Result<()> {
        self.alive()
    }

    fn all_reduce_f64(&self, _: &mut [f64], _: ReduceOp) -> Result<()> {
        self.alive()
    }

    fn reduce_scatter(&self, buffer: &[f32], _: ReduceOp) -> Result<Vec<f32>> {
        self.alive().map(|()| buffer.to_vec())
    }

    fn all_gather(&self, shard: &[f32]) -> Result<Vec<f32>> {
        self.alive().map(|()| shard.to_vec())
    }

    fn broadcast(&self, _: &mut [f32], root: usize) -> Result<()> {
        self.alive()?;
        check_root(root, 1)
    }

    fn reduce_scatter_f64(&self, buffer: &[f64], _: ReduceOp) -> Result<Vec<f64>> {
        self.alive().map(|()| buffer.to_vec())
    }

    fn all_gather_f64(&self, shard: &[f64]) -> Result<Vec<f64>> {
        self.alive().map(|()| shard.to_vec())
    }

    fn split(&self, _: usize) -> Result<Box<dyn Collective>> {
        self.alive()?;
        Ok(Box::new(Self::new()))
    }

    fn barrier(&self) -> Result<()> {
        self.alive()
    }

    fn abort(&self, reason: &str) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(Error::Aborted { rank: 0, reason: reason.to_owned() });
    }
}
