use tapeloom_core::{Fingerprint, Record};
use zeroize::Zeroizing;

use super::chain::Entry;
use crate::hex;
use crate::keys::{Key, authenticate, is_id};

/// The actions that logs write themselves.
pub(crate) const CONTINUED: &str = "log.continued";
pub(crate) const CLOSED: &str = "log.closed";
pub(crate) const RETIRED: &str = "log.retired";
pub(crate) const HELD: &str = "log.held";
pub(crate) const RELEASED: &str = "log.released";
/// The action of a log's first record.
pub(crate) const OPENED: &str = "log.opened";
/// The detail of the first record that says how the chain is made.
pub(crate) const CHAIN: &str = "chain";
const PLAIN: &str = "sha256";
const KEYED: &str = "hmac-sha256 with key ";

/// How the lines of a log are hashed: plain, or with a key.
#[derive(Debug)]
pub(crate) struct Hasher(Option<Keyed>);

struct Keyed {
    secret: Zeroizing<[u8; 32]>,
    id: String,
}

impl Hasher {
    pub(crate) fn new(key: Option<&Key>) -> Self {
        Self(key.map(|key| Keyed { secret: key.derive(b"tapeloom audit v1", &[]), id: key.id() }))
    }

    pub(crate) fn name(&self) -> String {
        self.0.as_ref().map_or_else(|| PLAIN.into(), |keyed| format!("{KEYED}{}", keyed.id))
    }

    pub(crate) fn hash(&self, bytes: &[u8]) -> Fingerprint {
        let Some(keyed) = &self.0 else { return Fingerprint::of(bytes) };
        let mac = hex::encode(&authenticate(&*keyed.secret, &[bytes]));
        Fingerprint::parse(&mac).expect("32 bytes are 64 hex digits")
    }

    /// The first record of a log that is chained so, with an id that no other log has.
    pub(crate) fn opening(&self, id: &str) -> Record {
        Record::new("tapeloom", OPENED, "audit log").detail(CHAIN, self.name()).detail("id", id)
    }

    /// Whether a log that starts so is chained so.
    pub(crate) fn opens(&self, first: &Entry) -> bool {
        matches!(first.record.action.as_str(), OPENED | CONTINUED)
            && first.record.details.get(CHAIN) == Some(&self.name())
    }
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyed({})", self.id)
    }
}

/// Whether this is what [`Hasher::name`] prints for some key or none.
pub(crate) fn is_chain(text: &str) -> bool {
    text == PLAIN || text.strip_prefix(KEYED).is_some_and(is_id)
}
