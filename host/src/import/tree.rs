//! Folders and files from handle to handle, without following a link: agents write in both of the
//! places that an import touches.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

/// What a file is called while it is written: one that a crash left is taken away by the next import.
pub(super) const PART: &str = ".longshore-import.part";
/// How many entries of one folder are looked at.
const MAX_ENTRIES: usize = 100_000;

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Folder,
    File,
    /// A link, a pipe, a socket or a device.
    Other,
}

impl Folder {
    /// The folder at a path that a person named: links on the way are theirs.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it; `None` if there is none.
    pub(super) fn folder(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Self>> {
        let name = name.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Some(Self { handle, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(refused("is no folder (a symbolic link is not followed)")),
            Err(error) => Err(error.into()),
        }
    }

    /// The folder at the end of these names; `None` if one of them is not there.
    pub(super) fn descend<S: AsRef<OsStr>>(&self, names: &[S]) -> io::Result<Option<Self>> {
        let mut folder = self.again()?;
        for name in names {
            match folder.folder(name)? {
                Some(inner) => folder = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    /// The same, with what is missing made; it belongs to whom the folder around it belongs to.
    pub(super) fn make<S: AsRef<OsStr>>(&self, names: &[S]) -> io::Result<Self> {
        let mut folder = self.again()?;
        for name in names {
            let name = name.as_ref();
            folder = match folder.folder(name)? {
                Some(inner) => inner,
                None => {
                    match rustix::fs::mkdirat(&folder.handle, name, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let inner = folder.folder(name)?.ok_or_else(|| refused("was taken away again"))?;
                    folder.give(&inner.handle)?;
                    inner
                }
            };
        }
        Ok(folder)
    }

    /// A regular file in it, to read; `None` if there is none.
    pub(super) fn file(&self, name: impl AsRef<OsStr>) -> io::Result<Option<File>> {
        // NONBLOCK: opening a pipe must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name.as_ref(), flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused("is a symbolic link, which is not followed")),
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(refused("is no regular file")) }
    }

    /// The bytes of a regular file in it.
    pub(super) fn read(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most { Err(refused(&format!("is larger than {most} bytes"))) } else { Ok(Some(bytes)) }
    }

    /// What is in it, by name.
    pub(super) fn entries(&self) -> io::Result<Vec<(OsString, Sort)>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if found.len() == MAX_ENTRIES {
                return Err(refused(&format!("has more than {MAX_ENTRIES} entries")));
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
                kind = FileType::from_raw_mode(stat.st_mode);
            }
            let sort = match kind {
                FileType::Directory => Sort::Folder,
                FileType::RegularFile => Sort::File,
                _ => Sort::Other,
            };
            found.push((OsStr::from_bytes(name.to_bytes()).to_owned(), sort));
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    /// Puts a new file there, whole and durable or not at all; `false` if something has its name already.
    pub(super) fn put(&self, name: impl AsRef<OsStr>, content: &mut impl Read, mode: u32) -> io::Result<bool> {
        let name = name.as_ref();
        match rustix::fs::unlinkat(&self.handle, PART, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.handle, PART, flags, Mode::from_raw_mode(0o600))?);
        let written = io::copy(content, &mut file).and_then(|_| file.flush());
        let placed = written.and_then(|()| {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            self.give(&file)?;
            file.sync_all()?;
            self.place(name)
        });
        if !matches!(placed, Ok(true)) {
            // Best effort: the next import takes it away as well.
            let _ = rustix::fs::unlinkat(&self.handle, PART, AtFlags::empty());
        }
        rustix::fs::fsync(&self.handle)?;
        placed
    }

    fn place(&self, name: &OsStr) -> io::Result<bool> {
        match rustix::fs::renameat_with(&self.handle, PART, &self.handle, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // A file system without such renaming: a second name is as good, and never replaces either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::linkat(&self.handle, PART, &self.handle, name, AtFlags::empty()) {
                    Ok(()) => rustix::fs::unlinkat(&self.handle, PART, AtFlags::empty()).map(|()| true),
                    Err(Errno::EXIST) => Ok(false),
                    Err(error) => Err(error),
                }
                .map_err(Into::into)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// As root, gives something new to the folder's own owner: the agent has to be able to write it.
    fn give(&self, what: impl AsFd) -> io::Result<()> {
        if rustix::process::geteuid().is_root() {
            let owner = rustix::fs::fstat(&self.handle)?;
            rustix::fs::fchown(what, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?;
        }
        Ok(())
    }

    fn again(&self) -> io::Result<Self> {
        Ok(Self { handle: self.handle.as_fd().try_clone_to_owned()?, path: self.path.clone() })
    }
}

/// What of a file tells that it was written meanwhile: its inode, size and time.
pub(super) type Face = (u64, u64, i64, i64);

/// A file's face.
pub(super) fn face(file: &File) -> io::Result<Face> {
    let metadata = file.metadata()?;
    Ok((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

fn refused(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_replaced_and_a_torn_file_of_a_crash_goes_away() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::open(home.path()).unwrap();
        std::fs::write(home.path().join(PART), "torn").unwrap();
        assert!(folder.put("a", &mut "new".as_bytes(), 0o644).unwrap());
        assert!(!folder.put("a", &mut "other".as_bytes(), 0o644).unwrap());
        assert_eq!(std::fs::read_to_string(home.path().join("a")).unwrap(), "new");
        let names: Vec<_> = folder.entries().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn a_link_is_neither_read_nor_walked_nor_written_through() {
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(outside.path(), home.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), home.path().join("file")).unwrap();
        let folder = Folder::open(home.path()).unwrap();
        assert!(folder.folder("link").is_err() && folder.make(&["link", "x"]).is_err());
        assert!(folder.read("file", 100).is_err());
        assert!(!folder.put("file", &mut "x".as_bytes(), 0o644).unwrap());
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    }
}
