//! The account's folder: keys, what was said lately, and who it is. Nobody else may read it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest file of ours that is read whole.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
const ACCOUNT: &str = "account.json";
const GROUPS: &str = "groups.json";
const KEYS: &str = "keys.db";

/// Who is linked. Written when it changes; a running adapter looks at it while it has no link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `…@s.whatsapp.net`.
    pub phone: String,
    /// `…@lid`, if the platform told it.
    pub hidden: Option<String>,
    /// The name that others see.
    pub name: String,
    /// When it was linked, RFC 3339.
    pub linked_at: String,
    /// Whether the link still stood when it was used last.
    pub state: AccountState,
}

/// Whether the keys are good for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// As far as is known.
    Linked,
    /// The platform has removed the link.
    LoggedOut,
}

/// A group, as it was listed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `…@g.us`.
    pub chat: String,
    /// Its name, for people.
    pub name: String,
    /// How many are in it.
    pub participants: usize,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Data {
    folder: PathBuf,
}

/// The right to use the keys. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Data {
    /// Opens the folder; it is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made or its mode cannot be set.
    pub fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Takes the keys for this process alone; `None` if another process has them.
    ///
    /// # Errors
    /// The lock's file cannot be opened.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        let file = File::options().create(true).truncate(false).write(true).open(self.folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The database with the keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.folder.join(KEYS)
    }

    /// The database with what was said lately.
    #[must_use]
    pub fn recent(&self) -> PathBuf {
        self.folder.join("recent.db")
    }

    /// Who is linked, if anybody was.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn account(&self) -> io::Result<Option<Account>> {
        self.read(ACCOUNT)
    }

    /// Writes who is linked.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_account(&self, account: &Account) -> io::Result<()> {
        self.write(ACCOUNT, account)
    }

    /// The groups, as they were listed last.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn groups(&self) -> io::Result<Option<Vec<Group>>> {
        self.read(GROUPS)
    }

    /// Keeps a listing of the groups.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_groups(&self, groups: &[Group]) -> io::Result<()> {
        self.write(GROUPS, &groups)
    }

    /// Deletes the link: its keys, who it was, its groups.
    ///
    /// # Errors
    /// Something is there and cannot be deleted.
    pub fn forget(&self, _lock: &Lock) -> io::Result<()> {
        // The account last: a crash before that leaves a link that can be forgotten again.
        for suffix in ["", "-wal", "-shm"] {
            self.remove(&format!("{KEYS}{suffix}"))?;
        }
        self.remove(GROUPS)?;
        self.remove(ACCOUNT)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let path = self.folder.join(name);
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(meta) if meta.len() > MAX_FILE_BYTES => {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("`{name}` is too large")));
            }
            Ok(_) => {}
        }
        Ok(Some(serde_json::from_slice(&std::fs::read(path)?)?))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let new = self.folder.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(new, self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            phone: "49151@s.whatsapp.net".into(),
            hidden: None,
            name: "Andy".into(),
            linked_at: "2026-01-31T12:00:00Z".into(),
            state: AccountState::Linked,
        }
    }

    #[test]
    fn nobody_else_may_look_into_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/whatsapp");
        std::fs::create_dir_all(&folder).unwrap();
        Data::open(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_keys_are_for_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::open(folder.path()).unwrap();
        let lock = data.lock().unwrap().unwrap();
        assert!(data.lock().unwrap().is_none());
        drop(lock);
        assert!(data.lock().unwrap().is_some());
    }

    #[test]
    fn forgetting_leaves_nothing_of_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::open(folder.path()).unwrap();
        let lock = data.lock().unwrap().unwrap();
        data.set_account(&account()).unwrap();
        data.set_groups(&[]).unwrap();
        std::fs::write(data.keys(), "keys").unwrap();
        assert_eq!(data.account().unwrap(), Some(account()));
        data.forget(&lock).unwrap();
        assert_eq!(data.account().unwrap(), None);
        assert_eq!(data.groups().unwrap(), None);
        assert!(!data.keys().exists());
        data.forget(&lock).unwrap();
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::open(folder.path()).unwrap();
        std::fs::write(folder.path().join(ACCOUNT), "{\"phone\":").unwrap();
        assert!(data.account().is_err());
    }
}
