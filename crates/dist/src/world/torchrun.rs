use super::World;
use super::variables::Variables;
use crate::Result;

/// torchrun (<https://docs.pytorch.org/docs/stable/elastic/run.html>, "Environment Variables"), and who sets the same:
/// Kubeflow's training operators, manifests that name them, our own launcher.
pub(super) fn read(variables: &Variables<'_>) -> Result<World> {
    let world_size = variables.required("WORLD_SIZE", "the launcher that sets RANK")?;
    let rank = variables.required("RANK", "the launcher")?;
    // One process for each pod or host, unless said otherwise.
    let local_world_size = variables.number("LOCAL_WORLD_SIZE")?.unwrap_or(1);
    let one_host = local_world_size == world_size;
    let mut master_port = variables.master_port(World::PORT)?;
    // The port itself is then held by a store in torchrun's agent.
    if variables.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        master_port = master_port.saturating_add(1);
    }
    Ok(World {
        rank,
        world_size,
        local_rank: variables.number("LOCAL_RANK")?.unwrap_or(0),
        local_world_size,
        master_addr: variables.master_addr(one_host, "set it to the host name or address of rank 0")?,
        master_port,
        restart_count: variables.number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0),
        run_id: variables.text("TORCHELASTIC_RUN_ID").unwrap_or_default(),
    })
}
