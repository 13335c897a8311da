use std::time::Duration;

use super::header;
use crate::Error;

/// What ranks tell each other beside the calls, when something is wrong or at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The deadline of a call passed: whoever waits in it too answers the same.
    Late,
    /// The rank makes no further call.
    Left,
    /// The job is over.
    Failed(Error),
}

/// Short enough that MPI takes it without waiting for the receiver.
pub(super) const LONGEST: usize = 1024;

impl Note {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = match self {
            Self::Late => vec![0],
            Self::Left => vec![1],
            Self::Failed(Error::TimedOut { operation, missing, deadline }) => {
                let mut out = vec![2, header::index(operation) as u8];
                out.extend((deadline.as_millis() as u64).to_le_bytes());
                missing.iter().for_each(|rank| out.extend((*rank as u32).to_le_bytes()));
                out
            }
            Self::Failed(Error::PeerGone { operation, ranks }) => {
                let mut out = vec![3, header::index(operation) as u8];
                ranks.iter().for_each(|rank| out.extend((*rank as u32).to_le_bytes()));
                out
            }
            Self::Failed(Error::Aborted { rank, reason }) => aborted(*rank, reason),
            Self::Failed(other) => aborted(0, &other.to_string()),
        };
        out.truncate(LONGEST);
        out
    }

    /// `None` for what a rank of this version does not write.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, body) = bytes.split_first()?;
        match kind {
            0 => Some(Self::Late),
            1 => Some(Self::Left),
            2 => {
                let (operation, body) = body.split_first()?;
                let (deadline, missing) = body.split_first_chunk()?;
                let deadline = Duration::from_millis(u64::from_le_bytes(*deadline));
                let operation = header::name((*operation).into());
                Some(Self::Failed(Error::TimedOut { operation, missing: ranks(missing), deadline }))
            }
            3 => {
                let (operation, body) = body.split_first()?;
                let operation = header::name((*operation).into());
                Some(Self::Failed(Error::PeerGone { operation, ranks: ranks(body) }))
            }
            4 => {
                let (rank, reason) = body.split_first_chunk()?;
                let reason = String::from_utf8_lossy(reason).into_owned();
                Some(Self::Failed(Error::Aborted { rank: u32::from_le_bytes(*rank) as usize, reason }))
            }
            _ => None,
        }
    }
}

fn aborted(rank: usize, reason: &str) -> Vec<u8> {
    let mut out = vec![4];
    out.extend((rank as u32).to_le_bytes());
    out.extend(reason.as_bytes());
    out
}

/// As many whole ranks as there are: a list that was cut off is shorter.
fn ranks(body: &[u8]) -> Vec<usize> {
    body.as_chunks().0.iter().map(|rank| u32::from_le_bytes(*rank) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_survives_the_way() {
        let deadline = Duration::from_millis(1234);
        for note in [
            Note::Late,
            Note::Left,
            Note::Failed(Error::TimedOut { operation: "broadcast", missing: vec![1, 70_000], deadline }),
            Note::Failed(Error::PeerGone { operation: "heartbeat", ranks: vec![3] }),
            Note::Failed(Error::Aborted { rank: 2, reason: "loss is NaN".into() }),
        ] {
            assert_eq!(Note::decode(&note.encode()), Some(note));
        }
        let many = Note::Failed(Error::PeerGone { operation: "barrier", ranks: (0..5000).collect() });
        assert!(many.encode().len() <= LONGEST && Note::decode(&many.encode()).is_some());
        assert_eq!((Note::decode(&[]), Note::decode(&[9])), (None, None));
    }
}
