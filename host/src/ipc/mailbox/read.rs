//! One entry: what it asks, or what is wrong with it.

use std::fmt::Write;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::BorrowedFd;

use jiff::Timestamp;
use longshore_protocol::ipc::{MAX_FILE_BYTES, Petition, Unreadable};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::entry::{Facts, Found, Kind, Name};
use super::folder;

/// For how long something may be unfinished, in nanoseconds: some writers do not rename.
const UNFINISHED: u128 = 2_000_000_000;

/// Why an entry is no petition. The texts are for the agent and for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// No answer can have its name.
    #[error(
        "its name cannot be used: at most 200 bytes of UTF-8 without control characters, not starting with a dot; \
         no answer could be given"
    )]
    Name,
    /// It is not a file.
    #[error("it is {0}; only regular files are read")]
    Kind(Kind),
    /// It has a second name, maybe somewhere else.
    #[error("it has a second name (a hard link); only files with one name are read")]
    Linked,
    /// Its size in bytes.
    #[error("it has {0} bytes; at most {MAX_FILE_BYTES} are read")]
    TooLarge(u64),
    /// The host may not open it.
    #[error("it cannot be opened: {0}")]
    Closed(Errno),
    /// Its content is wrong.
    #[error("{0}")]
    Content(Unreadable),
}

impl Flaw {
    /// One word for logs, where nothing of the content may appear.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Kind(_) => "kind",
            Self::Linked => "hard link",
            Self::TooLarge(_) => "size",
            Self::Closed(_) => "not readable",
            Self::Content(Unreadable::NotJson(_)) => "not JSON",
            Self::Content(Unreadable::NotPetition(_)) => "no petition",
        }
    }

    /// Whether time may mend it, as the writer may not be done.
    fn may_pass(&self) -> bool {
        match self {
            Self::Name | Self::Linked | Self::Closed(_) | Self::Content(Unreadable::NotJson(_)) => true,
            Self::Kind(_) | Self::TooLarge(_) | Self::Content(Unreadable::NotPetition(_)) => false,
        }
    }
}

/// What became of looking at an entry.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    /// It is not there any more.
    Gone,
    /// It is being written; a later look will tell.
    Later,
    /// It asks for something.
    Petition { identity: String, petition: Petition },
    /// It will never ask for anything. The content if it was read.
    Bad { flaw: Flaw, bytes: Option<Vec<u8>> },
}

/// Looks at an entry, and opens it if it is safe to. What is known of it is brought up to date.
///
/// # Errors
/// What says nothing about the entry, such as too many open files.
pub(super) fn read(folder: BorrowedFd<'_>, found: &mut Found, now: Timestamp) -> Result<Reading, Errno> {
    let Some(facts) = folder::facts(folder, found.name.as_slice())? else { return Ok(Reading::Gone) };
    found.facts = facts;
    if let Some(flaw) = flaw_from_outside(&facts) {
        return Ok(judge(flaw, None, &facts, now));
    }
    // Should it have become a pipe since: non-blocking, so that nobody has to write to it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, found.name.as_slice(), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(Reading::Gone),
        Err(errno @ (Errno::ACCESS | Errno::PERM)) => return Ok(judge(Flaw::Closed(errno), None, &facts, now)),
        // A link, a socket, a device without a driver: it was exchanged just now.
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Ok(Reading::Later),
        Err(errno) => return Err(errno),
    };
    if !facts_of(&file)?.is_same(&facts) {
        return Ok(Reading::Later);
    }
    let mut bytes = Vec::new();
    if let Err(error) = (&file).take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes) {
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    if !facts_of(&file)?.is_same(&facts) || bytes.len() as u64 != facts.bytes {
        return Ok(Reading::Later);
    }
    if Name::of(&found.name) == Name::Unsafe {
        return Ok(judge(Flaw::Name, Some(bytes), &facts, now));
    }
    Ok(match Petition::read(&bytes) {
        Ok(petition) => Reading::Petition { identity: identity(&facts, &bytes), petition },
        Err(unreadable) => judge(Flaw::Content(unreadable), Some(bytes), &facts, now),
    })
}

fn facts_of(file: &File) -> Result<Facts, Errno> {
    Ok(Facts::of(&rustix::fs::fstat(file)?))
}

fn flaw_from_outside(facts: &Facts) -> Option<Flaw> {
    if facts.kind != Kind::Regular {
        Some(Flaw::Kind(facts.kind))
    } else if facts.bytes > MAX_FILE_BYTES as u64 {
        Some(Flaw::TooLarge(facts.bytes))
    } else if facts.linked {
        Some(Flaw::Linked)
    } else {
        None
    }
}

/// The kernel's time of change counts: the time of modification is whatever the agent says.
fn judge(flaw: Flaw, bytes: Option<Vec<u8>>, facts: &Facts, now: Timestamp) -> Reading {
    let age = now.as_nanosecond().abs_diff(facts.changed);
    if flaw.may_pass() && age < UNFINISHED { Reading::Later } else { Reading::Bad { flaw, bytes } }
}

/// What the host's own renamings do not change.
fn identity(facts: &Facts, bytes: &[u8]) -> String {
    let mut text = format!("{}-{}-{}-", facts.inode, facts.modified, facts.bytes);
    for byte in Sha256::digest(bytes) {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: Kind, bytes: u64, changed: i128) -> Facts {
        Facts { kind, inode: 1, bytes, linked: false, modified: changed, changed }
    }

    #[test]
    fn only_a_flaw_that_may_pass_is_given_time() {
        let now = Timestamp::from_second(1_000).unwrap();
        let young = facts(Kind::Regular, 1, now.as_nanosecond() - 1_999_999_999);
        let old = facts(Kind::Regular, 1, now.as_nanosecond() - 2_000_000_000);
        // A clock that was set back must not make a file wait until it has caught up.
        let ahead = facts(Kind::Regular, 1, now.as_nanosecond() + 3_600_000_000_000);
        let unfinished = Flaw::Content(Unreadable::NotJson(String::new()));
        let wrong = Flaw::Content(Unreadable::NotPetition(String::new()));
        assert_eq!(judge(unfinished.clone(), None, &young, now), Reading::Later);
        for (flaw, facts) in [(&unfinished, &old), (&unfinished, &ahead), (&wrong, &young)] {
            assert_eq!(
                judge(flaw.clone(), None, facts, now),
                Reading::Bad { flaw: flaw.clone(), bytes: None },
                "{facts:?}"
            );
        }
    }

    #[test]
    fn nothing_but_a_file_of_bounded_size_is_opened() {
        let limit = MAX_FILE_BYTES as u64;
        assert_eq!(flaw_from_outside(&facts(Kind::Regular, limit, 0)), None);
        assert_eq!(flaw_from_outside(&facts(Kind::Regular, limit + 1, 0)), Some(Flaw::TooLarge(limit + 1)));
        for kind in [Kind::Directory, Kind::Link, Kind::Pipe, Kind::Socket, Kind::Device] {
            assert_eq!(flaw_from_outside(&facts(kind, 0, 0)), Some(Flaw::Kind(kind)));
        }
        let linked = Facts { linked: true, ..facts(Kind::Regular, 1, 0) };
        assert_eq!(flaw_from_outside(&linked), Some(Flaw::Linked));
    }

    #[test]
    fn two_files_of_one_name_have_two_identities() {
        let file = facts(Kind::Regular, 2, 5);
        let one = identity(&file, b"{}");
        assert_eq!(one, identity(&Facts { changed: 9, ..file }, b"{}"));
        let others = [Facts { inode: 2, ..file }, Facts { modified: 6, ..file }, Facts { bytes: 3, ..file }];
        assert!(others.iter().all(|other| identity(other, b"{}") != one));
        assert_ne!(identity(&file, b"[]"), one);
    }
}
