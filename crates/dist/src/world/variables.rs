use std::str::FromStr;

use super::World;
use crate::{Error, Result};

/// A launcher's variables.
pub(super) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    pub(super) fn number<T: FromStr>(&self, name: &'static str) -> Result<Option<T>> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let number =
            value.parse().map_err(|_| Error::invalid(name, &value, "the launcher sets it to a whole number"))?;
        Ok(Some(number))
    }

    /// A number without which the others mean nothing.
    pub(super) fn required(&self, name: &'static str, launcher: &str) -> Result<usize> {
        self.number(name)?.ok_or_else(|| Self::missing(name, format!("{launcher} sets it for every process")))
    }

    /// Where rank 0 is: as said, or this host if everybody is here.
    pub(super) fn master_addr(&self, one_host: bool, remedy: &str) -> Result<String> {
        match self.text("MASTER_ADDR") {
            Some(address) => Ok(address),
            None if one_host => Ok(World::solo().master_addr),
            None => Err(Self::missing("MASTER_ADDR", remedy)),
        }
    }

    pub(super) fn master_port(&self, default: u16) -> Result<u16> {
        match self.number("MASTER_PORT")? {
            Some(0) => Err(Error::invalid("MASTER_PORT", 0, "name a port that all ranks know")),
            port => Ok(port.unwrap_or(default)),
        }
    }

    pub(super) fn missing(name: &'static str, remedy: impl Into<String>) -> Error {
        Error::invalid(name, "(not set)", remedy)
    }
}
