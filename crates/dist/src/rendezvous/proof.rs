//! Who knows the token, shown without telling it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{Error, Result, World};

pub(super) const NONCE: usize = 32;
pub(super) const MAC: usize = 32;
/// A token of fewer bytes could be guessed from one recorded handshake.
const SHORTEST_TOKEN: usize = 16;

/// The secret that ranks of a run share, bound to the run.
pub(super) struct Token(Vec<u8>);

/// What is special about one handshake.
pub(super) struct Handshake<'a> {
    pub(super) hub_nonce: &'a [u8; NONCE],
    pub(super) member_nonce: &'a [u8; NONCE],
    pub(super) rank: u32,
    pub(super) world_size: u32,
    pub(super) run: &'a [u8; MAC],
}

impl Token {
    pub(super) fn new(token: &[u8]) -> Result<Self> {
        if token.len() < SHORTEST_TOKEN {
            let value = format!("({} bytes)", token.len());
            return Err(Error::invalid("token", value, format!("draw at least {SHORTEST_TOKEN} random bytes")));
        }
        Ok(Self(token.to_vec()))
    }

    /// The member's proof.
    pub(super) fn join(&self, handshake: &Handshake<'_>) -> Hmac<Sha256> {
        self.of(b"join", handshake)
    }

    /// The hub's proof of a verdict.
    pub(super) fn verdict(&self, handshake: &Handshake<'_>, verdict: u8) -> Hmac<Sha256> {
        let mut mac = self.of(b"verdict", handshake);
        mac.update(&[verdict]);
        mac
    }

    /// The key of the connection that follows.
    pub(super) fn session(&self, handshake: &Handshake<'_>) -> [u8; MAC] {
        self.of(b"session", handshake).finalize().into_bytes().into()
    }

    fn of(&self, purpose: &[u8], handshake: &Handshake<'_>) -> Hmac<Sha256> {
        let mut mac = keyed(&self.0);
        // The purpose has a length of its own, all else is of fixed length: no two inputs read alike.
        mac.update(&[purpose.len() as u8]);
        mac.update(purpose);
        mac.update(handshake.hub_nonce);
        mac.update(handshake.member_nonce);
        mac.update(&handshake.rank.to_le_bytes());
        mac.update(&handshake.world_size.to_le_bytes());
        mac.update(handshake.run);
        mac
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
pub(super) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

/// Names a run in a fixed number of bytes.
pub(super) fn run_digest(world: &World) -> [u8; MAC] {
    Sha256::digest(world.run_id.as_bytes()).into()
}

pub(super) fn nonce() -> Result<[u8; NONCE]> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|e| Error::system("drawing a nonce", e))?;
    Ok(nonce)
}
