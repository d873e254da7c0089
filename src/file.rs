//! Files that stand under their name whole, or not at all.

use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Writes a file beside its final place and renames it.
///
/// # Errors
/// [`Error::Exists`] where it is there already and `force` is not given, [`Error::File`] where it
/// cannot be written; then nothing has changed.
pub fn save(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    if !force && path.exists() {
        return Err(Error::Exists { path: path.into() });
    }
    let mut file = temporary(path)?;
    file.write_all(bytes).map_err(|error| Error::file("write", path, error))?;
    file.persist(path).map_err(|error| Error::file("rename to", path, error.error))?;
    Ok(())
}

/// A file beside `path` that disappears unless it is renamed to it.
pub(crate) fn temporary(path: &Path) -> Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let prefix = format!(".{}.", file_name(path));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    #[cfg(unix)]
    {
        // As for any new file: the umask decides.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory).map_err(|error| Error::file("create", path, error))
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
