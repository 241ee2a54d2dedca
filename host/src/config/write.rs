//! `.env` on disk: changed in one step, and never readable by others.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use thiserror::Error;

use super::edit::{Change, EditError, edited};
use super::{ConfigProblem, FILE, read_file};

/// Why the settings were not changed. Never holds a value.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ConfigProblem),
    /// The change cannot be made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file system refused.
    #[error("cannot write `{FILE}`")]
    Io(#[from] std::io::Error),
}

/// Changes settings in `<root>/.env`, which need not exist. The file is replaced whole, by a rename, with mode 0600;
/// where it is a link, what it leads to is.
///
/// # Errors
/// See [`SettingsError`]: the file is as it was.
pub fn set(root: &Path, changes: &[Change<'_>]) -> Result<(), SettingsError> {
    let path = root.join(FILE);
    let before = read_file(&path)?;
    let after = edited(&before, changes)?;
    let path = match fs::canonicalize(&path) {
        Ok(path) => path,
        Err(error) if error.kind() == ErrorKind::NotFound => path,
        Err(error) => return Err(error.into()),
    };
    let mut part = path.clone().into_os_string();
    part.push(".new");
    // What a dead command left; nobody else writes there.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written =
        file.write_all(after.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&part, &path));
    if let Err(error) = written {
        // The error that matters is the first one.
        let _ = fs::remove_file(&part);
        return Err(error.into());
    }
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_replaced_whole_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        set(folder.path(), &[("A", Some("1"))]).unwrap();
        fs::write(folder.path().join(".env.new"), "half").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        set(folder.path(), &[("B", Some("2"))]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\nB=2\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join(".env.new").exists());
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real"), "A=1\n").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join(FILE)).unwrap();
        set(folder.path(), &[("A", None)]).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("real")).unwrap(), "");
        assert!(fs::symlink_metadata(folder.path().join(FILE)).unwrap().is_symlink());
    }
}
