use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::message::Message;
use super::proof::{MAC, keyed};

/// No message is larger: ranks share ids and configs here, data travels by collectives.
pub(super) const LARGEST: usize = 1 << 20;

/// Which way a message goes; each way counts its messages alone, so that none can be sent back, again, or out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToHub = 0,
    ToMember = 1,
}

/// A connection of two ranks that know each other, for writing.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    seal: Mutex<Seal>,
}

/// The same connection, for reading.
#[derive(Debug)]
pub(super) struct Reader {
    stream: TcpStream,
    seal: Seal,
}

/// Signs the messages of one way.
struct Seal {
    key: [u8; MAC],
    way: Way,
    count: u64,
}

/// Both ends of a connection whose other side is silent for at most `limit`; messages are sent `out`.
pub(super) fn connection(stream: TcpStream, key: [u8; MAC], out: Way, limit: Duration) -> io::Result<(Link, Reader)> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let back = if out == Way::ToHub { Way::ToMember } else { Way::ToHub };
    let reader = Reader { stream: stream.try_clone()?, seal: Seal { key, way: back, count: 0 } };
    Ok((Link { stream, seal: Mutex::new(Seal { key, way: out, count: 0 }) }, reader))
}

impl Link {
    pub(super) fn send(&self, message: &Message) -> io::Result<()> {
        let mut seal = self.seal.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut seal, message)
    }

    /// Says that this side lives, unless it is saying something already.
    pub(super) fn beat(&self, message: &Message) -> io::Result<()> {
        match self.seal.try_lock() {
            Ok(mut seal) => self.write(&mut seal, message),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Poisoned(seal)) => self.write(&mut seal.into_inner(), message),
        }
    }

    /// No more will be sent; the other side reads to the end.
    pub(super) fn finish(&self) {
        // Nothing is left to do about a connection that is broken already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(super) fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// One write for a whole message, so that it leaves in one packet where it fits.
    fn write(&self, seal: &mut Seal, message: &Message) -> io::Result<()> {
        let body = message.encode();
        let mut frame = Vec::with_capacity(4 + body.len() + MAC);
        frame.extend((body.len() as u32).to_le_bytes());
        frame.extend(&body);
        frame.extend(seal.next(&body).finalize().into_bytes());
        (&self.stream).write_all(&frame)
    }
}

impl Reader {
    /// The next message; `None` at the end of the connection.
    ///
    /// # Errors
    /// Of the network; a silence above the limit; a message that is too large, or that the other side can't have written.
    pub(super) fn next(&mut self) -> io::Result<Option<Message>> {
        let mut len = [0; 4];
        match self.stream.read_exact(&mut len) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(e),
        }
        let len = u32::from_le_bytes(len) as usize;
        if len > LARGEST {
            return Err(invalid(format!("a message of {len} bytes, the limit is {LARGEST}")));
        }
        let (mut body, mut mac) = (vec![0; len], [0; MAC]);
        self.stream.read_exact(&mut body)?;
        self.stream.read_exact(&mut mac)?;
        let proof = self.seal.next(&body).verify_slice(&mac);
        proof.map_err(|_| invalid("a message that the other side did not write"))?;
        Message::decode(&body).map(Some).ok_or_else(|| invalid("a message of another version"))
    }

    pub(super) fn close(&self) {
        // The other side may have closed first.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Seal {
    fn next(&mut self, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(&self.key);
        mac.update(&[self.way as u8]);
        mac.update(&self.count.to_le_bytes());
        mac.update(body);
        self.count += 1;
        mac
    }
}

/// The key stays out.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("way", &self.way).field("count", &self.count).finish_non_exhaustive()
    }
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}
