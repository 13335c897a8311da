use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::blob::check_name;
use crate::{BlobStore, Claim, Error, Result};

/// Files written here end so until they are complete; leftovers of a crash are never listed.
const TEMPORARY: &str = ".tmp";
/// The leading dot keeps it out of every listing.
const LOCK: &str = ".lock";

/// A store in a folder: blob `a/b` is the file `a/b` below it.
///
/// A write goes to a temporary file (mode 0600 on Unix) that is synced, renamed into place, and the folder synced, as is each
/// folder that the write had to make.
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

    /// Makes `folder`, below the root, and the entries on the way to it survive a power cut.
    fn make_folder(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        let mut parents = folder.ancestors().skip(1).take_while(|parent| parent.starts_with(&self.root));
        parents.try_for_each(sync_folder)
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
        self.make_folder(folder)?;
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

    /// Locks the file `.lock` in the folder, and removes what a writer that died has left half-written.
    fn claim(&self) -> Result<Claim> {
        let path = self.root.join(LOCK);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|e| Error::io("create", &path, e))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: self.root.clone() }),
            locked => locked.map_err(|e| Error::io("lock", &path, e.into()))?,
        }
        sweep(&self.root)?;
        Ok(Claim::of(file))
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

/// Removes temporary files. The claim is held, so nobody is writing them.
fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))? {
        let entry = entry.map_err(|e| Error::io("list", folder, e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| Error::io("list", &path, e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && !name.starts_with('.') {
            sweep(&path)?;
        } else if kind.is_file() && name.starts_with('.') && name.ends_with(TEMPORARY) {
            fs::remove_file(&path).map_err(|e| Error::io("delete", path, e))?;
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
