//! Rank 0: listens, and takes in who can prove itself.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::group::Group;
use super::handshake;
use super::link::{Way, connection};
use super::proof::Token;
use super::{Rendezvous, RendezvousConfig};
use crate::{Error, Result, World};

/// A stranger that connects and says nothing is cut off after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Handshakes at a time; whoever comes on top waits in the system's queue.
const AT_ONCE: usize = 256;

pub(super) fn gather(world: &World, token: Token, config: &RendezvousConfig) -> Result<Arc<Group>> {
    let until = Instant::now() + config.deadline;
    let listener = listen(world)?;
    let group = Group::waiting(true, world.world_size, config)?;
    let door = Arc::new(Door { token, world: world.clone(), group: group.clone(), busy: AtomicUsize::new(0) });
    group.wait_for_all(until, || {
        while door.busy.load(Ordering::Acquire) < AT_ONCE {
            match listener.accept() {
                Ok((stream, _)) => door.open(stream, config.heartbeat_limit)?,
                // Nobody is there, or whoever was has hung up again.
                Err(e) if is_passing(&e) => break,
                Err(e) => return Err(Error::system("listening for ranks", e)),
            }
        }
        Ok(())
    })?;
    Ok(group)
}

/// What the threads need that talk to who knocks.
struct Door {
    token: Token,
    world: World,
    group: Arc<Group>,
    busy: AtomicUsize,
}

impl Door {
    fn open(self: &Arc<Self>, stream: TcpStream, limit: Duration) -> Result<()> {
        self.busy.fetch_add(1, Ordering::AcqRel);
        let door = self.clone();
        let talk = thread::Builder::new().name("tapeloom-door".to_owned()).spawn(move || {
            door.talk(stream, limit);
            door.busy.fetch_sub(1, Ordering::AcqRel);
        });
        talk.map(|_| ()).map_err(|e| Error::system("starting a thread", e))
    }

    /// Whoever fails is turned away, and may come again.
    fn talk(&self, stream: TcpStream, limit: Duration) {
        let admit = |rank| self.group.misses(rank);
        let Ok(joined) = handshake::receive(stream, &self.token, &self.world, PATIENCE, admit) else { return };
        let Ok((link, reader)) = connection(joined.stream, joined.key, Way::ToMember, limit) else { return };
        // A twin may have come first: it stays, and this connection closes.
        let _ = self.group.admit(joined.rank, link, reader);
    }
}

/// On the loopback alone where everyone is on this host, on all addresses elsewhere: the name that others use may be
/// that of a service in front of this host.
fn listen(world: &World) -> Result<TcpListener> {
    let loopback = (world.master_addr.as_str(), world.master_port)
        .to_socket_addrs()
        .is_ok_and(|mut addresses| addresses.all(|address| address.ip().is_loopback()));
    let hosts: &[IpAddr] = if loopback {
        &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
    } else {
        // One IPv6 socket takes IPv4 as well, unless the host has no IPv6.
        &[IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
    };
    let hosts: Vec<IpAddr> = match world.master_addr.parse() {
        Ok(address) if loopback => vec![address],
        _ => hosts.to_vec(),
    };
    let ports = (0..Rendezvous::PORTS).filter_map(|offset| world.master_port.checked_add(offset));
    let mut last = String::new();
    for port in ports {
        for host in &hosts {
            match TcpListener::bind(SocketAddr::new(*host, port)) {
                Ok(listener) => {
                    listener.set_nonblocking(true).map_err(|e| Error::system("listening for ranks", e))?;
                    return Ok(listener);
                }
                Err(e) => last = format!("port {port}: {e}"),
            }
        }
    }
    let last_port = world.master_port.saturating_add(Rendezvous::PORTS - 1);
    Err(Error::system(format!("listening on ports {} to {last_port}", world.master_port), last))
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted)
}
