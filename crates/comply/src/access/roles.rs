use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tapeloom_core::{Ledger, Receipt, Record};

use crate::{Error, Result};

/// A name for a set of operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Operations, such as `checkpoint.promote`; `checkpoint.*` stands for all that begin so.
    pub may: BTreeSet<String>,
    /// Roles that nobody may hold beside this one: who trains a model must not approve it.
    #[serde(default)]
    pub excludes: BTreeSet<String>,
}

/// A role of a person or service in one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who.
    pub actor: String,
    /// In which tenant. There is no grant over all tenants.
    pub tenant: String,
    /// Which role.
    pub role: String,
}

/// Decides on operations: what no role allows is refused, and each decision goes on record before it is told.
#[derive(Debug)]
pub struct Access {
    roles: BTreeMap<String, Role>,
    grants: BTreeSet<Grant>,
    ledger: Arc<dyn Ledger>,
}

impl Access {
    /// Takes roles and grants that fit together.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a grant or an exclusion of a role that there is not, or for an actor with two roles that exclude
    /// each other.
    pub fn new(
        roles: BTreeMap<String, Role>,
        grants: impl IntoIterator<Item = Grant>,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Self> {
        let grants: BTreeSet<Grant> = grants.into_iter().collect();
        let excluded = roles.values().flat_map(|role| &role.excludes);
        let named = grants.iter().map(|grant| &grant.role).chain(excluded);
        if let Some(name) = named.into_iter().find(|name| !roles.contains_key(*name)) {
            return Err(Error::invalid("role", name, "there is no such role: define it first"));
        }
        for grant in &grants {
            let same = grants.iter().filter(|other| other.actor == grant.actor && other.tenant == grant.tenant);
            if let Some(other) = same.into_iter().find(|other| roles[&grant.role].excludes.contains(&other.role)) {
                let remedy = format!("it excludes {:?}: give one of the two to somebody else", other.role);
                return Err(Error::invalid(format!("roles of {:?}", grant.actor), &grant.role, remedy));
            }
        }
        Ok(Self { roles, grants, ledger })
    }

    /// Asks for an operation on an object. What comes back is the record of the permission.
    ///
    /// # Errors
    /// [`Error::Refused`], which is on record too; the ledger's, without which nothing is allowed.
    pub fn check(&self, actor: &str, tenant: &str, operation: &str, object: &str) -> Result<Receipt> {
        let allows = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => operation.starts_with(prefix),
            None => pattern == operation,
        };
        let of_actor = self.grants.iter().filter(|grant| grant.actor == actor && grant.tenant == tenant);
        let role = of_actor.map(|grant| &grant.role).find(|role| self.roles[*role].may.iter().any(allows));
        let record =
            Record::new(actor, "access.checked", object).detail("operation", operation).detail("tenant", tenant);
        match role {
            Some(role) => Ok(self.ledger.append(&record.detail("role", role))?),
            None => {
                self.ledger.append(&record.outcome("refused"))?;
                let (actor, operation, tenant) = (actor.to_owned(), operation.to_owned(), tenant.to_owned());
                Err(Error::Refused { actor, operation, tenant })
            }
        }
    }
}
