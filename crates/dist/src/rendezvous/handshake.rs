//! How two ranks come to trust a connection. Every message has a fixed length: a stranger can send no more than that.
//!
//! ```text
//! hub -> member   "TAPELOOM" 1 nonce(32)
//! member -> hub   nonce(32) rank(4) world_size(4) run(32) proof(32)
//! hub -> member   verdict(1) proof(32)
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hmac::Mac;

use super::proof::{self, Handshake, MAC, NONCE, Token};
use crate::World;

const MAGIC: &[u8; 9] = b"TAPELOOM\x01";
const JOIN: usize = NONCE + 4 + 4 + MAC + MAC;

/// What the hub answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verdict {
    Welcome = 0,
    /// The member's token is another one.
    WrongToken = 1,
    OtherRun = 2,
    OtherWorldSize = 3,
    /// Not below the world size, or the hub's own.
    WrongRank = 4,
    /// A process of this rank has joined already.
    Taken = 5,
}

/// A member that proved that it knows the token, as the hub sees it.
pub(super) struct Joined {
    pub(super) rank: usize,
    pub(super) key: [u8; MAC],
    pub(super) stream: TcpStream,
}

/// Why a connection came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The other side is not, or not yet, who it should be; another try may find the right one.
    Stranger(String),
    /// The hub of this run will never take this rank.
    Refused(Verdict),
}

/// The hub's side. `admit` decides on a rank that proved itself.
pub(super) fn receive(
    mut stream: TcpStream,
    token: &Token,
    world: &World,
    patience: Duration,
    admit: impl FnOnce(usize) -> bool,
) -> Result<Joined, Failure> {
    let until = Instant::now() + patience;
    let hub_nonce = proof::nonce().map_err(|e| Failure::Stranger(e.to_string()))?;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(&[MAGIC.as_slice(), &hub_nonce].concat())?;
    let mut join = [0; JOIN];
    read_until(&mut stream, &mut join, until)?;
    let mut fields = &join[..];
    let member_nonce: [u8; NONCE] = take(&mut fields);
    let (rank, world_size) = (u32::from_le_bytes(take(&mut fields)), u32::from_le_bytes(take(&mut fields)));
    let run: [u8; MAC] = take(&mut fields);
    let claim: [u8; MAC] = take(&mut fields);
    let handshake = Handshake { hub_nonce: &hub_nonce, member_nonce: &member_nonce, rank, world_size, run: &run };
    let verdict = if token.join(&handshake).verify_slice(&claim).is_err() {
        Verdict::WrongToken
    } else if run != proof::run_digest(world) {
        Verdict::OtherRun
    } else if world_size as usize != world.world_size {
        Verdict::OtherWorldSize
    } else if rank as usize >= world.world_size || rank as usize == world.rank {
        Verdict::WrongRank
    } else if !admit(rank as usize) {
        Verdict::Taken
    } else {
        Verdict::Welcome
    };
    let proof = token.verdict(&handshake, verdict as u8).finalize().into_bytes();
    stream.write_all(&[&[verdict as u8], proof.as_slice()].concat())?;
    match verdict {
        Verdict::Welcome => Ok(Joined { rank: rank as usize, key: token.session(&handshake), stream }),
        verdict => Err(Failure::Refused(verdict)),
    }
}

/// The member's side: the key of the connection.
pub(super) fn offer(
    stream: &mut TcpStream,
    token: &Token,
    world: &World,
    patience: Duration,
) -> Result<[u8; MAC], Failure> {
    let until = Instant::now() + patience;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(patience))?;
    let mut hello = [0; MAGIC.len() + NONCE];
    read_until(stream, &mut hello, until)?;
    let mut fields = &hello[..];
    if take(&mut fields) != *MAGIC {
        return Err(Failure::Stranger("something else listens there".to_owned()));
    }
    let hub_nonce: [u8; NONCE] = take(&mut fields);
    let member_nonce = proof::nonce().map_err(|e| Failure::Stranger(e.to_string()))?;
    let (rank, world_size, run) = (world.rank as u32, world.world_size as u32, proof::run_digest(world));
    let handshake = Handshake { hub_nonce: &hub_nonce, member_nonce: &member_nonce, rank, world_size, run: &run };
    let claim = token.join(&handshake).finalize().into_bytes();
    let parts: [&[u8]; 5] = [&member_nonce, &rank.to_le_bytes(), &world_size.to_le_bytes(), &run, &claim];
    stream.write_all(&parts.concat())?;
    let mut answer = [0; 1 + MAC];
    read_until(stream, &mut answer, until)?;
    let [verdict, proof @ ..] = answer;
    if token.verdict(&handshake, verdict).verify_slice(&proof).is_err() {
        return Err(Failure::Stranger("who listens there has another token".to_owned()));
    }
    match verdict {
        0 => Ok(token.session(&handshake)),
        3 => Err(Failure::Refused(Verdict::OtherWorldSize)),
        4 => Err(Failure::Refused(Verdict::WrongRank)),
        5 => Err(Failure::Refused(Verdict::Taken)),
        // Runs that share a host and a token are told apart by their names.
        _ => Err(Failure::Stranger("another run listens there".to_owned())),
    }
}

impl Failure {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Stranger(reason) => reason.clone(),
            Self::Refused(verdict) => verdict.to_string(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Stranger(error.to_string())
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Welcome => "welcome",
            Self::WrongToken => "its token is another one",
            Self::OtherRun => "it belongs to another run",
            Self::OtherWorldSize => "its world has another size",
            Self::WrongRank => "the world has no such rank to give",
            Self::Taken => "a process of that rank has joined already",
        })
    }
}

/// Fills the buffer before `until`, however slowly the other side writes.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "it says too little in time"));
        }
        stream.set_read_timeout(Some(rest))?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it hung up")),
            Ok(read) => filled += read,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Cuts a field off the front; callers cut buffers of the right length.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let mut field = [0; N];
    let (front, rest) = bytes.split_at(N);
    field.copy_from_slice(front);
    *bytes = rest;
    field
}
