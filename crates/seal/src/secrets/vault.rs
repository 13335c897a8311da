use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::secret::Secret;
use super::source::SecretSource;
use crate::{Error, Result};

/// An answer with secrets is some hundred bytes long.
const MAX_ANSWER: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// Secrets of HashiCorp Vault or OpenBao, version 2 of their key-value engine, through an agent on this machine: the agent holds
/// the credentials and speaks TLS to the server, and listens here in clear. Only loopback addresses are taken for that reason.
#[derive(Debug)]
pub struct VaultAgent {
    address: SocketAddr,
    mount: String,
    token: Option<Secret>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Versioned<'a>,
}

#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    data: BTreeMap<&'a str, Cow<'a, str>>,
}

impl VaultAgent {
    /// An agent, such as `127.0.0.1:8100`, and the path at which the engine is mounted, such as `secret`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address of another machine, or a mount that is no path.
    pub fn new(address: SocketAddr, mount: impl Into<String>) -> Result<Self> {
        let mount = mount.into();
        if !address.ip().is_loopback() {
            return Err(Error::invalid(
                "vault agent",
                address,
                "the way to it is not encrypted: use an agent on this machine",
            ));
        }
        check_path("vault mount", &mount)?;
        Ok(Self { address, mount, token: None })
    }

    /// Sends a token, for an agent that does not log in by itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that would break the request.
    pub fn token(mut self, token: Secret) -> Result<Self> {
        let is_sound = token.expose().iter().all(u8::is_ascii_graphic);
        if !is_sound {
            return Err(Error::invalid("vault token", "[REDACTED]", "a token has printable characters without spaces"));
        }
        self.token = Some(token);
        Ok(self)
    }

    /// Status and body.
    fn ask(&self, path: &str) -> std::io::Result<(u16, Zeroizing<Vec<u8>>)> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // Version 1.0 is answered in one piece.
        let mut request = Zeroizing::new(Vec::with_capacity(4096));
        write!(request, "GET /v1/{path} HTTP/1.0\r\nHost: {}\r\nX-Vault-Request: true\r\n", self.address)?;
        if let Some(token) = &self.token {
            request.extend_from_slice(b"X-Vault-Token: ");
            request.extend_from_slice(token.expose());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request)?;
        let mut answer = Zeroizing::new(Vec::with_capacity(64 << 10));
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        let bad = || std::io::Error::new(std::io::ErrorKind::InvalidData, "it does not answer as a web server does");
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(bad)?;
        let line = answer.split(|byte| *byte == b'\r').next().and_then(|line| std::str::from_utf8(line).ok());
        let status = line.filter(|line| line.starts_with("HTTP/1.")).and_then(|line| line.get(9..12)?.parse().ok());
        Ok((status.ok_or_else(bad)?, Zeroizing::new(answer[end + 4..].to_vec())))
    }
}

impl SecretSource for VaultAgent {
    fn name(&self) -> &str {
        "vault"
    }

    /// `path` is the field `value` of the newest version of the secret there; `path#field` another field.
    fn secret(&self, name: &str) -> Result<Option<Secret>> {
        let (path, field) = name.split_once('#').unwrap_or((name, "value"));
        check_path("secret name", path)?;
        let failed = |detail: String| Error::SourceFailed { from: "vault".into(), detail };
        let io = |e: std::io::Error| failed(format!("{} could not be asked: {e}", self.address));
        let (status, body) = self.ask(&format!("{}/data/{path}", self.mount)).map_err(io)?;
        match status {
            200 => {}
            404 => return Ok(None),
            403 => return Err(failed(format!("it may not read {path} (status 403): give its policy the path"))),
            other => return Err(failed(format!("it answered {path} with status {other}"))),
        }
        let answer: Answer<'_> =
            serde_json::from_slice(&body).map_err(|_| failed(format!("what it holds at {path} is no set of texts")))?;
        Ok(answer
            .data
            .data
            .into_iter()
            .find(|(name, _)| *name == field)
            .map(|(_, text)| Secret::new(text.into_owned())))
    }
}

fn check_path(field: &str, path: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let good = |part: &str| !part.is_empty() && !part.trim_matches('.').is_empty() && part.chars().all(plain);
    if path.len() <= 512 && path.split('/').all(good) {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{path:?}"), "use parts of letters, digits, '.', '-', '_' joined by '/'"))
}
