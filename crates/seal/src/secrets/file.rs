use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tapeloom_core::{Clock, Ledger, Record, Timestamp};

use super::format::{Body, MAX_FILE, Sealed};
use super::secret::Secret;
use super::source::SecretSource;
use crate::disk::{AtomicFile, private};
use crate::keys::{check_private, random};
use crate::sealed::recipient::FileKey;
use crate::sealed::{Opener, Recipient, Sealer};
use crate::{Error, Result};

/// What is known of a secret without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// When this version was put in.
    pub created: Timestamp,
    /// From when on it is given out no more.
    pub expires: Option<Timestamp>,
}

/// Secrets in one encrypted file, for keys or passphrases, each secret in versions. See `docs/format/secrets-file.md`.
///
/// The file is readable by its owner alone or is refused. Each change replaces it whole, one process at a time, raises its
/// generation, and goes on record. An older copy in its place is found by whoever remembers the generation: the ledger does.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    opener: Opener,
    clock: Arc<dyn Clock>,
    ledger: Arc<dyn Ledger>,
    actor: String,
    /// The highest generation that was seen.
    generation: Mutex<u64>,
}

impl SecretFile {
    /// Makes a file without secrets for these recipients. Those of `sealer` can open it; its label is of no meaning here.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is a file already; [`Error::Io`]; the ledger's.
    pub fn create(
        path: impl Into<PathBuf>,
        sealer: &Sealer,
        opener: Opener,
        actor: impl Into<String>,
        clock: Arc<dyn Clock>,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Self> {
        let (path, actor) = (path.into(), actor.into());
        if path.exists() {
            return Err(Error::invalid("secrets file", path.display(), "it is there already: open it"));
        }
        let file = Self { path, opener, clock, ledger, actor, generation: Mutex::new(0) };
        let mut key = FileKey::default();
        random(&mut *key)?;
        let mut body = Body::new(wrap(&sealer.recipients, &key)?);
        file.save(&mut body, &key, &Record::new(&file.actor, "secrets.created", file.object()))?;
        Ok(file)
    }

    /// Opens a file for reading and changing. `at_least` is a generation that was seen before, such as the newest that the
    /// audit log calls a success: an older file is refused.
    ///
    /// # Errors
    /// [`Error::BadKey`] for a file that others can read; [`Error::Replayed`]; [`Error::WrongKey`]; [`Error::Damaged`];
    /// [`Error::Io`].
    pub fn open(
        path: impl Into<PathBuf>,
        opener: Opener,
        at_least: u64,
        actor: impl Into<String>,
        clock: Arc<dyn Clock>,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Self> {
        let (path, actor) = (path.into(), actor.into());
        let file = Self { path, opener, clock, ledger, actor, generation: Mutex::new(at_least) };
        file.load()?;
        Ok(file)
    }

    /// Grows with every change.
    ///
    /// # Errors
    /// As [`SecretFile::open`].
    pub fn generation(&self) -> Result<u64> {
        self.load().map(|(body, _)| body.generation)
    }

    /// All versions of all secrets, by name and version.
    ///
    /// # Errors
    /// As [`SecretFile::open`].
    pub fn list(&self) -> Result<Vec<SecretInfo>> {
        let (body, _) = self.load()?;
        let info = |entry: Sealed| {
            let Sealed { name, version, created, expires, .. } = entry;
            SecretInfo { name, version, created, expires }
        };
        Ok(body.secrets.into_iter().map(info).collect())
    }

    /// Newest versions that expire within so many microseconds, or have: what to rotate next.
    ///
    /// # Errors
    /// As [`SecretFile::open`].
    pub fn due(&self, within_us: i64) -> Result<Vec<SecretInfo>> {
        let limit = self.clock.now().micros().saturating_add(within_us);
        let all = self.list()?;
        let newest = |info: &&SecretInfo| !all.iter().any(|o| o.name == info.name && o.version > info.version);
        Ok(all.iter().filter(newest).filter(|i| i.expires.is_some_and(|t| t.micros() <= limit)).cloned().collect())
    }

    /// Puts in the next version of a secret, and gives its number. Older versions stay, for what still needs them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty name; as [`SecretFile::open`]; the ledger's.
    pub fn put(&self, name: &str, secret: &Secret, expires: Option<Timestamp>) -> Result<u32> {
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            return Err(Error::invalid("secret name", format!("{name:?}"), "use 1 to 200 printable characters"));
        }
        self.change("secret.added", name, |body, key, now| {
            let version = body.secrets.iter().filter(|s| s.name == name).map(|s| s.version).max().unwrap_or(0) + 1;
            body.secrets.push(Sealed::new(key, name, version, now, expires, secret)?);
            body.secrets.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
            Ok(version)
        })
    }

    /// Deletes the versions of a secret below `before`, and says how many.
    ///
    /// # Errors
    /// [`Error::NoSecret`] when there is none; as [`SecretFile::put`].
    pub fn delete(&self, name: &str, before: u32) -> Result<usize> {
        self.change("secret.deleted", name, |body, _, _| {
            let count = body.secrets.len();
            body.secrets.retain(|secret| secret.name != name || secret.version >= before);
            let gone = count - body.secrets.len();
            let none = || Error::NoSecret { name: name.to_owned(), asked: self.path.display().to_string() };
            if gone == 0 { Err(none()) } else { Ok(gone) }
        })
    }

    /// Gives the file to the recipients of `sealer` instead of those it had, under a fresh key with every secret encrypted anew.
    ///
    /// # Errors
    /// As [`SecretFile::put`].
    pub fn rekey(&self, sealer: &Sealer) -> Result<()> {
        let _lock = self.lock()?;
        let (old, old_key) = self.load()?;
        let mut key = FileKey::default();
        random(&mut *key)?;
        let mut body = Body::new(wrap(&sealer.recipients, &key)?);
        body.generation = old.generation;
        for entry in &old.secrets {
            let secret = entry.open(&old_key).ok_or_else(|| self.damaged("an entry was changed"))?;
            let Sealed { name, version, created, expires, .. } = entry;
            body.secrets.push(Sealed::new(&key, name, *version, *created, *expires, &secret)?);
        }
        self.save(&mut body, &key, &Record::new(&self.actor, "secrets.rekeyed", self.object()))
    }

    /// What seals with the newest key of this name, and what opens with all its versions: rotation is one more [`put`].
    ///
    /// [`put`]: Self::put
    ///
    /// # Errors
    /// [`Error::NoSecret`]; [`Error::Expired`] for the newest; as [`SecretFile::open`].
    pub fn keys(&self, name: &str) -> Result<(Sealer, Opener)> {
        let newest =
            self.secret(name)?.ok_or_else(|| Error::NoSecret { name: name.to_owned(), asked: self.object() })?;
        let newest = newest.to_key()?;
        let (body, key) = self.load()?;
        let mut opener = Opener::new(newest.clone());
        for entry in body.secrets.iter().filter(|entry| entry.name == name) {
            let secret = entry.open(&key).ok_or_else(|| self.damaged("an entry was changed"))?;
            opener = opener.key(secret.to_key()?);
        }
        Ok((Sealer::new(newest), opener))
    }

    fn change<T>(
        &self,
        action: &str,
        name: &str,
        change: impl FnOnce(&mut Body, &FileKey, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let _lock = self.lock()?;
        let (mut body, key) = self.load()?;
        let done = change(&mut body, &key, self.clock.now())?;
        self.save(&mut body, &key, &Record::new(&self.actor, action, name).detail("file", self.path.display()))?;
        Ok(done)
    }

    /// One process changes the file at a time.
    fn lock(&self) -> Result<File> {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".lock");
        let lock = private().write(true).create(true).truncate(false).open(&path);
        let lock = lock.and_then(|lock| lock.lock().map(|()| lock));
        lock.map_err(|e| Error::io("lock", PathBuf::from(path), e))
    }

    fn load(&self) -> Result<(Body, FileKey)> {
        let io = |e| Error::io("read", &self.path, e);
        let file = File::open(&self.path).map_err(io)?;
        check_private(&self.path, &file)?;
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text).map_err(io)?;
        let (body, authentic, mac) = Body::parse(&text).ok_or_else(|| self.damaged("it is no secrets file"))?;
        let key = self.opener.unwrap(&self.object(), &body.recipients, &Body::fixed_hash())?.0;
        if !Body::is_authentic(authentic, &mac, &key) {
            return Err(self.damaged("it was changed"));
        }
        let mut seen = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if body.generation < *seen {
            let (found, seen) = (body.generation, *seen);
            return Err(Error::Replayed { path: self.path.clone(), found, seen });
        }
        *seen = body.generation;
        Ok((body, key))
    }

    /// On record before it is done, so that nothing is done in secret, and once it is done, so that a generation on record as a
    /// success is one that the file has reached.
    fn save(&self, body: &mut Body, key: &FileKey, record: &Record) -> Result<()> {
        body.generation += 1;
        let record = record.clone().detail("generation", body.generation);
        self.ledger.append(&record.clone().outcome("started")).map_err(Error::Ledger)?;
        let mut file = AtomicFile::create(&self.path)?;
        let text = body.to_text(key)?;
        file.file.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, e))?;
        file.commit()?;
        *self.generation.lock().unwrap_or_else(PoisonError::into_inner) = body.generation;
        self.ledger.append(&record).map_err(Error::Ledger).map(drop)
    }

    fn object(&self) -> String {
        self.path.display().to_string()
    }

    fn damaged(&self, detail: &str) -> Error {
        Error::damaged(&self.object(), detail)
    }
}

impl SecretSource for SecretFile {
    fn name(&self) -> &str {
        "file"
    }

    /// The newest version.
    fn secret(&self, name: &str) -> Result<Option<Secret>> {
        let (body, key) = self.load()?;
        let Some(entry) = body.secrets.iter().rfind(|entry| entry.name == name) else { return Ok(None) };
        if let Some(since) = entry.expires.filter(|expires| *expires <= self.clock.now()) {
            return Err(Error::Expired { name: name.to_owned(), since });
        }
        entry.open(&key).map(Some).ok_or_else(|| self.damaged("an entry was changed"))
    }
}

fn wrap(recipients: &[Recipient], key: &FileKey) -> Result<Vec<crate::sealed::recipient::Entry>> {
    recipients.iter().map(|recipient| recipient.wrap(key, &Body::fixed_hash())).collect()
}
