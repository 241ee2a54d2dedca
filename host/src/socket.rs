//! Unix sockets that the host listens on: a file that goes away with its owner, at a path of any length.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// What is added to a socket's name until it may be found.
const UNFINISHED: &str = ".new";
/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// A socket file that goes away with this value, unless another has taken its place.
pub struct SocketFile {
    directory: File,
    name: OsString,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`, which only `owner`, a user and a group id, can connect to (without one: we).
    ///
    /// Its directory is made with mode 0755 if there is none. An older socket is replaced by rename,
    /// so there is always one, and never one with other permissions than the final ones.
    ///
    /// # Errors
    /// The directory or the socket cannot be made or given to `owner`.
    pub fn bind(path: &Path, owner: Option<(u32, u32)>) -> io::Result<(Self, UnixListener)> {
        let (directory, name) = split(path)?;
        make_directory(directory)?;
        let mut unfinished = name.to_owned();
        unfinished.push(UNFINISHED);
        let handle = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let directory = File::from(handle);
        ignore_missing(rustix::fs::unlinkat(&directory, &unfinished, AtFlags::empty()))?;

        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // `sun_path` ends after 107 bytes; a path through the handle is always short enough.
        let short = through(&directory, &unfinished);
        rustix::net::bind(&socket, &SocketAddrUnix::new(&short)?)?;
        let finished = finish(&directory, &unfinished, owner).and_then(|identity| {
            rustix::net::listen(&socket, BACKLOG)?;
            rustix::fs::renameat(&directory, &unfinished, &directory, name)?;
            Ok(identity)
        });
        match finished {
            Ok(identity) => Ok((
                Self { directory, name: name.to_owned(), path: path.to_owned(), identity },
                UnixListener::from(socket),
            )),
            Err(error) => {
                ignore_missing(rustix::fs::unlinkat(&directory, &unfinished, AtFlags::empty()))?;
                Err(error)
            }
        }
    }

    /// The socket's path on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that stays is replaced at the next start, so a failure here has no consequence.
        if identity(&self.directory, &self.name).is_ok_and(|identity| identity == self.identity) {
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Connects to the socket at `path`, however long that is.
///
/// # Errors
/// As `connect(2)`.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (directory, name) = split(path)?;
    let handle = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(through(&File::from(handle), name))
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent().zip(path.file_name()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// A path to `name` that is short enough for a socket's address.
fn through(directory: &File, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)
}

fn make_directory(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o755).create(directory) {
        // Once more, because the umask may have taken away what the container's user needs.
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Before anything listens, nobody can connect: the time to settle who may.
fn finish(directory: &File, name: &OsStr, owner: Option<(u32, u32)>) -> io::Result<(u64, u64)> {
    fs::set_permissions(through(directory, name), Permissions::from_mode(0o600))?;
    if let Some((user, group)) = owner {
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        rustix::fs::chownat(directory, name, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    identity(directory, name)
}

fn identity(directory: &File, name: &OsStr) -> io::Result<(u64, u64)> {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((found.st_dev, found.st_ino))
}

fn ignore_missing(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Err(error) if error != Errno::NOENT => Err(error.into()),
        _ => Ok(()),
    }
}
