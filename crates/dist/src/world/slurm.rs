use super::World;
use super::variables::Variables;
use crate::{Error, Result};

/// `srun` (<https://slurm.schedmd.com/srun.html>, "Output environment variables"). A batch script itself is not of the step.
pub(super) fn read(variables: &Variables<'_>) -> Result<World> {
    const LAUNCHER: &str = "srun";
    let node = variables.required("SLURM_NODEID", LAUNCHER)?;
    let tasks = variables.text("SLURM_STEP_TASKS_PER_NODE");
    let tasks =
        tasks.ok_or_else(|| Variables::missing("SLURM_STEP_TASKS_PER_NODE", "srun sets it for every process"))?;
    let local_world_size = tasks_of_node(&tasks, node).ok_or_else(|| {
        let remedy = format!("srun lists the tasks of each node, such as 4(x2),3, and this is node {node}");
        Error::invalid("SLURM_STEP_TASKS_PER_NODE", &tasks, remedy)
    })?;
    let job: Option<u64> = variables.number("SLURM_JOB_ID")?;
    Ok(World {
        rank: variables.required("SLURM_PROCID", LAUNCHER)?,
        world_size: variables.required("SLURM_STEP_NUM_TASKS", LAUNCHER)?,
        local_rank: variables.required("SLURM_LOCALID", LAUNCHER)?,
        local_world_size,
        master_addr: master_addr(variables)?,
        // Jobs that share a node keep apart, below the ports that Linux hands out by itself (from 32768).
        master_port: variables.master_port(job.map_or(World::PORT, |job| 20_000 + (job % 10_000) as u16))?,
        restart_count: variables.number("SLURM_RESTART_COUNT")?.unwrap_or(0),
        run_id: job.map(|job| job.to_string()).unwrap_or_default(),
    })
}

/// Task 0 is on the first node of the step.
fn master_addr(variables: &Variables<'_>) -> Result<String> {
    if let Some(address) = variables.text("MASTER_ADDR") {
        return Ok(address);
    }
    let nodes = variables.text("SLURM_STEP_NODELIST").unwrap_or_default();
    first_host(&nodes).ok_or_else(|| {
        Error::invalid("SLURM_STEP_NODELIST", &nodes, "srun lists the hosts, such as node[01-04]; or set MASTER_ADDR")
    })
}

/// The entry of node `node` in a list such as `4(x2),3`.
fn tasks_of_node(list: &str, node: usize) -> Option<usize> {
    let mut before = 0_usize;
    for part in list.split(',') {
        let (tasks, nodes) = match part.split_once("(x") {
            Some((tasks, times)) => (tasks, times.strip_suffix(')')?.parse().ok()?),
            None => (part, 1),
        };
        before = before.checked_add(nodes)?;
        if node < before {
            return tasks.parse().ok();
        }
    }
    None
}

/// The first host of a list such as `gpu[007,009-012],login` or `rack[1-2]node[3,5]`.
fn first_host(list: &str) -> Option<String> {
    let (mut host, mut rest) = (String::new(), list);
    loop {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        host.push_str(&rest[..end]);
        rest = &rest[end..];
        let Some(inside) = rest.strip_prefix('[') else { break };
        let (ranges, after) = inside.split_once(']')?;
        host.push_str(ranges.split([',', '-']).next()?);
        rest = after;
    }
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_list_is_found() {
        for (list, host) in [
            ("node1", "node1"),
            ("a,b", "a"),
            ("gpu[007,009-012],login", "gpu007"),
            ("gpu[07-12]-ib", "gpu07-ib"),
            ("rack[1-2]node[3,5]", "rack1node3"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(host), "{list}");
        }
        assert_eq!((first_host(""), first_host("gpu[1")), (None, None));
    }

    #[test]
    fn tasks_of_a_node_are_found() {
        let list = "4(x2),3,1(x10)";
        let tasks: Vec<_> = [0, 1, 2, 3, 12, 13].map(|node| tasks_of_node(list, node)).into();
        assert_eq!(tasks, [Some(4), Some(4), Some(3), Some(1), Some(1), None]);
        assert_eq!((tasks_of_node("x", 0), tasks_of_node("4(x", 0), tasks_of_node("4(xa)", 0)), (None, None, None));
    }
}
