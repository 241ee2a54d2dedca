//! What is known of an entry without opening it. Pure.

use std::fmt;

use longshore_protocol::ipc::MAX_NAME_BYTES;
use rustix::fs::{FileType, Stat};

use crate::ipc::Folder;

/// How a petition's name ends.
const ENDING: &[u8] = b".json";

/// What kind of thing has a name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a petition has to be.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link, wherever it leads.
    Link,
    /// A named pipe: to open it may wait for ever.
    Pipe,
    /// A unix socket.
    Socket,
    /// A device, or something that this host does not know.
    Device,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regular => "a file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// What a name may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A petition; its answer has the same name.
    Petition(String),
    /// It ends like a petition's and no answer can have it.
    Unsafe,
    /// None of the host's business, such as a file that is still being written.
    Other,
}

impl Name {
    pub(super) fn of(bytes: &[u8]) -> Self {
        if !bytes.ends_with(ENDING) {
            return Self::Other;
        }
        match str::from_utf8(bytes) {
            Ok(name) if is_safe(name) => Self::Petition(name.to_owned()),
            _ => Self::Unsafe,
        }
    }
}

fn is_safe(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && !name.starts_with('.') && !name.contains('/') && !name.chars().any(char::is_control)
}

/// What the system says about an entry. Times are nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) inode: u64,
    pub(super) bytes: u64,
    /// Whether it has another name somewhere.
    pub(super) linked: bool,
    /// When its content changed, as its writer says, who may say anything.
    pub(super) modified: i128,
    /// When anything about it changed, as the kernel says.
    pub(super) changed: i128,
}

impl Facts {
    pub(super) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::Regular,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Pipe,
            FileType::Socket => Kind::Socket,
            _ => Kind::Device,
        };
        Self {
            kind,
            inode: stat.st_ino,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            linked: kind != Kind::Directory && stat.st_nlink > 1,
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether both are the same thing with the same content. A renaming makes no other thing of it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let content = |facts: &Self| (facts.kind == Kind::Regular).then_some((facts.bytes, facts.modified));
        (self.kind, self.inode, content(self)) == (other.kind, other.inode, content(other))
    }
}

fn nanoseconds(seconds: i64, nanoseconds: impl Into<i128>) -> i128 {
    i128::from(seconds) * 1_000_000_000 + nanoseconds.into()
}

/// An entry that was found in a mailbox and has to be dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub(super) folder: Folder,
    pub(super) name: Vec<u8>,
    pub(super) facts: Facts,
}

impl Found {
    fn key(&self) -> (i128, &[u8], Folder) {
        (self.facts.modified, &self.name, self.folder)
    }

    /// Its name for people, whatever bytes it has.
    pub(super) fn shown(&self) -> String {
        match Name::of(&self.name) {
            Name::Petition(name) => name,
            _ => self.name.escape_ascii().to_string(),
        }
    }
}

/// The oldest is the least; names decide between equals.
impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_petitions_if_an_answer_can_have_it() {
        let long = format!("{}.json", "x".repeat(MAX_NAME_BYTES));
        let longest = format!("{}.json", "x".repeat(MAX_NAME_BYTES - 5));
        for good in ["1767225600000-k3x9qa.json", "ä b.json", "x..json", "-rf.json", longest.as_str()] {
            assert_eq!(Name::of(good.as_bytes()), Name::Petition(good.to_owned()));
        }
        for bad in [".json", "..json", ".x.json", "a\nb.json", "a\u{1b}.json", "a\u{85}.json", long.as_str()] {
            assert_eq!(Name::of(bad.as_bytes()), Name::Unsafe, "{bad:?}");
        }
        assert_eq!(Name::of(b"\xff.json"), Name::Unsafe);
        for other in ["", "x", "x.json.tmp", "json", "x.JSON", ".x.swp"] {
            assert_eq!(Name::of(other.as_bytes()), Name::Other, "{other:?}");
        }
    }
}
