use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::blob::check_name;
use crate::{BlobStore, Error, Result};

/// Files written here end so until they are complete; leftovers of a crash are never listed.
const TEMPORARY: &str = ".tmp";

/// A store in a folder: blob `a/b` is the file `a/b` below it.
///
/// A write goes to a temporary file (mode 0600 on Unix) that is synced, renamed into place, and the folder synced.
#[derive(Debug)]
pub struct FsStore {
    root: PathBuf,
    next: AtomicU64,
}

impl FsStore {
    /// Opens the store in `root`, making the folder where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder can't be made.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| Error::io("create folder", &root, e))?;
        Ok(Self { root, next: AtomicU64::new(0) })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file behind `name`, there or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(name)?;
        Ok(self.root.join(name))
    }

    fn write_temporary(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|e| Error::io("create", path, e))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io("write", path, e))
    }
}

impl BlobStore for FsStore {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let target = self.path(name)?;
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        // Process id and counter keep two writers of one name apart; the leading dot keeps it out of every listing.
        let unique = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}-{unique}{TEMPORARY}", std::process::id()));
        let written = self
            .write_temporary(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &target).map_err(|e| Error::io("rename into place", &target, e)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        sync_folder(folder)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        fs::read(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { name: name.to_owned() },
            _ => Error::io("read", path, e),
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        walk(&self.root, "", &mut names)?;
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("delete", path, e)),
            _ => Ok(()),
        }
    }
}

fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        // Another writer may remove a folder while we look.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| Error::io("list", folder, e))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", folder, e))?;
        let Ok(part) = entry.file_name().into_string() else { continue };
        let name = if prefix.is_empty() { part } else { format!("{prefix}/{part}") };
        if check_name(&name).is_err() {
            continue;
        }
        let kind = entry.file_type().map_err(|e| Error::io("list", entry.path(), e))?;
        if kind.is_dir() {
            walk(&entry.path(), &name, names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// Makes a rename in `folder` survive a power cut. Windows has no such call and needs none.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync folder", folder, e))?;
    }
    Ok(())
}
