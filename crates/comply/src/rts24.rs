use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tapeloom_core::Timestamp;

/// What happened to an order: the codes of Delegated Regulation (EU) 2017/580 (RTS 24), Annex, Table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "codes of the regulation")]
pub enum OrderEvent {
    Newo,
    Trig,
    Reme,
    Rema,
    Remh,
    Chme,
    Chmo,
    Came,
    Camo,
    Remo,
    Expi,
    Parf,
    Fill,
}

/// How long an order is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "codes of the regulation")]
pub enum Validity {
    Davy,
    Gtcv,
    Gttv,
    Gtdv,
    Gtsv,
    Gatv,
    Gadv,
    Gasv,
    Iocv,
    Fokv,
}

/// Limit or stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "codes of the regulation")]
pub enum OrderType {
    Lmto,
    Stop,
}

/// What a venue keeps of one event of one order, as far as rules here look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRecord {
    /// Which order.
    pub order: String,
    /// Grows from event to event of one kind.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// What.
    pub event: OrderEvent,
    /// Whose: an LEI, a national identifier, or `AGGR` and `PNAL` for many and for not yet known.
    pub client: String,
    /// For how long.
    pub validity: Validity,
    /// Until when, for the validities that name a time.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
    /// Limit or stop.
    pub kind: OrderType,
    /// What is left, as text with a point.
    pub remaining: String,
}

/// A rule that an order record breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OrderIssue {
    /// In the list that was checked.
    pub row: usize,
    /// Stable id of the rule.
    pub rule: &'static str,
    /// What is wrong, and what to do.
    pub detail: &'static str,
}

/// Holds order records, in the order in which they were taken, against the rules on codes, sequence and life of orders. The formats
/// of the other fields of the table are not looked at.
#[must_use]
pub fn check_orders(records: &[OrderRecord]) -> Vec<OrderIssue> {
    let mut issues = Vec::new();
    // By order: whether it lives, and the time of its newest event.
    let mut orders = HashMap::<&str, (bool, Timestamp)>::new();
    let mut sequences = HashMap::<OrderEvent, u64>::new();
    for (row, record) in records.iter().enumerate() {
        let mut hold = |is_kept: bool, rule, detail| {
            if !is_kept {
                issues.push(OrderIssue { row, rule, detail });
            }
        };
        let last = sequences.insert(record.event, record.sequence);
        hold(
            last.is_none_or(|last| record.sequence > last),
            "RTS24.sequence",
            "numbers of one kind of event grow: write the next one",
        );
        let known = orders.get(record.order.as_str()).copied();
        if record.event == OrderEvent::Newo {
            hold(known.is_none(), "RTS24.new_once", "the order was new before: use CHME, CHMO or another number");
        } else {
            hold(known.is_some(), "RTS24.known_order", "there is no NEWO of this order: write it first");
            hold(
                known.is_none_or(|(lives, _)| lives),
                "RTS24.after_end",
                "the order has ended: nothing can happen to it",
            );
        }
        hold(
            known.is_none_or(|(_, time)| record.time >= time),
            "RTS24.time",
            "it is earlier than the order's event before",
        );
        let names_time = matches!(record.validity, Validity::Gttv | Validity::Gtdv | Validity::Gatv | Validity::Gadv);
        hold(
            names_time == record.valid_until.is_some(),
            "RTS24.validity_time",
            "GTTV, GTDV, GATV and GADV name a time, the others none",
        );
        let is_code = matches!(record.client.as_str(), "AGGR" | "PNAL");
        let is_client =
            is_code || crate::is_lei(&record.client) || crate::Format::NationalId.check(&record.client).is_ok();
        let looks_like_lei = crate::Format::Lei.check_shape(&record.client).is_ok();
        hold(
            is_client && (!looks_like_lei || crate::is_lei(&record.client)),
            "RTS24.client",
            "give an LEI, a national identifier, AGGR or PNAL",
        );
        let amount = crate::Format::Decimal { digits: 18, fraction: 17 }.check(&record.remaining);
        let is_zero = !record.remaining.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        hold(
            amount.is_ok() && !record.remaining.starts_with('-'),
            "RTS24.remaining",
            "write digits with a point, not negative",
        );
        match record.event {
            OrderEvent::Fill => hold(is_zero, "RTS24.filled", "after FILL nothing is left: use PARF"),
            OrderEvent::Parf => hold(!is_zero, "RTS24.filled", "after PARF something is left: use FILL"),
            _ => {}
        }
        let ends = matches!(
            record.event,
            OrderEvent::Came | OrderEvent::Camo | OrderEvent::Remo | OrderEvent::Expi | OrderEvent::Fill
        );
        let lives = known.is_none_or(|(lives, _)| lives) && !ends;
        orders.insert(&record.order, (lives, record.time));
    }
    issues
}
