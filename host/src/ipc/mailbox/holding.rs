//! Where a file goes before it is removed: out of the agent's reach, so that what is removed is what was
//! read and not what the agent put in its place meanwhile.
//!
//! `.taken` in a group's folder is the host's alone. `messages:<name>` and `tasks:<name>` say where a file
//! came from; one that is found at start was left by a crash and is put back. `rest:…` is a directory that
//! is being removed, a bounded number of entries at a time: its subdirectories are moved up beside it, so
//! no depth is too great.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::AtFlags;
use rustix::io::{Errno, Result};
use uuid::Uuid;

use super::entry::{Found, Name};
use super::folder;
use crate::ipc::Folder;

const HOLDING: &str = ".taken";
const REST: &str = "rest:";
const UNSAFE: &str = "unsafe:";
/// How many entries of `.taken` are looked at in one go.
const MAX_HELD: usize = 4096;
/// How many entries of directories are removed in one go.
pub(super) const MAX_CLEARED: usize = 4096;

/// What came of taking an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taking {
    /// It is held under this name, and is what was read.
    Held(String),
    /// It was gone already.
    Gone,
    /// It was another one and is back in its place, unless yet another was there.
    Another,
    /// The system does not let the host have it.
    Denied(Errno),
}

/// A group's `.taken`.
#[derive(Debug)]
pub(super) struct Holding {
    folder: OwnedFd,
}

impl Holding {
    pub(super) fn open(group: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { folder: folder::open_or_make(group, HOLDING, 0o700)? })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Takes the entry out of its folder if it is still what was read.
    pub(super) fn take(&self, from: BorrowedFd<'_>, found: &Found) -> Result<Taking> {
        let held = held_name(found);
        match self.fetch(from, &found.name, &held) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Taking::Gone),
            Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::BUSY)) => return Ok(Taking::Denied(errno)),
            Err(errno) => return Err(errno),
        }
        match folder::facts(self.fd(), held.as_str())? {
            Some(facts) if facts.is_same(&found.facts) => Ok(Taking::Held(held)),
            _ => {
                self.put_back(&held, from, &found.name)?;
                Ok(Taking::Another)
            }
        }
    }

    fn fetch(&self, from: BorrowedFd<'_>, name: &[u8], held: &str) -> Result<()> {
        let mut fetched = rustix::fs::renameat(from, name, self.fd(), held);
        if fetched == Err(Errno::ACCESS) && folder::open_up(from, name).is_ok() {
            // To move a directory is to write its `..`.
            fetched = rustix::fs::renameat(from, name, self.fd(), held);
        }
        match fetched {
            // Something of the same name could not be removed.
            Err(Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.set_aside(self.fd(), held.as_bytes())?;
                rustix::fs::renameat(from, name, self.fd(), held)
            }
            other => other,
        }
    }

    /// Puts back what was taken. Where the agent has written anew under the name, that counts instead.
    fn put_back(&self, held: &str, to: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        match folder::rename_to_free(self.fd(), held.as_bytes(), to, name) {
            Err(Errno::EXIST) => self.dispose(held).map(|_| ()),
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Removes what is held: a file at once, of a directory what [`MAX_CLEARED`] allows. Whether nothing is
    /// left; what the system does not let go of stays, out of everybody's way.
    pub(super) fn dispose(&self, held: &str) -> Result<bool> {
        match rustix::fs::unlinkat(self.fd(), held, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::ISDIR) => {
                self.set_aside(self.fd(), held.as_bytes())?;
                self.clear()
            }
            Err(Errno::ACCESS | Errno::PERM) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Puts back what a crash left here and removes what has no place to go. Whether nothing is left.
    pub(super) fn recover(&self, messages: Option<BorrowedFd<'_>>, tasks: Option<BorrowedFd<'_>>) -> Result<bool> {
        let mut clear = true;
        for held in folder::names(self.fd(), MAX_HELD)? {
            let Ok(held) = String::from_utf8(held) else { continue };
            match origin(&held) {
                Some((kept, name)) => {
                    let place = match kept {
                        Folder::Messages => messages,
                        Folder::Tasks => tasks,
                    };
                    // Without its folder it waits here.
                    if let Some(place) = place {
                        self.put_back(&held, place, name.as_bytes())?;
                    }
                }
                None if held.starts_with(REST) => clear = false,
                None => clear &= self.dispose(&held)?,
            }
        }
        Ok(clear || self.clear()?)
    }

    /// Goes on removing directories. Whether nothing is left of them.
    pub(super) fn clear(&self) -> Result<bool> {
        let mut budget = MAX_CLEARED;
        loop {
            let mut rests = folder::names(self.fd(), MAX_HELD)?;
            rests.retain(|name| name.starts_with(REST.as_bytes()));
            let mut removed = 0;
            for rest in &rests {
                // One that cannot be removed must not keep the others, nor the mailbox, waiting.
                removed += self.empty(rest, budget - removed).unwrap_or_else(|errno| {
                    tracing::debug!(error = %errno, "a directory of an agent cannot be removed");
                    0
                });
                if removed >= budget {
                    return Ok(false);
                }
            }
            if removed == 0 {
                return Ok(rests.is_empty());
            }
            budget -= removed;
        }
    }

    /// Removes entries of a directory of this folder, and itself with the last. How many, itself counted.
    fn empty(&self, rest: &[u8], budget: usize) -> Result<usize> {
        let inner = match folder::open(self.fd(), rest) {
            Err(Errno::ACCESS) => {
                folder::open_up(self.fd(), rest)?;
                folder::open(self.fd(), rest)?
            }
            other => other?,
        };
        let names = folder::names(inner.as_fd(), budget)?;
        let mut removed = 0;
        for name in &names {
            let unlink = || rustix::fs::unlinkat(&inner, name.as_slice(), AtFlags::empty());
            let unlinked = match unlink() {
                Err(Errno::ACCESS) => folder::open_up(self.fd(), rest).and_then(|()| unlink()),
                other => other,
            };
            match unlinked {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => self.set_aside(inner.as_fd(), name)?,
                Err(errno) => return Err(errno),
            }
            removed += 1;
        }
        match rustix::fs::unlinkat(self.fd(), rest, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(removed + 1),
            Err(Errno::NOTEMPTY) => Ok(removed),
            Err(errno) => Err(errno),
        }
    }

    /// Removes a directory if it is empty; otherwise it becomes a rest.
    fn set_aside(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR) => return rustix::fs::unlinkat(parent, name, AtFlags::empty()),
            Err(_) => {}
        }
        let rest = format!("{REST}{}", Uuid::new_v4().simple());
        match rustix::fs::renameat(parent, name, self.fd(), rest.as_str()) {
            Err(Errno::ACCESS) => {
                folder::open_up(parent, name)?;
                rustix::fs::renameat(parent, name, self.fd(), rest.as_str())
            }
            other => other,
        }
    }
}

fn held_name(found: &Found) -> String {
    match Name::of(&found.name) {
        Name::Petition(name) => format!("{}:{name}", found.folder),
        Name::Unsafe | Name::Other => format!("{UNSAFE}{}", Uuid::new_v4().simple()),
    }
}

fn origin(held: &str) -> Option<(Folder, &str)> {
    let (place, name) = held.split_once(':')?;
    let place = Folder::ALL.into_iter().find(|folder| folder.as_str() == place)?;
    matches!(Name::of(name.as_bytes()), Name::Petition(_)).then_some((place, name))
}
