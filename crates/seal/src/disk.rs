use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Makes the entry of a new file survive a power cut. Windows has no such call and needs none.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("sync folder", folder, e))?;
    }
    Ok(())
}

/// A file that appears at its path whole or not at all, readable by its owner alone. What is there stays until [`commit`].
///
/// [`commit`]: Self::commit
pub(crate) struct AtomicFile {
    pub(crate) file: File,
    temporary: PathBuf,
    target: PathBuf,
    is_done: bool,
}

impl AtomicFile {
    pub(crate) fn create(target: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io("create folder", folder, e))?;
        }
        let base = target.file_name().unwrap_or_default().to_string_lossy();
        // Process id and counter keep two writers of one name apart.
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = target.with_file_name(format!(".{base}.{}-{unique}.tmp", std::process::id()));
        let mut options = private();
        let file = options.write(true).create(true).truncate(true).open(&temporary);
        let file = file.map_err(|e| Error::io("create", &temporary, e))?;
        Ok(Self { file, temporary, target: target.to_owned(), is_done: false })
    }

    /// Makes it durable and puts it in place.
    pub(crate) fn commit(mut self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("sync", &self.temporary, e))?;
        fs::rename(&self.temporary, &self.target).map_err(|e| Error::io("rename into place", &self.target, e))?;
        self.is_done = true;
        sync_folder_of(&self.target)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Options for files that their owner alone may use.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
