//! Single steps in folders, from handle to handle, never through a link.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use longshore_protocol::GroupId;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, Result};
use rustix::path::Arg;
use uuid::Uuid;

use super::entry::{Facts, Name};

/// Where the answers lie, in a group's folder.
pub(super) const ANSWERS: &str = "answers";
/// How names begin under which the host writes what it then renames.
const TEMPORARY: &str = ".new-";

/// Writes `<folder>/<group>/<name>` whole or not at all, readable for all. `name` is one component,
/// or `answers/` and one.
///
/// Whole also for whoever reads at the same time and after a crash of the host; not after a power cut,
/// as nothing that is written here outlives the machine's containers.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if the group has no folder yet, [`io::ErrorKind::InvalidInput`] for a name
/// that is none; otherwise what the system says. A link where a folder must be is not followed.
pub fn replace(folder: &Path, group: &GroupId, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (inner, name) = match name.split_once('/') {
        Some((ANSWERS, name)) => (Some(ANSWERS), name),
        _ => (None, name),
    };
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is no file name", name.escape_debug())));
    }
    let mut parent = open(open(CWD, folder)?.as_fd(), group.as_str())?;
    if let Some(inner) = inner {
        parent = open_or_make(parent.as_fd(), inner, 0o755)?;
    }
    write_whole(parent.as_fd(), name, bytes)
}

pub(super) fn write_whole(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{TEMPORARY}{}", Uuid::new_v4().simple());
    let written = write_new(folder, &temporary, bytes, 0o644)
        .and_then(|()| Ok(rustix::fs::renameat(folder, &temporary, folder, name)?));
    if written.is_err() {
        let _gone = rustix::fs::unlinkat(folder, &temporary, AtFlags::empty());
    }
    written
}

/// Writes a file that is not there yet.
pub(super) fn write_new(folder: BorrowedFd<'_>, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode))?);
    // Whatever the umask: the agent may be another user.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    file.write_all(bytes)
}

/// Whether the host has written under this name and crashed.
pub(super) fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(TEMPORARY.as_bytes())
}

pub(super) fn open(parent: BorrowedFd<'_>, name: impl Arg) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

pub(super) fn open_or_make(parent: BorrowedFd<'_>, name: &str, mode: u32) -> Result<OwnedFd> {
    match open(parent, name) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let folder = open(parent, name)?;
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
    Ok(folder)
}

/// What lies under the name, if anything does.
pub(super) fn facts(folder: BorrowedFd<'_>, name: impl Arg) -> Result<Option<Facts>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Facts::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Renames unless there is something already, which is [`Errno::EXIST`].
pub(super) fn rename_to_free(
    from: BorrowedFd<'_>,
    old: impl Arg + Copy,
    to: BorrowedFd<'_>,
    new: impl Arg + Copy,
) -> Result<()> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        // The file system knows no such renaming: a look before is the best there is.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match facts(to, new)? {
            Some(_) => Err(Errno::EXIST),
            None => rustix::fs::renameat(from, old, to, new),
        },
        other => other,
    }
}

/// Lets the host into a directory that its owner closed, if the host may change it.
pub(super) fn open_up(parent: BorrowedFd<'_>, name: impl Arg) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    // By its handle, so that it is not something else by now.
    rustix::fs::chmod(format!("/proc/self/fd/{}", inner.as_raw_fd()), Mode::RWXU)
}

/// The names in a folder, `.` and `..` apart, at most `limit` of them.
pub(super) fn names(folder: BorrowedFd<'_>, limit: usize) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if matches!(name.as_slice(), b"." | b"..") {
            continue;
        }
        if names.len() == limit {
            break;
        }
        names.push(name);
    }
    Ok(names)
}

/// The name of an answer. Whoever gets here has a safe one.
pub(super) fn answer_name(name: &[u8]) -> Option<String> {
    match Name::of(name) {
        Name::Petition(name) => Some(name),
        Name::Unsafe | Name::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn group() -> GroupId {
        "family".parse().unwrap()
    }

    #[test]
    fn a_snapshot_is_replaced_whole_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(replace(folder.path(), &group(), "x.json", b"").unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(folder.path().join("family")).unwrap();
        for content in ["first and longer", "second"] {
            replace(folder.path(), &group(), "x.json", content.as_bytes()).unwrap();
            replace(folder.path(), &group(), "answers/y.json", content.as_bytes()).unwrap();
        }
        for name in ["x.json", "answers/y.json"] {
            let path = folder.path().join("family").join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), "second");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(fs::read_dir(folder.path().join("family")).unwrap().count(), 2);
        assert_eq!(fs::read_dir(folder.path().join("family/answers")).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_never_written_through() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = outside.path().join("target");
        fs::write(&target, "kept").unwrap();
        fs::create_dir(folder.path().join("family")).unwrap();
        symlink(&target, folder.path().join("family/x.json")).unwrap();
        replace(folder.path(), &group(), "x.json", b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
        assert!(!folder.path().join("family/x.json").is_symlink());

        symlink(outside.path(), folder.path().join("family/answers")).unwrap();
        symlink(outside.path(), folder.path().join("team")).unwrap();
        assert!(replace(folder.path(), &group(), "answers/x.json", b"").is_err());
        assert!(replace(folder.path(), &"team".parse().unwrap(), "x.json", b"").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_file_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("family")).unwrap();
        for name in ["", ".", "..", "../x", "a/b", "/x", "answers/", "answers/../x", ".x", "messages/x.json", "a\0"] {
            let error = replace(folder.path(), &group(), name, b"").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
