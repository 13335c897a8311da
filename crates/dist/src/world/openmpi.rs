use super::World;
use super::variables::Variables;
use crate::Result;

/// OpenMPI's `mpirun` (its FAQ, "environment variables Open MPI sets").
pub(super) fn read(variables: &Variables<'_>) -> Result<World> {
    const LAUNCHER: &str = "mpirun";
    let world_size = variables.required("OMPI_COMM_WORLD_SIZE", LAUNCHER)?;
    let local_world_size = variables.required("OMPI_COMM_WORLD_LOCAL_SIZE", LAUNCHER)?;
    let remedy = "pass it on: mpirun -x MASTER_ADDR=<host of rank 0>";
    Ok(World {
        rank: variables.required("OMPI_COMM_WORLD_RANK", LAUNCHER)?,
        world_size,
        local_rank: variables.required("OMPI_COMM_WORLD_LOCAL_RANK", LAUNCHER)?,
        local_world_size,
        master_addr: variables.master_addr(local_world_size == world_size, remedy)?,
        master_port: variables.master_port(World::PORT)?,
        restart_count: 0,
        run_id: variables.text("OMPI_MCA_ess_base_jobid").unwrap_or_default(),
    })
}
