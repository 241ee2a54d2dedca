//! The operator's additional mounts: the list and the file system, looked at anew for each container.
//!
//! What remains between this look and the engine's own, which is by path and a moment later: whoever may
//! rename or replace a component of the path then decides what is mounted. `allow` refuses paths where
//! that is anybody but root and the host's own user, or the agent of a group that has a containing folder
//! mounted for writing by the groups file as it is now. So there remain the operator's own programs,
//! and a container that still runs with a mount for writing that the groups file no longer asks for.
//! What lies *in* a mounted folder is not looked at.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use longshore_protocol::GroupId;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::allow::{Ground, Permits, Refusal, Root, Source, SourceKind, Step, Wish, collide, decide};
use super::allowlist::{self, FILE_NAME, MountFile};
use super::{Access, Mount};
use crate::container::installation::Installation;
use crate::follow::MAX_BYTES;
use crate::follow::read::{Reading, read};
use crate::groups::{ExtraMount, Group, Groups};
use crate::operator::Operator;
use crate::strict::Mistake;

/// What of a group's additional mounts is made, and why the others are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additional {
    /// Those that are made.
    pub mounts: Vec<Mount>,
    /// One sentence for each of the others.
    pub refused: Vec<String>,
}

/// The allowlist as it is now.
enum List {
    Missing(PathBuf),
    Broken(PathBuf, Vec<Mistake>),
    Permits(Permits),
}

/// Everything that decides, looked at once.
struct View<'a> {
    list: List,
    installation: &'a Installation,
    /// Where the operator's places really are.
    home: PathBuf,
    settings: PathBuf,
    engine_socket: Option<PathBuf>,
    operator: &'a Operator,
    /// The folders that some agent may write.
    writable: Vec<(PathBuf, GroupId)>,
}

/// Decides about a group's additional mounts, as things are now. Blocking.
#[must_use]
pub fn additional(installation: &Installation, operator: &Operator, groups: &Groups, group: &Group) -> Additional {
    if group.container.mounts.is_empty() {
        return Additional::default();
    }
    View::new(installation, operator, groups).of(group)
}

/// What is wrong with the list, and every mount that would not be made now, for people. Blocking.
#[must_use]
pub fn refusals(installation: &Installation, operator: &Operator, groups: &Groups) -> Vec<String> {
    let view = View::new(installation, operator, groups);
    let mut told = match &view.list {
        List::Broken(path, mistakes) => {
            mistakes.iter().map(|mistake| format!("`{}`: {mistake}", path.display())).collect()
        }
        List::Missing(_) | List::Permits(_) => Vec::new(),
    };
    for group in groups.iter() {
        told.extend(view.of(group).refused);
    }
    told
}

impl<'a> View<'a> {
    fn new(installation: &'a Installation, operator: &'a Operator, groups: &Groups) -> Self {
        let real = |path: PathBuf| path.canonicalize().unwrap_or(path);
        let mut view = Self {
            list: List::read(operator),
            installation,
            home: real(operator.home.clone()),
            settings: real(operator.settings.clone()),
            engine_socket: operator.engine_socket.clone().map(real),
            operator,
            writable: Vec::new(),
        };
        let wishes = groups.iter().flat_map(|group| group.container.mounts.iter().map(move |mount| (group, mount)));
        for (group, mount) in wishes.filter(|(_, mount)| !mount.readonly) {
            if let Ok(Mount { source, access: Access::ReadWrite, .. }) = view.decide(group, mount) {
                view.writable.push((source, group.id.clone()));
            }
        }
        view
    }

    fn of(&self, group: &Group) -> Additional {
        let mut found = Additional::default();
        for wish in &group.container.mounts {
            let decided = self.decide(group, wish).and_then(|mount| {
                match found.mounts.iter().any(|other| collide(other, &mount)) {
                    true => Err(Refusal::Taken(mount.target.rsplit("/extra/").next().unwrap_or_default().to_owned())),
                    false => Ok(mount),
                }
            });
            match decided {
                Ok(mount) => found.mounts.push(mount),
                Err(refusal) => {
                    let mut told = format!("group `{}`: `", group.id);
                    // Writing to a `String` cannot fail.
                    let _ = write!(told, "{}` is not mounted: {refusal}", wish.host_path.escape_debug());
                    found.refused.push(told);
                }
            }
        }
        found
    }

    fn decide(&self, group: &Group, mount: &ExtraMount) -> Result<Mount, Refusal> {
        let permits = match &self.list {
            List::Permits(permits) => permits,
            List::Missing(path) => {
                return Err(Refusal::NoList(format!("there is no mount allowlist, `{}`", path.display())));
            }
            List::Broken(path, _) => {
                return Err(Refusal::NoList(format!("the mount allowlist `{}` cannot be used", path.display())));
            }
        };
        let written = self.operator.path(&mount.host_path).ok_or(Refusal::Relative)?;
        let source = source(written).map_err(|error| Refusal::Unresolved(error.to_string()))?;
        let ground = Ground {
            installation: &self.installation.root,
            home: &self.home,
            settings: &self.settings,
            engine_socket: self.engine_socket.as_deref(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            writable: &self.writable,
        };
        decide(Wish { mount, is_main: group.is_main, approval: group.approval }, &source, permits, &ground)
    }
}

impl List {
    fn read(operator: &Operator) -> Self {
        let path = operator.settings.join(FILE_NAME);
        let broken = |text| vec![Mistake::of_file(text)];
        match read(&path, MAX_BYTES) {
            Ok(Reading::Missing) => Self::Missing(path),
            Ok(Reading::Content { metadata, .. }) if metadata.mode() & 0o002 != 0 => {
                Self::Broken(path, broken("everybody on this machine may write it; `chmod o-w` it".to_owned()))
            }
            Ok(Reading::Content { bytes, .. }) => match allowlist::read(&bytes) {
                Ok(file) => Self::Permits(permits(&file, operator)),
                Err(mistakes) => Self::Broken(path, mistakes),
            },
            Err(error) => Self::Broken(path, broken(format!("it cannot be read: {error}"))),
        }
    }
}

/// A root that is not there permits nothing.
fn permits(file: &MountFile, operator: &Operator) -> Permits {
    let root = |root: &allowlist::AllowedRoot| {
        let access = if root.allow_read_write == Some(true) { Access::ReadWrite } else { Access::ReadOnly };
        Some(Root { path: operator.path(&root.path)?.canonicalize().ok()?, access })
    };
    Permits {
        roots: file.allowed_roots.iter().filter_map(root).collect(),
        blocked: file.blocked(),
        non_main_read_only: file.non_main_read_only.unwrap_or(true),
    }
}

/// Looks a path up, and then walks to where it leads without following anything.
fn source(written: PathBuf) -> io::Result<Source> {
    let path = written.canonicalize()?;
    let mut steps = Vec::new();
    let mut walked = PathBuf::from("/");
    let mut handle = rustix::fs::openat(CWD, "/", LOOK, Mode::empty())?;
    let mut stat = rustix::fs::fstat(&handle)?;
    steps.push(step(&walked, &stat));
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        walked.push(name);
        (handle, stat) = inner(&handle, name)?;
        steps.push(step(&walked, &stat));
    }
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => SourceKind::Folder,
        FileType::RegularFile => SourceKind::File,
        FileType::Socket => SourceKind::Socket,
        // It was a path without links a moment ago.
        FileType::Symlink => return Err(io::Error::other("it changes while it is looked at")),
        _ => SourceKind::Other,
    };
    Ok(Source { written, path, kind, steps })
}

/// A handle that reads and writes nothing.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn inner(folder: &OwnedFd, name: &OsStr) -> Result<(OwnedFd, Stat), Errno> {
    let handle = rustix::fs::openat(folder.as_fd(), name, LOOK, Mode::empty())?;
    let stat = rustix::fs::fstat(&handle)?;
    Ok((handle, stat))
}

fn step(path: &Path, stat: &Stat) -> Step {
    Step { path: path.to_owned(), uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777 }
}

#[cfg(test)]
mod tests;
