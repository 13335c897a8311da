use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_default};

use crate::{Error, Result};

/// Asks a long job to end at its next safe point. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that SIGTERM and SIGINT raise. A second such signal ends the process at once, as it would have without the flag.
    ///
    /// # Errors
    /// [`Error::Provider`] when the operating system refuses a handler.
    pub fn on_signals() -> Result<Self> {
        let flag = Self::default();
        for signal in [SIGTERM, SIGINT] {
            // The first of the two acts when the flag is up already, so it must be registered first.
            register_conditional_default(signal, Arc::clone(&flag.0))
                .and_then(|_| register(signal, Arc::clone(&flag.0)))
                .map_err(|e| Error::provider(format!("no handler for signal {signal}"), e))?;
        }
        Ok(flag)
    }

    /// Raises the flag; it can't be lowered again.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the flag is up.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
