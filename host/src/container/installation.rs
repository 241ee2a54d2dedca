//! One Longshore on one machine: where it lives, whose it is, and how its containers are told from
//! another's.

use std::io;
use std::path::{Path, PathBuf};

use longshore_protocol::GroupId;
use sha2::{Digest, Sha256};

/// The user and group that agents have when the host itself runs as root: `node` in the usual images.
const UNPRIVILEGED: u32 = 1000;

/// Where an installation lives and who its agents are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The folder that holds `groups/` and `data/`: absolute, canonical and UTF-8.
    pub root: PathBuf,
    /// First 12 hexadecimal digits of the SHA-256 of `root`; the value of the containers' root label.
    pub root_hash: String,
    /// User id of the processes in the containers.
    pub uid: u32,
    /// Group id of the processes in the containers.
    pub gid: u32,
}

impl Installation {
    /// The installation at `root`, which must exist.
    ///
    /// Agents have the operator's own ids, so that both can work on the same files; for a host that
    /// runs as root they have 1000:1000, never 0.
    ///
    /// # Errors
    /// When `root` cannot be resolved, or is not UTF-8 (the engine's API speaks JSON).
    pub fn of(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if root.to_str().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"));
        }
        let (uid, gid) = match rustix::process::geteuid() {
            euid if euid.is_root() => (UNPRIVILEGED, UNPRIVILEGED),
            euid => (euid.as_raw(), rustix::process::getegid().as_raw()),
        };
        Ok(Self { root_hash: root_hash(&root), root, uid, gid })
    }

    /// The group's own folder, `groups/<folder>`.
    #[must_use]
    pub fn group_folder(&self, group: &GroupId) -> PathBuf {
        self.root.join("groups").join(group.as_str())
    }

    /// What all groups share, `groups/global`.
    #[must_use]
    pub fn global_folder(&self) -> PathBuf {
        self.root.join("groups/global")
    }

    /// The group's mailbox and snapshots, `data/ipc/<folder>`.
    #[must_use]
    pub fn ipc_folder(&self, group: &GroupId) -> PathBuf {
        self.root.join("data/ipc").join(group.as_str())
    }

    /// The group's state of `claude`, `data/sessions/<folder>/.claude`.
    #[must_use]
    pub fn claude_folder(&self, group: &GroupId) -> PathBuf {
        self.root.join("data/sessions").join(group.as_str()).join(".claude")
    }

    /// The group's state of `codex`, `data/codex/<folder>/.codex`.
    #[must_use]
    pub fn codex_folder(&self, group: &GroupId) -> PathBuf {
        self.root.join("data/codex").join(group.as_str()).join(".codex")
    }

    /// Where the group's broker socket is, `data/broker/<folder>`.
    #[must_use]
    pub fn broker_folder(&self, group: &GroupId) -> PathBuf {
        self.root.join("data/broker").join(group.as_str())
    }
}

fn root_hash(root: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let digest = Sha256::digest(root.as_os_str().as_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_folder_are_one_installation() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", home.path().join("link")).unwrap();
        let real = Installation::of(&home.path().join("real")).unwrap();
        assert_eq!(Installation::of(&home.path().join("link/../link/.")).unwrap(), real);
        assert_ne!(Installation::of(home.path()).unwrap().root_hash, real.root_hash);
        assert_eq!(real.root_hash.len(), 12);
    }

    #[test]
    fn agents_are_never_root() {
        let home = tempfile::tempdir().unwrap();
        assert_ne!(Installation::of(home.path()).unwrap().uid, 0);
    }

    #[test]
    fn a_root_that_does_not_exist_is_an_error() {
        assert!(Installation::of(Path::new("/no/such/folder")).is_err());
    }
}
