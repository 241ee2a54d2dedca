//! Puts new content in a file's place in one step, and only if the old is still there.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::follow::MAX_BYTES;
use crate::follow::read::{Reading, read};

/// How often an exchange is taken back before giving up; each time somebody else wrote just then.
const MAX_EXCHANGES: usize = 100;

/// Whether the new content is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Replaced,
    /// Somebody else wrote; the file is theirs.
    Changed,
}

/// Replaces `expected` (`None`: no file) by `content`. The caller holds the lock.
pub(super) fn replace(
    path: &Path,
    expected: Option<&[u8]>,
    like: Option<&Metadata>,
    content: &[u8],
) -> io::Result<Outcome> {
    let temporary = write_beside(path, like, content)?;
    let outcome = put(&temporary, path, expected, content);
    match &outcome {
        // Nothing but our own content or the replaced one is under this name now.
        Ok(_) => drop(fs::remove_file(&temporary)),
        Err(error) => tracing::warn!(%error, file = %temporary.display(), "an edit of the groups file failed"),
    }
    if let Some(directory) = path.parent() {
        File::open(if directory.as_os_str().is_empty() { Path::new(".") } else { directory })?.sync_all()?;
    }
    outcome
}

/// Writes the content durably under a name beside the file. One name is enough, as there is a lock.
fn write_beside(path: &Path, like: Option<&Metadata>, content: &[u8]) -> io::Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let temporary = path.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = like.map_or(0o644, |metadata| metadata.mode() & 0o777);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    if let Some(like) = like {
        file.set_permissions(like.permissions())?;
        // A host that runs as root must not take the operator's file away. Where it may not give it, it stays ours.
        drop(fchown(&file, Some(like.uid()), Some(like.gid())));
    }
    file.write_all(content)?;
    file.sync_all()?;
    Ok(temporary)
}

fn put(temporary: &Path, path: &Path, expected: Option<&[u8]>, content: &[u8]) -> io::Result<Outcome> {
    let Some(expected) = expected else {
        return match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(Outcome::Replaced),
            Err(Errno::EXIST) => Ok(Outcome::Changed),
            Err(error) if is_unsupported(error) => {
                if path.try_exists()? {
                    return Ok(Outcome::Changed);
                }
                fs::rename(temporary, path).map(|()| Outcome::Replaced)
            }
            Err(error) => Err(error.into()),
        };
    };
    if content_of(path)?.as_deref() != Some(expected) {
        return Ok(Outcome::Changed);
    }
    put_instead_of(temporary, path, expected, content)
}

/// Exchanges the two files, and once more if what comes out of the path is not what was expected.
fn put_instead_of(temporary: &Path, path: &Path, expected: &[u8], content: &[u8]) -> io::Result<Outcome> {
    match exchange(temporary, path) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Outcome::Changed),
        Err(error) if is_unsupported(error) => return fs::rename(temporary, path).map(|()| Outcome::Replaced),
        Err(error) => return Err(error.into()),
    }
    let mut taken = content_of(temporary)?;
    if taken.as_deref() == Some(expected) {
        return Ok(Outcome::Replaced);
    }
    // What came out is somebody's edit from just now: back with it. Should yet another come out, that one
    // is newer and belongs there instead.
    let mut placed = Some(content.to_vec());
    for _ in 0..MAX_EXCHANGES {
        exchange(temporary, path)?;
        let back = content_of(temporary)?;
        if back == placed {
            return Ok(Outcome::Changed);
        }
        placed = std::mem::replace(&mut taken, back);
    }
    Err(io::Error::other("somebody else does not stop writing it"))
}

fn exchange(temporary: &Path, path: &Path) -> Result<(), Errno> {
    renameat_with(CWD, temporary, CWD, path, RenameFlags::EXCHANGE)
}

/// Whether the file system knows no such renaming.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn content_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    Ok(match read(path, MAX_BYTES)? {
        Reading::Missing => None,
        Reading::Content { bytes, .. } => Some(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(at_path: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (temporary, path) = (directory.path().join("new"), directory.path().join("file"));
        fs::write(&temporary, "host").unwrap();
        fs::write(&path, at_path).unwrap();
        (directory, temporary, path)
    }

    #[test]
    fn what_was_read_is_replaced() {
        let (_directory, temporary, path) = files("read");
        assert_eq!(put(&temporary, &path, Some(b"read"), b"host").unwrap(), Outcome::Replaced);
        assert_eq!(fs::read_to_string(&path).unwrap(), "host");
    }

    #[test]
    fn a_save_that_came_between_reading_and_exchanging_is_put_back() {
        let (_directory, temporary, path) = files("operator");
        assert_eq!(put(&temporary, &path, Some(b"read"), b"host").unwrap(), Outcome::Changed);
        // As if it had come after the comparison.
        assert_eq!(put_instead_of(&temporary, &path, b"read", b"host").unwrap(), Outcome::Changed);
        assert_eq!(fs::read_to_string(&path).unwrap(), "operator");
        assert_eq!(fs::read_to_string(&temporary).unwrap(), "host");
    }

    #[test]
    fn a_file_that_came_or_went_is_a_change() {
        let (_directory, temporary, path) = files("operator");
        assert_eq!(put(&temporary, &path, None, b"host").unwrap(), Outcome::Changed);
        fs::remove_file(&path).unwrap();
        assert_eq!(put_instead_of(&temporary, &path, b"read", b"host").unwrap(), Outcome::Changed);
        assert_eq!(put(&temporary, &path, None, b"host").unwrap(), Outcome::Replaced);
    }
}
