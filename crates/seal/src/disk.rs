use std::fs::File;
use std::path::Path;

use crate::{Error, Result};

/// Makes the entry of a new file survive a power cut. Windows has no such call and needs none.
pub(crate) fn sync_folder_of(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("sync folder", folder, e))?;
    }
    Ok(())
}
