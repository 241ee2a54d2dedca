//! Makes the folders of [`plan`](super::plan) and gives the agent's ones to the agent.
//!
//! Works from directory handle to directory handle and never follows a link, so nothing that an agent
//! left in a folder can lead the host elsewhere. Blocking.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use longshore_protocol::GroupId;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use thiserror::Error;

use super::super::installation::Installation;

/// How deep below a folder ownership is put right.
const MAX_DEPTH: usize = 64;
/// How many entries of a folder are put right.
const MAX_ENTRIES: usize = 500_000;

/// Why a group's folders cannot be had.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// A file or a symbolic link lies where a folder must be.
    #[error("`{}` is not a folder (a symbolic link is not followed here)", .0.display())]
    NotAFolder(PathBuf),
    /// The agent has to write there and cannot.
    #[error("`{}` belongs to user {owner} and user {uid}, who the agent is, cannot write in it", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The agent's user id.
        uid: u32,
    },
    /// The system refused.
    #[error("cannot prepare `{}`", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whose a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// The host's alone; nobody else on the machine may look.
    HostPrivate,
    /// The host's; the agent may read what of it is mounted.
    Host,
    /// The agent's, who writes there.
    Agent,
}

/// Creates what is missing of the group's folders and makes the agent's ones writable for it.
///
/// As root, a folder that root owns is given to the agent's user together with what root owns in it;
/// a folder that is right already costs one look.
///
/// # Errors
/// See [`PrepareError`]; what was made until then stays.
pub fn prepare(installation: &Installation, group: &GroupId) -> Result<(), PrepareError> {
    let root = open_root(&installation.root)?;
    let name = group.as_str();
    let folders: [(&[&str], Keeper); 10] = [
        (&["data"], Keeper::HostPrivate),
        (&["groups", name], Keeper::Agent),
        (&["groups", "global"], Keeper::Agent),
        (&["data", "ipc", name], Keeper::Host),
        (&["data", "ipc", name, "messages"], Keeper::Agent),
        (&["data", "ipc", name, "tasks"], Keeper::Agent),
        (&["data", "ipc", name, "answers"], Keeper::Host),
        (&["data", "sessions", name, ".claude"], Keeper::Agent),
        (&["data", "codex", name, ".codex"], Keeper::Agent),
        (&["data", "broker", name], Keeper::Host),
    ];
    for (parts, keeper) in folders {
        let mut path = installation.root.clone();
        let mut folder = root.as_fd().try_clone_to_owned().map_err(|source| io_error(&path, source))?;
        for part in parts {
            path.push(part);
            folder = open_or_create(folder.as_fd(), part, &path)?;
        }
        hand_over(&folder, &path, keeper, installation)?;
    }
    Ok(())
}

fn open_root(root: &Path) -> Result<OwnedFd, PrepareError> {
    File::open(root).map(OwnedFd::from).map_err(|source| io_error(root, source))
}

fn open_or_create(parent: BorrowedFd<'_>, name: &str, path: &Path) -> Result<OwnedFd, PrepareError> {
    match open_folder(parent, name) {
        Err(Errno::NOENT) => {}
        other => return other.map_err(|errno| errno_error(path, errno)),
    }
    let fresh = match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno_error(path, errno)),
    };
    let folder = open_folder(parent, name).map_err(|errno| errno_error(path, errno))?;
    if fresh {
        // Whatever the umask: the agent may be another user and has to get in.
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o755)).map_err(|errno| errno_error(path, errno))?;
    }
    Ok(folder)
}

fn open_folder(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn hand_over(folder: &OwnedFd, path: &Path, keeper: Keeper, installation: &Installation) -> Result<(), PrepareError> {
    let stat = rustix::fs::fstat(folder).map_err(|errno| errno_error(path, errno))?;
    match keeper {
        Keeper::HostPrivate => narrow(folder, &stat).map_err(|errno| errno_error(path, errno)),
        Keeper::Host => widen(folder, &stat, installation).map_err(|errno| errno_error(path, errno)),
        Keeper::Agent if stat.st_uid == 0 && rustix::process::geteuid().is_root() => {
            let mut adoption = Adoption::new(installation, &stat);
            let mut given = adoption.contents(folder.as_fd(), 0);
            if adoption.left == 0 {
                tracing::warn!(folder = %path.display(), "too many files to change the owner of all");
            }
            // Last, because it is what tells that the rest is done.
            given = given.and_then(|()| adoption.own(folder.as_fd()));
            given.map_err(|errno| errno_error(path, errno))
        }
        Keeper::Agent if may_write(&stat, installation) => Ok(()),
        Keeper::Agent => {
            Err(PrepareError::NotWritable { path: path.to_owned(), owner: stat.st_uid, uid: installation.uid })
        }
    }
}

/// Takes away what others may do, if the folder is ours to change.
fn narrow(folder: &OwnedFd, stat: &Stat) -> Result<(), Errno> {
    let open_to_others = stat.st_mode & 0o077 != 0;
    if open_to_others && stat.st_uid == rustix::process::geteuid().as_raw() {
        rustix::fs::fchmod(folder, Mode::RWXU)?;
    }
    Ok(())
}

/// Lets the agent look, where it is another user than the host.
fn widen(folder: &OwnedFd, stat: &Stat, installation: &Installation) -> Result<(), Errno> {
    let host = rustix::process::geteuid().as_raw();
    if stat.st_mode & 0o055 != 0o055 && stat.st_uid == host && host != installation.uid {
        rustix::fs::fchmod(folder, Mode::from_raw_mode(0o755))?;
    }
    Ok(())
}

fn may_write(stat: &Stat, installation: &Installation) -> bool {
    let needed = if stat.st_uid == installation.uid {
        0o300
    } else if stat.st_gid == installation.gid {
        0o030
    } else {
        0o003
    };
    stat.st_mode & needed == needed
}

/// Gives what root owns in one folder to the agent.
struct Adoption {
    uid: Uid,
    gid: Gid,
    device: u64,
    left: usize,
}

impl Adoption {
    fn new(installation: &Installation, top: &Stat) -> Self {
        Self {
            uid: Uid::from_raw(installation.uid),
            gid: Gid::from_raw(installation.gid),
            device: top.st_dev,
            left: MAX_ENTRIES,
        }
    }

    fn own(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        rustix::fs::fchown(folder, Some(self.uid), Some(self.gid))
    }

    /// What vanishes or is exchanged meanwhile is passed over: it was not root's to begin with.
    fn contents(&mut self, folder: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if stat.st_dev != self.device {
                continue;
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.folder(folder, name, depth, stat.st_uid)?;
            } else if stat.st_uid == 0 && stat.st_nlink == 1 {
                // A file with a second name may be somebody's elsewhere, too: it stays as it is.
                let _gone =
                    rustix::fs::chownat(folder, name, Some(self.uid), Some(self.gid), AtFlags::SYMLINK_NOFOLLOW);
            }
        }
        Ok(())
    }

    fn folder(&mut self, parent: BorrowedFd<'_>, name: &std::ffi::CStr, depth: usize, owner: u32) -> Result<(), Errno> {
        let Ok(inner) = open_folder(parent, name) else { return Ok(()) };
        if depth < MAX_DEPTH {
            self.contents(inner.as_fd(), depth + 1)?;
        }
        if owner == 0 { self.own(inner.as_fd()) } else { Ok(()) }
    }
}

fn errno_error(path: &Path, errno: Errno) -> PrepareError {
    match errno {
        Errno::NOTDIR | Errno::LOOP => PrepareError::NotAFolder(path.to_owned()),
        errno => io_error(path, errno.into()),
    }
}

fn io_error(path: &Path, source: io::Error) -> PrepareError {
    PrepareError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn home() -> (tempfile::TempDir, Installation) {
        let home = tempfile::tempdir().unwrap();
        let installation = Installation::of(home.path()).unwrap();
        (home, installation)
    }

    fn group() -> GroupId {
        "family".parse().unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn every_planned_source_exists_afterwards_and_what_the_agent_writes_is_its_own() {
        let (_home, installation) = home();
        prepare(&installation, &group()).unwrap();
        prepare(&installation, &group()).unwrap();
        for mount in super::super::plan(
            &installation,
            &group(),
            super::super::FolderAccess::MAIN,
            crate::container::LinkKind::Socket,
        ) {
            let found = fs::symlink_metadata(&mount.source).unwrap();
            assert!(found.is_dir(), "{mount:?}");
            if mount.access == super::super::Access::ReadWrite {
                assert_eq!((found.uid(), found.gid()), (installation.uid, installation.gid), "{mount:?}");
            }
        }
        assert_eq!(mode(&installation.root.join("data")), 0o700);
        assert_eq!(mode(&installation.broker_folder(&group())), 0o755);
        assert!(installation.ipc_folder(&group()).join("answers").is_dir());
    }

    #[test]
    fn an_agent_of_another_user_gets_into_what_the_host_had_closed() {
        let (_home, mut installation) = home();
        installation.uid = rustix::process::geteuid().as_raw() + 1;
        let broker = installation.broker_folder(&group());
        fs::create_dir_all(&broker).unwrap();
        fs::set_permissions(&broker, fs::Permissions::from_mode(0o700)).unwrap();
        let folder = open_root(&broker).unwrap();
        hand_over(&folder, &broker, Keeper::Host, &installation).unwrap();
        assert_eq!(mode(&broker), 0o755);
    }

    #[test]
    fn a_link_where_a_folder_must_be_is_refused_and_not_followed() {
        let links = ["groups/family", "groups/global", "data", "data/ipc/family/messages", "data/sessions/family"];
        for link in links {
            let (_home, installation) = home();
            let outside = tempfile::tempdir().unwrap();
            let link = installation.root.join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(outside.path(), &link).unwrap();
            let error = prepare(&installation, &group()).unwrap_err();
            assert!(matches!(&error, PrepareError::NotAFolder(path) if *path == link), "{error}");
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_file_where_a_folder_must_be_is_refused() {
        let (_home, installation) = home();
        fs::write(installation.root.join("groups"), "").unwrap();
        assert!(matches!(prepare(&installation, &group()), Err(PrepareError::NotAFolder(_))));
    }

    #[test]
    fn what_root_left_in_a_folder_becomes_the_agents_and_what_a_link_leads_to_does_not() {
        // Only root can leave something that is root's.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (_home, installation) = home();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "").unwrap();
        let folder = installation.group_folder(&group());
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/CLAUDE.md"), "").unwrap();
        symlink(outside.path(), folder.join("a/link")).unwrap();
        fs::hard_link(outside.path().join("secret"), folder.join("hard")).unwrap();
        prepare(&installation, &group()).unwrap();
        for given in ["", "a", "a/b", "a/b/CLAUDE.md", "a/link"] {
            assert_eq!(fs::symlink_metadata(folder.join(given)).unwrap().uid(), installation.uid, "{given}");
        }
        for kept in [outside.path().to_owned(), outside.path().join("secret")] {
            assert_eq!(fs::metadata(&kept).unwrap().uid(), 0, "{}", kept.display());
        }
    }

    #[test]
    fn a_folder_that_the_agent_cannot_write_in_is_refused_by_name() {
        let (_home, mut installation) = home();
        let folder = installation.group_folder(&group());
        fs::create_dir_all(&folder).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&folder, Some(4242), Some(4242)).unwrap();
        } else {
            (installation.uid, installation.gid) = (4242, 4242);
        }
        let error = prepare(&installation, &group()).unwrap_err();
        assert!(matches!(&error, PrepareError::NotWritable { path, .. } if *path == folder), "{error}");
    }
}
