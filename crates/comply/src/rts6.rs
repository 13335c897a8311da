//! What Delegated Regulation (EU) 2017/589 (RTS 6) asks of algorithmic trading and a program can do or show.

mod assessment;
mod gate;
mod kill;

pub use assessment::{Assessment, Exhibit, Finding, assess};
pub use gate::{Blocked, Order, PreTradeGate, PreTradeLimits, Side};
pub use kill::KillSwitch;
