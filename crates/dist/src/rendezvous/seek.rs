//! The other ranks: look for rank 0.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::group::Group;
use super::handshake::{self, Failure};
use super::link::{Way, connection};
use super::proof::{MAC, Token};
use super::{Rendezvous, RendezvousConfig};
use crate::{Error, Result, World};

/// A port that says nothing for so long is not rank 0's.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn seek(world: &World, token: &Token, config: &RendezvousConfig) -> Result<Arc<Group>> {
    let until = Instant::now() + config.deadline;
    let (stream, key) = find(world, token, config.deadline, until)?;
    let (link, reader) = connection(stream, key, Way::ToHub, config.heartbeat_limit)
        .map_err(|e| Error::system("talking to rank 0", e))?;
    let group = Group::waiting(false, world.world_size, config)?;
    group.admit(0, link, reader)?;
    group.wait_for_all(until, || Ok(()))?;
    Ok(group)
}

/// Tries the ports in turn until rank 0 of this run answers: others may listen there too.
fn find(world: &World, token: &Token, deadline: Duration, until: Instant) -> Result<(TcpStream, [u8; MAC])> {
    let mut hint = None;
    loop {
        let mut last = String::new();
        for offset in 0..Rendezvous::PORTS {
            let Some(port) = world.master_port.checked_add(offset) else { break };
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            let (stream, why) = connect(&world.master_addr, port, rest.min(PATIENCE));
            let Some(mut stream) = stream else {
                // What the first port says tells most: it is where rank 0 should be.
                if offset == 0 {
                    last = why;
                }
                continue;
            };
            match handshake::offer(&mut stream, token, world, rest.min(PATIENCE)) {
                Ok(key) => return Ok((stream, key)),
                Err(Failure::Refused(verdict)) => {
                    return Err(Error::Refused { rank: world.rank, reason: verdict.to_string() });
                }
                Err(failure) => hint = Some(format!("port {port}: {}", failure.reason())),
            }
        }
        if Instant::now() + PAUSE >= until {
            let last_port = world.master_port.saturating_add(Rendezvous::PORTS - 1);
            return Err(Error::Unreachable {
                address: format!("{}, ports {} to {last_port}", world.master_addr, world.master_port),
                deadline,
                reason: hint.unwrap_or(last),
            });
        }
        thread::sleep(PAUSE);
    }
}

/// A name may have several addresses, and may not be known yet while hosts come up.
fn connect(host: &str, port: u16, patience: Duration) -> (Option<TcpStream>, String) {
    let addresses = match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(e) => return (None, e.to_string()),
    };
    let mut why = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return (Some(stream), String::new()),
            Err(e) => why = format!("{address}: {e}"),
        }
    }
    (None, why)
}
