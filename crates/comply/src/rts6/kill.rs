use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tapeloom_core::{Ledger, Receipt, Record};

use crate::Result;

/// The kill functionality of art. 12: once tripped, a [`PreTradeGate`](crate::PreTradeGate) lets nothing through until a person
/// resets it. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct KillSwitch {
    is_tripped: Arc<AtomicBool>,
    ledger: Arc<dyn Ledger>,
}

impl KillSwitch {
    /// A switch that is not tripped.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { is_tripped: Arc::default(), ledger }
    }

    /// Whether it is tripped.
    #[must_use]
    pub fn is_tripped(&self) -> bool {
        self.is_tripped.load(Ordering::SeqCst)
    }

    /// Stops everything, and then puts it on record: a ledger that fails must not keep orders flowing. Cancelling what rests on
    /// venues is the host's, who gets to know by this call.
    ///
    /// # Errors
    /// The ledger's; the switch is tripped all the same.
    pub fn trip(&self, actor: &str, reason: &str) -> Result<Receipt> {
        self.is_tripped.store(true, Ordering::SeqCst);
        Ok(self.ledger.append(&Record::new(actor, "kill_switch.tripped", "trading").detail("reason", reason))?)
    }

    /// Lets orders through again, once it is on record who decided so.
    ///
    /// # Errors
    /// The ledger's; the switch stays tripped.
    pub fn reset(&self, person: &str, approved_by: &str, reason: &str) -> Result<Receipt> {
        let record = Record::new(person, "kill_switch.reset", "trading");
        let receipt = self.ledger.append(&record.detail("approved_by", approved_by).detail("reason", reason))?;
        self.is_tripped.store(false, Ordering::SeqCst);
        Ok(receipt)
    }
}
