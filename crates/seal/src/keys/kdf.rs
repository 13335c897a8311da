use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// What OWASP's Password Storage Cheat Sheet asks of PBKDF2-HMAC-SHA256 (2026).
pub(crate) const PBKDF2_ITERATIONS: u32 = 600_000;
/// Bytes of salt.
pub(crate) const SALT: usize = 16;

/// How a passphrase becomes a key, and at what cost. A file names its own, so that a later default can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name", deny_unknown_fields)]
#[non_exhaustive]
pub enum Kdf {
    /// Argon2id of RFC 9106, version 0x13.
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// PBKDF2 of RFC 8018 with HMAC-SHA-256, for where a FIPS-approved function is asked for.
    Pbkdf2 {
        /// Rounds.
        iterations: u32,
    },
}

impl Default for Kdf {
    /// Argon2id with 19 MiB and two passes, the first choice of OWASP's Password Storage Cheat Sheet.
    fn default() -> Self {
        Self::Argon2id { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

impl Kdf {
    /// PBKDF2 at the strength that new files are written with.
    #[must_use]
    pub const fn pbkdf2() -> Self {
        Self::Pbkdf2 { iterations: PBKDF2_ITERATIONS }
    }

    /// Why new files are not written with this; none when they are.
    #[must_use]
    pub fn weakness(self) -> Option<String> {
        match self {
            Self::Pbkdf2 { iterations } if iterations < PBKDF2_ITERATIONS => Some(format!(
                "{iterations} rounds of PBKDF2 are fewer than the {PBKDF2_ITERATIONS} that OWASP asks for: seal the file anew"
            )),
            // Each line of OWASP's table asks for memory times passes of about this much.
            Self::Argon2id { memory_kib, passes, .. } if u64::from(memory_kib) * u64::from(passes) < 35_000 => {
                Some(format!(
                    "Argon2id with {memory_kib} KiB and {passes} passes is cheaper than OWASP's table: seal the file anew"
                ))
            }
            _ => None,
        }
    }

    /// A key from a passphrase, after a look at the cost: an attacker who writes a header would make it hours.
    pub(crate) fn derive(
        self,
        passphrase: &Passphrase,
        salt: &[u8],
        limits: &KdfLimits,
    ) -> Result<Zeroizing<[u8; 32]>> {
        self.check(limits)?;
        let mut key = Zeroizing::new([0; 32]);
        match self {
            Self::Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.bytes(), salt, iterations, &mut *key);
            }
            Self::Argon2id { memory_kib, passes, lanes } => {
                let bad = |e| Error::invalid("kdf", format!("{self:?}"), format!("argon2 refuses it: {e}"));
                let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(bad)?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(passphrase.bytes(), salt, &mut *key).map_err(bad)?;
            }
        }
        Ok(key)
    }

    fn check(self, limits: &KdfLimits) -> Result<()> {
        let over = |field: &str, value: u32, most: u32| {
            let remedy =
                format!("opening it would cost too much, at most {most} is allowed: raise KdfLimits if you trust it");
            if value > most || value == 0 { Err(Error::invalid(field, value, remedy)) } else { Ok(()) }
        };
        match self {
            Self::Pbkdf2 { iterations } => over("kdf.iterations", iterations, limits.iterations),
            Self::Argon2id { memory_kib, passes, lanes } => over("kdf.memory_kib", memory_kib, limits.memory_kib)
                .and_then(|()| over("kdf.passes", passes, limits.passes))
                .and_then(|()| over("kdf.lanes", lanes, limits.lanes)),
        }
    }
}

/// The most that a header may ask for when a passphrase is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfLimits {
    /// Of Argon2id, in KiB. Default 256 MiB.
    pub memory_kib: u32,
    /// Of Argon2id. Default 16.
    pub passes: u32,
    /// Of Argon2id. Default 16.
    pub lanes: u32,
    /// Of PBKDF2. Default 10 million, some seconds.
    pub iterations: u32,
}

impl Default for KdfLimits {
    fn default() -> Self {
        Self { memory_kib: 256 << 10, passes: 16, lanes: 16, iterations: 10_000_000 }
    }
}

/// What a person types. Wiped from memory when dropped, and never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// A passphrase from a host's prompt or secret store.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty one.
    pub fn new(text: impl Into<Vec<u8>>) -> Result<Self> {
        let bytes = Zeroizing::new(text.into());
        if bytes.is_empty() {
            return Err(Error::invalid("passphrase", "\"\"", "an empty passphrase protects nothing"));
        }
        Ok(Self(bytes))
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::decode;

    #[derive(serde::Deserialize)]
    struct Vector {
        id: u32,
        password: String,
        salt: String,
        iterations: u32,
        key: String,
        valid: bool,
    }

    #[test]
    fn wycheproof_agrees_on_pbkdf2() -> Result<(), serde_json::Error> {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../tests/data/wycheproof-pbkdf2.json"))?;
        let mut checked = 0;
        for vector in vectors.iter().filter(|vector| vector.valid && !vector.password.is_empty()) {
            let bytes = |hex: &str| decode(hex).expect("hex");
            let (want, passphrase) = (bytes(&vector.key), Passphrase::new(bytes(&vector.password)).expect("not empty"));
            let kdf = Kdf::Pbkdf2 { iterations: vector.iterations };
            let key = kdf.derive(&passphrase, &bytes(&vector.salt), &KdfLimits::default()).expect("within the limits");
            let length = want.len().min(32);
            // A longer output of PBKDF2 begins with the shorter one.
            assert_eq!(want[..length], key[..length], "{}", vector.id);
            checked += 1;
        }
        assert_eq!((vectors.len(), checked), (60, 59));
        Ok(())
    }

    #[test]
    fn argon2id_gives_the_reference_tag() -> Result<()> {
        // Of the reference implementation's command line: `echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -l 32`.
        let kdf = Kdf::Argon2id { memory_kib: 65536, passes: 2, lanes: 1 };
        let key = kdf.derive(&Passphrase::new("password")?, b"somesalt", &KdfLimits::default())?;
        let want = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7";
        assert_eq!(crate::hex::encode(&*key), want);
        Ok(())
    }

    #[test]
    fn a_cost_over_the_limits_is_refused_before_any_work() -> Result<()> {
        let passphrase = Passphrase::new("x")?;
        for (kdf, field) in [
            (Kdf::Pbkdf2 { iterations: u32::MAX }, "kdf.iterations"),
            (Kdf::Pbkdf2 { iterations: 0 }, "kdf.iterations"),
            (Kdf::Argon2id { memory_kib: 1 << 30, passes: 1, lanes: 1 }, "kdf.memory_kib"),
            (Kdf::Argon2id { memory_kib: 64, passes: 1 << 30, lanes: 1 }, "kdf.passes"),
            (Kdf::Argon2id { memory_kib: 64, passes: 1, lanes: 17 }, "kdf.lanes"),
        ] {
            let error = kdf.derive(&passphrase, &[0; SALT], &KdfLimits::default()).expect_err("too dear").to_string();
            assert!(error.starts_with(field) && error.contains("KdfLimits"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn weak_costs_are_named() {
        assert!(Kdf::default().weakness().is_none() && Kdf::pbkdf2().weakness().is_none());
        for (memory_kib, passes) in [(47_104, 1), (12_288, 3), (9_216, 4), (7_168, 5)] {
            assert!(Kdf::Argon2id { memory_kib, passes, lanes: 1 }.weakness().is_none(), "{memory_kib}");
        }
        let weak = Kdf::Pbkdf2 { iterations: 100_000 }.weakness().unwrap_or_default();
        assert!(weak.contains("100000 rounds") && weak.contains("600000"), "{weak}");
        assert!(Kdf::Argon2id { memory_kib: 4096, passes: 3, lanes: 1 }.weakness().is_some());
    }

    #[test]
    fn a_passphrase_never_shows_itself() -> Result<()> {
        assert_eq!(format!("{:?}", Passphrase::new("hunter2")?), "Passphrase([REDACTED])");
        assert!(Passphrase::new("").is_err());
        Ok(())
    }
}
