//! Who this process is among the processes of a run, as its launcher said.

mod openmpi;
mod slurm;
mod torchrun;
mod variables;

use crate::{Error, Result};
use variables::Variables;

/// Where a process stands in its run: how many there are, which one this is, and where they meet.
///
/// [`World::from_launcher`] reads what torchrun, Kubeflow, `mpirun` or `srun` left in the environment; [`World::solo`] is the
/// world of a process that nobody launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// This process, from 0.
    pub rank: usize,
    /// Processes of the run.
    pub world_size: usize,
    /// This process among those of its host, from 0; picks the device.
    pub local_rank: usize,
    /// Processes on this host.
    pub local_world_size: usize,
    /// Host name or address (IPv4 or IPv6) of rank 0.
    pub master_addr: String,
    /// The first port that rank 0 tries to listen on, see [`Rendezvous`](crate::Rendezvous).
    pub master_port: u16,
    /// How often the launcher has restarted the run.
    pub restart_count: usize,
    /// The run's name, the same on all ranks; empty if the launcher gave none.
    pub run_id: String,
}

impl World {
    /// The port of rank 0 where the launcher says nothing, as PyTorch has it.
    pub const PORT: u16 = 29500;

    /// A world of one process.
    #[must_use]
    pub fn solo() -> Self {
        Self::on_one_host(0, 1)
    }

    /// Rank `rank` of `world_size` processes of this host.
    #[must_use]
    pub fn on_one_host(rank: usize, world_size: usize) -> Self {
        Self {
            rank,
            world_size,
            local_rank: rank,
            local_world_size: world_size,
            master_addr: "127.0.0.1".to_owned(),
            master_port: Self::PORT,
            restart_count: 0,
            run_id: String::new(),
        }
    }

    /// Reads this process's environment, see [`World::read`]. The one place of Tapeloom where a library does that.
    ///
    /// # Errors
    /// As [`World::read`].
    #[expect(clippy::disallowed_methods, reason = "launchers speak by variables, and this is where they are heard")]
    pub fn from_launcher() -> Result<Self> {
        Self::read(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the variables of a launcher through `lookup`; an empty value counts as none.
    ///
    /// The first launcher counts whose variable is there, so that one inside another wins (torchrun under `srun`, `mpirun` in a
    /// Slurm job):
    ///
    /// | variable | launcher | its further variables |
    /// |---|---|---|
    /// | `RANK` | torchrun, Kubeflow, `launch` | `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`, `TORCHELASTIC_*` |
    /// | `OMPI_COMM_WORLD_RANK` | OpenMPI's `mpirun` | `OMPI_COMM_WORLD_SIZE`, `.._LOCAL_RANK`, `.._LOCAL_SIZE` |
    /// | `SLURM_STEP_NUM_TASKS` | Slurm's `srun` | `SLURM_PROCID`, `SLURM_LOCALID`, `SLURM_STEP_TASKS_PER_NODE`, `SLURM_STEP_NODELIST` |
    ///
    /// `MASTER_ADDR` and `MASTER_PORT` count with any of them. Without any of the three, this is [`World::solo`].
    ///
    /// # Errors
    /// [`Error::Invalid`], with the variable as its field.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variables = Variables::new(&lookup);
        let world = if variables.has("RANK") {
            torchrun::read(&variables)?
        } else if variables.has("OMPI_COMM_WORLD_RANK") {
            openmpi::read(&variables)?
        } else if variables.has("SLURM_STEP_NUM_TASKS") {
            slurm::read(&variables)?
        } else {
            Self::solo()
        };
        world.validate()?;
        Ok(world)
    }

    /// Whether all processes of the run are on this host.
    #[must_use]
    pub const fn is_one_host(&self) -> bool {
        self.local_world_size == self.world_size
    }

    /// # Errors
    /// [`Error::Invalid`] for counts that can't be.
    pub fn validate(&self) -> Result<()> {
        if self.world_size == 0 || self.world_size > Self::LARGEST {
            let remedy = format!("a run has 1 to {} processes", Self::LARGEST);
            return Err(Error::invalid("world_size", self.world_size, remedy));
        }
        if self.rank >= self.world_size {
            let remedy = format!("ranks of {} processes are below that", self.world_size);
            return Err(Error::invalid("rank", self.rank, remedy));
        }
        if self.local_world_size == 0 || self.local_world_size > self.world_size {
            let remedy = format!("a host has 1 to all {} of the processes", self.world_size);
            return Err(Error::invalid("local_world_size", self.local_world_size, remedy));
        }
        if self.local_rank >= self.local_world_size {
            let remedy = format!("local ranks of {} processes are below that", self.local_world_size);
            return Err(Error::invalid("local_rank", self.local_rank, remedy));
        }
        Ok(())
    }

    /// Each rank has a connection of its own to rank 0.
    const LARGEST: usize = 65_536;
}
