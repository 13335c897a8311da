use std::collections::BTreeMap;
use std::ffi::OsString;

use super::secret::Secret;
use super::source::SecretSource;
use crate::Result;

/// Secrets that were handed over in environment variables: read once, then taken out of the environment, so that no child
/// process and no crash report sees them.
///
/// Removing a variable while other threads read the environment is undefined behaviour, so the host does it, at the start of
/// `main`:
///
/// ```
/// # #[allow(clippy::disallowed_methods, reason = "what a host does")]
/// # fn main() {
/// use tapeloom_seal::EnvironmentSecrets;
///
/// let secrets = EnvironmentSecrets::take(["MLFLOW_TOKEN"], std::env::vars_os(), |name| {
///     // SAFETY: no other thread runs yet.
///     unsafe { std::env::remove_var(name) }
/// });
/// # drop(secrets);
/// # }
/// ```
#[derive(Debug)]
pub struct EnvironmentSecrets(BTreeMap<String, Secret>);

impl EnvironmentSecrets {
    /// Takes the named variables out of `variables` and has each of them removed. Empty ones count as not set.
    pub fn take<'a>(
        names: impl IntoIterator<Item = &'a str>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        mut remove: impl FnMut(&str),
    ) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let mut secrets = BTreeMap::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| names.contains(name)) else { continue };
            remove(name);
            if !value.is_empty() {
                secrets.insert(name.to_owned(), Secret::new(value.into_encoded_bytes()));
            }
        }
        Self(secrets)
    }
}

impl SecretSource for EnvironmentSecrets {
    fn name(&self) -> &str {
        "environment"
    }

    fn secret(&self, name: &str) -> Result<Option<Secret>> {
        Ok(self.0.get(name).cloned())
    }
}
