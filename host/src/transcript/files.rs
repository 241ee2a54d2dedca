//! The providers' own files, in folders where agents write.
//!
//! From the installation's folder to each file every step goes by a handle and follows no link; only regular files
//! are read, without waiting for anybody, up to a bound. What an agent plants costs the time to skip it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use jiff::Timestamp;
use longshore_protocol::{GroupId, ProviderKind};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// How many folders below the first one are looked into.
const MAX_DEPTH: usize = 5;
/// How many entries of folders are looked at.
const MAX_ENTRIES: usize = 50_000;
/// How many files are read, the newest.
const MAX_FILES: usize = 2_000;
/// How many bytes are read of all files together.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// The longest line that is looked at; Codex writes its instructions in one line of some 20 kB.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// What was left out, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Whether there are more files, or more in them, than are read.
    pub beyond_bounds: bool,
    /// Lines that are too long.
    pub long_lines: u64,
    /// Files and folders that are links, something else than files, or cannot be read.
    pub unreadable: u64,
}

/// A file that can be read.
struct Found {
    modified: i64,
    /// The names that lead to it.
    path: Vec<Vec<u8>>,
}

/// Hands every line of a group's files of one provider to `each`, without its end: the files that were written to at
/// `since` or later, the oldest first. A group that has none has no lines. Blocking.
///
/// # Errors
/// When the installation's own folder cannot be opened.
pub fn lines(
    root: &Path,
    group: &GroupId,
    provider: ProviderKind,
    since: Option<Timestamp>,
    each: &mut dyn FnMut(&[u8]),
) -> io::Result<LeftOut> {
    let parts: [&str; 5] = match provider {
        ProviderKind::Claude => ["data", "sessions", group.as_str(), ".claude", "projects"],
        ProviderKind::Codex => ["data", "codex", group.as_str(), ".codex", "sessions"],
    };
    let mut left_out = LeftOut::default();
    let mut folder = OwnedFd::from(File::open(root)?);
    for part in parts {
        folder = match open_folder(folder.as_fd(), part.as_bytes()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(left_out),
            Err(_) => {
                left_out.unreadable += 1;
                return Ok(left_out);
            }
        };
    }
    let mut walk = Walk { found: Vec::new(), entries: MAX_ENTRIES, left_out };
    walk.folder(folder.as_fd(), &mut Vec::new());
    let Walk { mut found, mut left_out, .. } = walk;
    found.retain(|file| since.is_none_or(|since| file.modified >= since.as_second()));
    found.sort_by(|one, other| (other.modified, &other.path).cmp(&(one.modified, &one.path)));
    left_out.beyond_bounds |= found.len() > MAX_FILES;
    found.truncate(MAX_FILES);
    let mut budget = MAX_BYTES;
    for file in found.iter().rev() {
        match open_file(folder.as_fd(), &file.path) {
            Ok(file) => read(file, &mut budget, &mut left_out, each),
            Err(_) => left_out.unreadable += 1,
        }
    }
    Ok(left_out)
}

struct Walk {
    found: Vec<Found>,
    /// How many entries may still be looked at.
    entries: usize,
    left_out: LeftOut,
}

impl Walk {
    fn folder(&mut self, folder: BorrowedFd<'_>, path: &mut Vec<Vec<u8>>) {
        let Ok(entries) = Dir::read_from(folder) else {
            self.left_out.unreadable += 1;
            return;
        };
        for entry in entries {
            let Ok(entry) = entry else { return };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if self.entries == 0 {
                self.left_out.beyond_bounds = true;
                return;
            }
            self.entries -= 1;
            path.push(name.to_owned());
            self.entry(folder, path);
            path.pop();
        }
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, path: &mut Vec<Vec<u8>>) {
        let Some(name) = path.last() else { return };
        let is_wanted = name.ends_with(b".jsonl");
        let Ok(stat) = rustix::fs::statat(folder, name.as_slice(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else {
            self.left_out.unreadable += 1;
            return;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if path.len() < MAX_DEPTH => match open_folder(folder, name) {
                Ok(inner) => self.folder(inner.as_fd(), path),
                Err(_) => self.left_out.unreadable += 1,
            },
            FileType::Directory => self.left_out.beyond_bounds = true,
            FileType::RegularFile if is_wanted => {
                self.found.push(Found { modified: stat.st_mtime, path: path.clone() });
            }
            _ if is_wanted => self.left_out.unreadable += 1,
            _ => {}
        }
    }
}

fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens what was found, step by step again: it may be something else by now.
fn open_file(folder: BorrowedFd<'_>, path: &[Vec<u8>]) -> io::Result<File> {
    let Some((name, folders)) = path.split_last() else { return Err(io::ErrorKind::NotFound.into()) };
    let mut parent = folder.try_clone_to_owned()?;
    for folder in folders {
        parent = open_folder(parent.as_fd(), folder)?;
    }
    // NONBLOCK: opening a FIFO that an agent planted must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&parent, name.as_slice(), flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

fn read(file: File, budget: &mut u64, left_out: &mut LeftOut, each: &mut dyn FnMut(&[u8])) {
    let mut reader = BufReader::new(file.take(*budget));
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line that is too long is read away in pieces.
        let read = match (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) => {
                left_out.unreadable += 1;
                break;
            }
        };
        if line.pop_if(|last| *last == b'\n').is_none() && read == MAX_LINE {
            left_out.long_lines += 1;
            if skip_line(&mut reader).is_err() {
                break;
            }
        } else if !line.is_empty() {
            each(&line);
        }
    }
    *budget = reader.get_ref().limit();
    left_out.beyond_bounds |= *budget == 0;
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (skipped, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(skipped);
        if ended {
            return Ok(());
        }
    }
}
