//! What launchers say, as their documentation has it; the real ones are asked in the stage `distributed`.

use std::collections::HashMap;

use tapeloom_dist::{Error, World};

fn read(variables: &[(&str, &str)]) -> tapeloom_dist::Result<World> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    World::read(|name| variables.get(name).map(|value| (*value).to_owned()))
}

const TORCHRUN: &[(&str, &str)] = &[
    ("RANK", "5"),
    ("WORLD_SIZE", "8"),
    ("LOCAL_RANK", "1"),
    ("LOCAL_WORLD_SIZE", "4"),
    ("MASTER_ADDR", "node-a"),
    ("MASTER_PORT", "29400"),
    ("TORCHELASTIC_RESTART_COUNT", "2"),
    ("TORCHELASTIC_RUN_ID", "job-7"),
];

const SLURM: &[(&str, &str)] = &[
    ("SLURM_PROCID", "9"),
    ("SLURM_STEP_NUM_TASKS", "11"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_NODEID", "2"),
    ("SLURM_STEP_TASKS_PER_NODE", "4(x2),3"),
    ("SLURM_STEP_NODELIST", "gpu[007,009-010]"),
    ("SLURM_JOB_ID", "1234567"),
];

const OPENMPI: &[(&str, &str)] = &[
    ("OMPI_COMM_WORLD_RANK", "1"),
    ("OMPI_COMM_WORLD_SIZE", "2"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
];

#[test]
fn torchrun_is_understood() {
    let world = World {
        rank: 5,
        world_size: 8,
        local_rank: 1,
        local_world_size: 4,
        master_addr: "node-a".into(),
        master_port: 29400,
        restart_count: 2,
        run_id: "job-7".into(),
    };
    assert_eq!(read(TORCHRUN), Ok(world.clone()));
    assert!(!world.is_one_host());
    let with_store = [TORCHRUN, &[("TORCHELASTIC_USE_AGENT_STORE", "True")]].concat();
    assert_eq!(read(&with_store).map(|world| world.master_port), Ok(29401), "the agent's store holds the port itself");
}

#[test]
fn a_pod_of_an_operator_is_a_host_with_one_process() {
    let world = read(&[("RANK", "3"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "job-0.job")]).expect("complete");
    assert_eq!((world.local_rank, world.local_world_size, world.master_port), (0, 1, World::PORT));
}

#[test]
fn srun_is_understood() {
    let world = read(SLURM).expect("complete");
    assert_eq!((world.rank, world.world_size, world.local_rank, world.local_world_size), (9, 11, 1, 3));
    assert_eq!((world.master_addr.as_str(), world.master_port), ("gpu007", 24_567));
    assert_eq!(world.run_id, "1234567");
}

#[test]
fn mpirun_is_understood() {
    let world = read(OPENMPI).expect("complete");
    assert_eq!((world.rank, world.world_size, world.local_rank, world.local_world_size), (1, 2, 1, 2));
    assert!(world.is_one_host());
    let apart = [&OPENMPI[..3], &[("OMPI_COMM_WORLD_LOCAL_SIZE", "1"), ("OMPI_COMM_WORLD_LOCAL_RANK", "0")]].concat();
    assert!(matches!(read(&apart), Err(Error::Invalid { field: "MASTER_ADDR", .. })), "where rank 0 is must be said");
}

#[test]
fn the_inner_launcher_counts() {
    assert_eq!(read(&[SLURM, OPENMPI, TORCHRUN].concat()), read(TORCHRUN));
    let mpirun_in_a_job = read(&[SLURM, OPENMPI].concat()).expect("complete");
    assert_eq!(mpirun_in_a_job.world_size, 2);
}

#[test]
fn without_a_launcher_the_world_is_one_process() {
    assert_eq!(read(&[]), Ok(World::solo()));
    let batch_script = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_JOB_ID", "7"), ("RANK", "")];
    assert_eq!(read(&batch_script), Ok(World::solo()), "the script of a job is not a task of a step");
}

#[test]
fn a_bad_variable_is_named_with_its_value() {
    let with = |name: &'static str, value: &'static str| {
        let mut variables = TORCHRUN.to_vec();
        variables.retain(|(there, _)| *there != name);
        variables.push((name, value));
        read(&variables).expect_err("refused").to_string()
    };
    for (name, value, said) in [
        ("RANK", "x", "RANK = x: the launcher sets it to a whole number"),
        ("WORLD_SIZE", "", "WORLD_SIZE = (not set): the launcher that sets RANK sets it for every process"),
        ("RANK", "8", "rank = 8: ranks of 8 processes are below that"),
        ("LOCAL_RANK", "4", "local_rank = 4: local ranks of 4 processes are below that"),
        ("MASTER_ADDR", "", "MASTER_ADDR = (not set): set it to the host name or address of rank 0"),
        ("MASTER_PORT", "70000", "MASTER_PORT = 70000: the launcher sets it to a whole number"),
    ] {
        assert_eq!(with(name, value), said);
    }
}
