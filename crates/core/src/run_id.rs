use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Clock, Error, Result};

/// The name of one run: start time plus random tail, as in `20181231T235959-1f0a9c2e`. Sorts by time, safe as a folder name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// A fresh id at the clock's time.
    ///
    /// # Errors
    /// [`Error::Provider`] when the operating system gives no random bytes.
    pub fn generate(clock: &dyn Clock) -> Result<Self> {
        let mut tail = [0_u8; 4];
        getrandom::fill(&mut tail).map_err(|e| Error::provider("no random bytes for a run id", e.to_string()))?;
        let stamp: String =
            clock.now().to_string().chars().take_while(|c| *c != '.').filter(|c| !matches!(c, '-' | ':')).collect();
        Ok(Self(format!("{stamp}-{:08x}", u32::from_be_bytes(tail))))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = Error;

    /// Accepts 1 to 64 letters, digits, `-` and `_`, so that a host may bring its own names.
    fn from_str(text: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
            return Err(Error::invalid("run id", text, "use 1 to 64 letters, digits, '-' or '_'"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RunId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ManualClock, Timestamp};

    #[test]
    fn ids_start_with_the_time_and_differ() -> Result<()> {
        let clock = ManualClock::at(Timestamp::parse("2018-12-31T23:59:59Z")?);
        let (a, b) = (RunId::generate(&clock)?, RunId::generate(&clock)?);
        assert!(a.as_str().starts_with("20181231T235959-"), "{a}");
        assert_ne!(a, b);
        assert_eq!(a.as_str().parse::<RunId>()?, a);
        Ok(())
    }

    #[test]
    fn a_path_is_no_run_id() {
        assert!("../etc".parse::<RunId>().is_err());
        assert!("".parse::<RunId>().is_err());
    }
}
