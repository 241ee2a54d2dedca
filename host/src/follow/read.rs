//! Reads a file whole: bounded, and never stuck on something that is no file.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What is at the file's path.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Nothing.
    Missing,
    /// A file; one byte more than the limit when it is too large.
    Content {
        bytes: Vec<u8>,
        /// From before its bytes were read.
        metadata: Box<Metadata>,
    },
}

/// What changes when a file does, short of reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads what is there now, up to so many bytes and one more.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Reading> {
    // Without waiting: opening a FIFO would last until somebody writes to it.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Reading::Missing),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(limit));
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Reading::Content { bytes, metadata: Box::new(metadata) })
}
