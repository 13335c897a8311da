//! How the processes of a run find each other, and notice when one is gone.

mod config;
mod gather;
mod group;
mod handshake;
mod link;
mod message;
mod proof;
mod seek;

use std::sync::Arc;
use std::time::Duration;

use crate::{Error, Result, World};
use group::Group;
use link::LARGEST;
use message::Message;
use proof::Token;

pub use config::RendezvousConfig;

/// This process among the processes of its run, all of them present.
///
/// Rank 0 listens, on the first free port of [`Rendezvous::PORTS`] from the world's `master_port` on; the others connect to it, and
/// keep the connection. Both sides prove that they know the token by HMAC-SHA-256 over fresh random numbers (RFC 2104), and sign each
/// message after that; the token itself never travels. What is said is signed and not encrypted. Who can't prove itself is
/// turned away and does no harm to the group.
///
/// From then on ranks send heartbeats. [`Rendezvous::failure`] tells on every rank when another one ended, stopped or was cut off;
/// a provider of [`Collective`](crate::Collective) asks it while it waits. Rank 0 is the hub: a rank that is cut off from rank 0 is
/// gone for all, and once rank 0 has left in good order nobody watches any more.
///
/// Dropping it leaves the group in good order; dropping it in a panic tells the others. Before a process ends with an error it calls
/// [`Rendezvous::fail`], or the others wait for it.
///
/// ```
/// use std::time::Duration;
/// use tapeloom_dist::{Rendezvous, World};
///
/// // A real program draws the token for each run: World::from_launcher() says where it stands.
/// let token = b"0123456789abcdef";
/// let ranks: Vec<_> = (0..2)
///     .map(|rank| {
///         std::thread::spawn(move || {
///             let world = World { master_port: 29800, ..World::on_one_host(rank, 2) };
///             let meeting = Rendezvous::join(&world, token, Duration::from_secs(20))?;
///             meeting.share("seed", (rank == 0).then(|| vec![42]))
///         })
///     })
///     .collect();
/// for rank in ranks {
///     assert_eq!(rank.join().unwrap()?, [42]);
/// }
/// # Ok::<(), tapeloom_dist::Error>(())
/// ```
#[derive(Debug)]
pub struct Rendezvous {
    world: World,
    group: Arc<Group>,
}

impl Rendezvous {
    /// Ports that rank 0 tries, and that the others look at: one may be taken, such as by the store of torchrun's agent.
    pub const PORTS: u16 = 8;

    /// The most bytes that [`Rendezvous::share`] takes.
    pub const LARGEST_SHARE: usize = LARGEST - 512;

    /// Returns when all ranks have come, with the default heartbeats. A world of one needs no network.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a short token or a world that can't be; [`Error::TimedOut`] with the missing ranks;
    /// [`Error::Unreachable`] if rank 0 is not found; [`Error::Refused`] if it turns this rank away.
    pub fn join(world: &World, token: &[u8], deadline: Duration) -> Result<Self> {
        Self::join_with(world, token, RendezvousConfig { deadline, ..RendezvousConfig::default() })
    }

    /// As [`Rendezvous::join`], with heartbeats as told.
    ///
    /// # Errors
    /// As [`Rendezvous::join`].
    pub fn join_with(world: &World, token: &[u8], config: RendezvousConfig) -> Result<Self> {
        world.validate()?;
        config.validate()?;
        let token = Token::new(token)?;
        let group = if world.world_size == 1 {
            Group::alone()
        } else if world.rank == 0 {
            gather::gather(world, token, &config)?
        } else {
            seek::seek(world, &token, &config)?
        };
        Ok(Self { world: world.clone(), group })
    }

    /// Where this process stands.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Gives all ranks the bytes that rank 0 brings: an id, a config. Rank 0 does not wait for the others.
    ///
    /// A name may come again: the others then get what came in the order in which rank 0 brought it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if rank 0 brings nothing, another rank brings something, or too much comes; the group's failure;
    /// [`Error::TimedOut`] if rank 0 brings nothing before the deadline, [`Error::PeerGone`] if it has left.
    pub fn share(&self, name: &str, bytes: Option<Vec<u8>>) -> Result<Vec<u8>> {
        const LONGEST_NAME: usize = 256;
        if name.len() > LONGEST_NAME {
            return Err(Error::invalid("name", name, format!("take at most {LONGEST_NAME} bytes")));
        }
        match bytes {
            Some(_) if self.world.rank != 0 => Err(Error::invalid("bytes", "Some", "only rank 0 brings bytes")),
            None if self.world.rank == 0 => Err(Error::invalid("bytes", "None", "rank 0 brings the bytes")),
            Some(bytes) if bytes.len() > Self::LARGEST_SHARE => {
                let remedy = format!("share at most {} bytes; data travels by collectives", Self::LARGEST_SHARE);
                Err(Error::invalid("bytes", format!("({} bytes)", bytes.len()), remedy))
            }
            Some(bytes) => {
                self.group.alive()?;
                let message = Message::Share { name: name.to_owned(), bytes };
                self.group.tell(&message);
                let Message::Share { bytes, .. } = message else { return Ok(Vec::new()) };
                Ok(bytes)
            }
            None => self.group.shared(name),
        }
    }

    /// Why the group is dead, if it is: the same on every rank that is left, but for one that was cut off itself.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.group.alive().err()
    }

    /// Ends the group on all ranks with [`Error::Aborted`].
    pub fn fail(&self, reason: &str) {
        self.group.abort(self.world.rank, reason);
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.group.abort(self.world.rank, "it panicked");
        }
        self.group.leave();
    }
}
