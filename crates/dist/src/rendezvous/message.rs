//! What ranks tell each other once they have joined: `docs/format/rendezvous.md`.

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The sender lives.
    Beat,
    /// From the hub, before the start: who has not come.
    Missing(Vec<usize>),
    /// From the hub: all ranks are here.
    Start,
    /// From the hub: its deadline passed.
    TimedOut(Vec<usize>),
    /// From the hub, see `Rendezvous::share`.
    Share { name: String, bytes: Vec<u8> },
    /// From the hub: ranks that are gone.
    Gone(Vec<usize>),
    /// A rank gave up; the hub passes it on.
    Abort { rank: usize, reason: String },
    /// The sender ends in good order.
    Leave,
}

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Beat => vec![0],
            Self::Missing(ranks) => with_ranks(1, ranks),
            Self::Start => vec![2],
            Self::TimedOut(ranks) => with_ranks(3, ranks),
            Self::Share { name, bytes } => {
                let mut out = vec![4];
                out.extend((name.len() as u32).to_le_bytes());
                out.extend(name.as_bytes());
                out.extend(bytes);
                out
            }
            Self::Gone(ranks) => with_ranks(5, ranks),
            Self::Abort { rank, reason } => {
                let mut out = with_ranks(6, &[*rank]);
                out.extend(reason.as_bytes());
                out
            }
            Self::Leave => vec![7],
        }
    }

    /// `None` for bytes that are no message.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, body) = bytes.split_first()?;
        match (kind, body) {
            (0, []) => Some(Self::Beat),
            (1, body) => ranks(body).map(Self::Missing),
            (2, []) => Some(Self::Start),
            (3, body) => ranks(body).map(Self::TimedOut),
            (4, body) => {
                let (len, body) = body.split_first_chunk()?;
                let (name, bytes) = body.split_at_checked(u32::from_le_bytes(*len) as usize)?;
                Some(Self::Share { name: String::from_utf8(name.to_vec()).ok()?, bytes: bytes.to_vec() })
            }
            (5, body) => ranks(body).map(Self::Gone),
            (6, body) => {
                let (rank, reason) = body.split_first_chunk()?;
                let rank = u32::from_le_bytes(*rank) as usize;
                Some(Self::Abort { rank, reason: String::from_utf8(reason.to_vec()).ok()? })
            }
            (7, []) => Some(Self::Leave),
            _ => None,
        }
    }
}

fn with_ranks(kind: u8, ranks: &[usize]) -> Vec<u8> {
    let mut out = vec![kind];
    ranks.iter().for_each(|rank| out.extend((*rank as u32).to_le_bytes()));
    out
}

fn ranks(body: &[u8]) -> Option<Vec<usize>> {
    let (ranks, rest) = body.as_chunks();
    rest.is_empty().then(|| ranks.iter().map(|rank| u32::from_le_bytes(*rank) as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_message() -> impl Strategy<Value = Message> {
        let ranks = || proptest::collection::vec(0_usize..100_000, 0..20);
        prop_oneof![
            Just(Message::Beat),
            Just(Message::Start),
            Just(Message::Leave),
            ranks().prop_map(Message::Missing),
            ranks().prop_map(Message::TimedOut),
            ranks().prop_map(Message::Gone),
            (".{0,20}", proptest::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(name, bytes)| Message::Share { name, bytes }),
            (0_usize..100_000, ".{0,40}").prop_map(|(rank, reason)| Message::Abort { rank, reason }),
        ]
    }

    proptest! {
        #[test]
        fn a_message_survives_the_wire(message in any_message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Some(message));
        }

        #[test]
        fn other_bytes_are_refused_or_read_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }
}
