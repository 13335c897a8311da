use crate::collective::ReduceOp;
use crate::meeting::Call;
use crate::{Error, Result};

/// What a rank is about to do, as ranks tell each other before each call: the call, its length, its root, and a word of the
/// rank's own, such as the length of its shard.
pub(super) type Header = [u64; WORDS];

pub(super) const WORDS: usize = 4;

const NAMES: [&str; 11] = [
    "all_reduce",
    "all_reduce_f64",
    "reduce_scatter",
    "reduce_scatter_f64",
    "all_gather",
    "all_gather_f64",
    "broadcast",
    "broadcast_f64",
    "split",
    "barrier",
    "heartbeat",
];

pub(super) fn encode(call: &Call, own: u64) -> Header {
    let op = match call.op {
        None => 0,
        Some(ReduceOp::Sum) => 1,
        Some(ReduceOp::Mean) => 2,
        Some(ReduceOp::Max) => 3,
    };
    let optional = |value: Option<usize>| value.map_or(0, |value| value as u64 + 1);
    [index(call.name) << 8 | op, optional(call.len), optional(call.root), own]
}

/// The first rank that is about to do something else than the first of all, if any.
pub(super) fn compare(headers: &[Header], ranks: &[usize]) -> Result<()> {
    let Some(first) = headers.first() else { return Ok(()) };
    let differs = headers.iter().position(|header| header[..3] != first[..3]);
    differs.map_or(Ok(()), |at| {
        Err(Error::Mismatch { rank: ranks[at], found: shown(&headers[at]), expected: shown(first) })
    })
}

/// The number of a call's name.
pub(super) fn index(name: &str) -> u64 {
    NAMES.iter().position(|known| *known == name).unwrap_or(NAMES.len() - 1) as u64
}

pub(super) fn name(index: u64) -> &'static str {
    NAMES.get(index as usize).copied().unwrap_or("heartbeat")
}

fn shown(header: &Header) -> String {
    let optional = |value: u64| value.checked_sub(1).map(|value| value as usize);
    let op = match header[0] & 0xff {
        1 => Some(ReduceOp::Sum),
        2 => Some(ReduceOp::Mean),
        3 => Some(ReduceOp::Max),
        _ => None,
    };
    let call = Call { name: name(header[0] >> 8), op, len: optional(header[1]), root: optional(header[2]) };
    call.to_string()
}
