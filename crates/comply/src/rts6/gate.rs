use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Ledger, Record, Timestamp};

use super::kill::KillSwitch;
use crate::{Error, Result};

/// Limits that art. 8 and 15 want to be set before an algorithm is deployed. Each has to be given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreTradeLimits {
    /// How far an order's price may be from the reference price, as a share of it (art. 15(1)(a)).
    pub price_collar: f64,
    /// Quantity times price of one order (art. 15(1)(b)).
    pub max_order_value: f64,
    /// Quantity of one order (art. 15(1)(c)).
    pub max_order_volume: f64,
    /// Messages within any second (art. 15(1)(d)).
    pub max_messages_per_s: u32,
    /// Executions of one algorithm within any second, after which it is off until a person turns it on (art. 15(3)).
    pub max_executions_per_s: u32,
    /// Size of the position in one instrument, on either side (art. 8(c)).
    pub max_position: f64,
    /// Instruments that are traded at all (art. 8(a)).
    pub instruments: Vec<String>,
    /// Venues that are used at all (art. 8(d)).
    pub venues: Vec<String>,
}

/// Of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// To buy.
    #[serde(rename = "BUYI")]
    Buy,
    /// To sell.
    #[serde(rename = "SELL")]
    Sell,
}

/// An order on its way to a venue. It names its algorithm, which art. 12(3) wants to be told of each order.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Which algorithm.
    pub algorithm: &'a str,
    /// Which instrument.
    pub instrument: &'a str,
    /// Which venue.
    pub venue: &'a str,
    /// Which side.
    pub side: Side,
    /// Units, over zero.
    pub quantity: f64,
    /// Limit price.
    pub price: f64,
    /// The price that the collar is around.
    pub reference_price: f64,
}

/// Why an order was held back. It names no price and no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Blocked {
    /// A number is missing, negative or no number.
    #[error("the order's numbers are not sound")]
    Unsound,
    /// Everything is stopped.
    #[error("the kill switch is tripped (art. 12)")]
    Killed,
    /// The algorithm executed too often and waits for a person.
    #[error("the algorithm is off after repeated executions, until a person turns it on (art. 15(3))")]
    Throttled,
    /// An instrument that is not on the list.
    #[error("the instrument is not among those allowed (art. 8(a))")]
    Instrument,
    /// A venue that is not on the list.
    #[error("the venue is not among those allowed (art. 8(d))")]
    Venue,
    /// Too far from the reference price.
    #[error("the price is outside its collar (art. 15(1)(a))")]
    Price,
    /// Too much money.
    #[error("the order's value is over its limit (art. 15(1)(b))")]
    Value,
    /// Too many units.
    #[error("the order's volume is over its limit (art. 15(1)(c))")]
    Volume,
    /// Too many messages.
    #[error("the messages of this second are used up (art. 15(1)(d))")]
    Messages,
    /// Too large a position, if it were filled.
    #[error("the position would be over its limit (art. 8(c))")]
    Position,
}

/// Holds orders against limits before they leave (art. 15), fills against the throttle, and puts what it blocks on record.
#[derive(Debug)]
pub struct PreTradeGate {
    limits: PreTradeLimits,
    kill: KillSwitch,
    ledger: Arc<dyn Ledger>,
    messages: VecDeque<i64>,
    executions: HashMap<String, VecDeque<i64>>,
    off: HashMap<String, bool>,
    positions: HashMap<String, f64>,
}

impl PreTradeGate {
    /// Takes limits, every one of them set.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit that is zero or no number, or an empty list.
    pub fn new(limits: PreTradeLimits, kill: KillSwitch, ledger: Arc<dyn Ledger>) -> Result<Self> {
        let numbers = [
            ("price_collar", limits.price_collar),
            ("max_order_value", limits.max_order_value),
            ("max_order_volume", limits.max_order_volume),
            ("max_position", limits.max_position),
            ("max_messages_per_s", limits.max_messages_per_s.into()),
            ("max_executions_per_s", limits.max_executions_per_s.into()),
        ];
        if let Some((field, value)) = numbers.into_iter().find(|(_, value)| !value.is_finite() || *value <= 0.0) {
            return Err(Error::invalid(field, value, "art. 8 and 15 want a limit: give a number over zero"));
        }
        for (field, list) in [("instruments", &limits.instruments), ("venues", &limits.venues)] {
            if list.is_empty() {
                return Err(Error::invalid(field, "an empty list", "name those that are allowed (art. 8)"));
            }
        }
        let (messages, executions, off, positions) = Default::default();
        Ok(Self { limits, kill, ledger, messages, executions, off, positions })
    }

    /// Whether an order may leave. It counts as a message when it may.
    ///
    /// # Errors
    /// The ledger's: what can't be put on record does not leave.
    pub fn check(&mut self, order: &Order<'_>, now: Timestamp) -> Result<std::result::Result<(), Blocked>> {
        self.messages.retain(|time| now.micros() - time < 1_000_000);
        let verdict = self.judge(order);
        match verdict {
            Ok(()) => self.messages.push_back(now.micros()),
            Err(blocked) => {
                let record = Record::new(order.algorithm, "order.blocked", order.instrument).outcome("refused");
                self.ledger.append(&record.detail("reason", blocked).detail("venue", order.venue))?;
            }
        }
        Ok(verdict)
    }

    fn judge(&self, order: &Order<'_>) -> std::result::Result<(), Blocked> {
        let limits = &self.limits;
        let sound = [order.quantity, order.price.abs(), order.reference_price.abs()];
        let held = |is_kept: bool, blocked| if is_kept { Ok(()) } else { Err(blocked) };
        held(!self.kill.is_tripped(), Blocked::Killed)?;
        held(sound.iter().all(|number| number.is_finite() && *number > 0.0), Blocked::Unsound)?;
        held(!self.off.contains_key(order.algorithm), Blocked::Throttled)?;
        held(limits.instruments.iter().any(|known| known == order.instrument), Blocked::Instrument)?;
        held(limits.venues.iter().any(|known| known == order.venue), Blocked::Venue)?;
        let away = (order.price - order.reference_price).abs() / order.reference_price.abs();
        held(away <= limits.price_collar, Blocked::Price)?;
        held(order.quantity <= limits.max_order_volume, Blocked::Volume)?;
        held(order.quantity * order.price.abs() <= limits.max_order_value, Blocked::Value)?;
        held(self.messages.len() < limits.max_messages_per_s as usize, Blocked::Messages)?;
        let position = self.positions.get(order.instrument).copied().unwrap_or(0.0) + order.signed(order.quantity);
        held(position.abs() <= limits.max_position, Blocked::Position)
    }

    /// Notes an execution; turns the algorithm off when it executes too often.
    ///
    /// # Errors
    /// The ledger's; the algorithm is off all the same.
    pub fn executed(&mut self, order: &Order<'_>, quantity: f64, now: Timestamp) -> Result<()> {
        *self.positions.entry(order.instrument.to_owned()).or_default() += order.signed(quantity);
        let times = self.executions.entry(order.algorithm.to_owned()).or_default();
        times.retain(|time| now.micros() - time < 1_000_000);
        times.push_back(now.micros());
        let is_over = times.len() > self.limits.max_executions_per_s as usize;
        if is_over && self.off.insert(order.algorithm.to_owned(), true).is_none() {
            let record = Record::new("tapeloom", "algorithm.throttled", order.algorithm);
            self.ledger.append(&record.detail("reason", "repeated executions, art. 15(3)"))?;
        }
        Ok(())
    }

    /// Turns an algorithm on again, once it is on record who decided so.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an algorithm that is not off; the ledger's.
    pub fn turn_on(&mut self, person: &str, algorithm: &str, reason: &str) -> Result<()> {
        if !self.off.contains_key(algorithm) {
            return Err(Error::invalid("algorithm", algorithm, "it is not off"));
        }
        self.ledger.append(&Record::new(person, "algorithm.turned_on", algorithm).detail("reason", reason))?;
        self.off.remove(algorithm);
        self.executions.remove(algorithm);
        Ok(())
    }
}

impl Order<'_> {
    fn signed(&self, quantity: f64) -> f64 {
        if self.side == Side::Buy { quantity } else { -quantity }
    }
}
