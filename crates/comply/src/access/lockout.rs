use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tapeloom_core::Timestamp;

use crate::{Error, Result};

/// Sources whose failures are remembered at most; an attacker with more of them pushes the oldest out, not the memory over.
const MAX_REMEMBERED: usize = 100_000;

/// After how many failures an account is locked for a source, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LockoutConfig {
    /// Failures within the window that lock. Default 5.
    pub max_failed_attempts: u32,
    /// How far back failures count, in seconds. Default 10 minutes.
    pub window_s: u32,
    /// The first lock, in seconds; each one after it is twice as long. Default 1 minute.
    pub first_lock_s: u32,
    /// The longest lock, in seconds. Default 1 hour; no lock is for ever.
    pub longest_lock_s: u32,
    /// Failures of one account within the window, from all sources together, from which on attempts of new sources are delayed.
    /// Default 50.
    pub account_threshold: u32,
    /// That delay, in seconds. Default 5.
    pub account_delay_s: u32,
}

impl Default for LockoutConfig {
    fn default() -> Self {
        Self {
            max_failed_attempts: 5,
            window_s: 600,
            first_lock_s: 60,
            longest_lock_s: 3600,
            account_threshold: 50,
            account_delay_s: 5,
        }
    }
}

/// Whether somebody may try to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "attempt")]
pub enum Attempt {
    /// They may.
    Allowed,
    /// They may not before this moment. Say the same to them as after a wrong password.
    Locked {
        /// When they may again.
        until: Timestamp,
    },
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Failures {
    times: Vec<i64>,
    locks: u32,
    until: i64,
}

/// Locks accounts against guessing, without letting anybody lock out others: failures count for the pair of account and source, so
/// that whoever guesses locks themselves out. Many sources at once only slow down attempts from sources that never succeeded.
///
/// It serialises, to outlive a restart: a restart that forgets would be a way in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lockout {
    config: LockoutConfig,
    /// By account, then source.
    failures: HashMap<String, HashMap<String, Failures>>,
    /// Sources by account from which somebody has logged in.
    known: HashMap<String, Vec<String>>,
}

impl Lockout {
    /// Nobody is locked.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a zero, or a first lock that is longer than the longest.
    pub fn new(config: LockoutConfig) -> Result<Self> {
        let zero = [
            ("max_failed_attempts", config.max_failed_attempts),
            ("window_s", config.window_s),
            ("first_lock_s", config.first_lock_s),
            ("account_threshold", config.account_threshold),
        ];
        if let Some((field, value)) = zero.iter().find(|(_, value)| *value == 0) {
            return Err(Error::invalid(*field, value, "give a number over zero"));
        }
        if config.first_lock_s > config.longest_lock_s {
            return Err(Error::invalid("first_lock_s", config.first_lock_s, "it is longer than longest_lock_s"));
        }
        Ok(Self { config, failures: HashMap::new(), known: HashMap::new() })
    }

    /// Whether this source may try this account now.
    #[must_use]
    pub fn may_try(&self, account: &str, source: &str, now: Timestamp) -> Attempt {
        let of_account = self.failures.get(account);
        let until = of_account.and_then(|sources| sources.get(source)).map_or(0, |failures| failures.until);
        if until > now.micros() {
            return Attempt::Locked { until: Timestamp::from_micros(until) };
        }
        let is_known = self.known.get(account).is_some_and(|sources| sources.iter().any(|known| known == source));
        let since = now.micros() - seconds(self.config.window_s);
        let times = || of_account.into_iter().flat_map(HashMap::values).flat_map(|failures| &failures.times);
        let recent = times().filter(|time| **time > since).count();
        let last = times().max().copied().unwrap_or(i64::MIN / 2);
        let delayed = last + seconds(self.config.account_delay_s);
        if !is_known && recent >= self.config.account_threshold as usize && delayed > now.micros() {
            return Attempt::Locked { until: Timestamp::from_micros(delayed) };
        }
        Attempt::Allowed
    }

    /// Notes a failure; says until when the source is locked, if this one locked it. Attempts while locked don't count: they were
    /// not made.
    pub fn failed(&mut self, account: &str, source: &str, now: Timestamp) -> Option<Timestamp> {
        if self.may_try(account, source, now) != Attempt::Allowed {
            return None;
        }
        self.forget_old(now);
        let since = now.micros() - seconds(self.config.window_s);
        let sources = self.failures.entry(account.to_owned()).or_default();
        let failures = sources.entry(source.to_owned()).or_default();
        failures.times.retain(|time| *time > since);
        failures.times.push(now.micros());
        if failures.times.len() < self.config.max_failed_attempts as usize {
            return None;
        }
        let length = i64::from(self.config.first_lock_s) << failures.locks.min(20);
        failures.locks += 1;
        failures.times.clear();
        failures.until = now.micros() + length.min(i64::from(self.config.longest_lock_s)) * 1_000_000;
        Some(Timestamp::from_micros(failures.until))
    }

    /// Notes a success, which forgives what this source failed.
    pub fn succeeded(&mut self, account: &str, source: &str) {
        if let Some(sources) = self.failures.get_mut(account) {
            sources.remove(source);
        }
        let known = self.known.entry(account.to_owned()).or_default();
        if !known.iter().any(|known| known == source) {
            known.push(source.to_owned());
            // The last places that somebody logged in from.
            if known.len() > 16 {
                known.remove(0);
            }
        }
    }

    fn forget_old(&mut self, now: Timestamp) {
        let count: usize = self.failures.values().map(HashMap::len).sum();
        if count < MAX_REMEMBERED {
            return;
        }
        // A lock is remembered for a day after its end, so that the next one is longer.
        let day = now.micros() - seconds(86_400);
        let newest = |failures: &Failures| failures.times.iter().copied().max().unwrap_or(0).max(failures.until);
        for sources in self.failures.values_mut() {
            sources.retain(|_, failures| newest(failures) > day);
        }
        let mut ends: Vec<i64> = self.failures.values().flat_map(HashMap::values).map(newest).collect();
        if ends.len() >= MAX_REMEMBERED {
            let (_, middle, _) = ends.select_nth_unstable(MAX_REMEMBERED / 10);
            let middle = *middle;
            self.failures.values_mut().for_each(|sources| sources.retain(|_, failures| newest(failures) > middle));
        }
        self.failures.retain(|_, sources| !sources.is_empty());
    }
}

const fn seconds(seconds: u32) -> i64 {
    seconds as i64 * 1_000_000
}
