//! The host's own edits of the file.
//!
//! Each reads what is there, changes only what it is about, and puts the result in the file's place
//! in one step. Formatting, order and every other field stay the operator's. Hosts and command lines
//! take turns by a lock; an operator's editor takes no lock, so the file is exchanged with the new one
//! and what comes out is compared with what was read: an edit that came between is put back and the
//! host's own is made again on top of it.

mod change;
mod replace;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use longshore_protocol::GroupId;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value as Json;
use thiserror::Error;

use self::change::{Change, changed};
use self::replace::{Outcome, replace};
use super::entry::Entry;
use super::problem::Problem;
use crate::follow::MAX_BYTES;
use crate::follow::read::{Reading, read};

/// How long an edit waits for others, and for a file that is being written.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a file that is not JSON may be half written.
const HALF_WRITTEN: Duration = Duration::from_millis(300);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// Which entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The entry of a chat.
    Chat(&'a str),
    /// The entry with a folder.
    Folder(&'a GroupId),
}

/// Why an edit was not made. The file is as it was.
#[derive(Debug, Error)]
pub enum EditError {
    /// Another edit holds the lock, or the file does not stop changing.
    #[error("the groups file is being edited; try again")]
    Busy,
    /// The file on disk is not one that can be edited.
    #[error("the groups file must be repaired by hand first: {0}")]
    Unreadable(Box<Problem>),
    /// The edit would bring these problems.
    #[error("{}", listed(.0))]
    Refused(Vec<Problem>),
    /// There is no such entry.
    #[error("`{0}` is not registered")]
    NotRegistered(String),
    /// The chat has an entry.
    #[error("the chat `{0}` is registered already")]
    AlreadyRegistered(String),
    /// The field cannot hold another one.
    #[error("`{0}` has a value that is not an object")]
    NotAnObject(String),
    /// The file system refused.
    #[error("could not edit `{}`", path.display())]
    Io {
        /// The file that it was about.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

fn listed(problems: &[Problem]) -> String {
    let mut text = String::from("the edit was refused");
    for problem in problems {
        // Positions are of a file that was never written, so they would mislead.
        let _ = write!(text, "; `{}`: {}", problem.path, problem.text);
    }
    text
}

/// The file, for editing. Every method blocks: it waits for a lock and for the disk, ten seconds at most.
#[derive(Debug, Clone)]
pub struct GroupsFile {
    path: PathBuf,
}

impl GroupsFile {
    /// The file at a path. It need not exist; its directory must.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Registers a chat. A missing file is created.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn add(&self, chat: &str, entry: &Entry) -> Result<(), EditError> {
        let entry = serde_json::to_value(entry).map_err(|error| self.io(io::Error::other(error)))?;
        self.apply(&Change::Add { chat, entry })
    }

    /// Sets a field of an entry, such as `["providerConfig", "codex", "model"]`; objects on the way are
    /// made. `null` takes the field away. An object on one line that gains a field is spread over several.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set(&self, target: Target<'_>, field: &[&str], value: Json) -> Result<(), EditError> {
        self.apply(&Change::Set { target, field, value })
    }

    /// Takes an entry away. The group's folder stays.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn remove(&self, target: Target<'_>) -> Result<(), EditError> {
        self.apply(&Change::Remove { target })
    }

    fn apply(&self, change: &Change<'_>) -> Result<(), EditError> {
        // Through a symbolic link, to replace the file and not the link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let began = Instant::now();
        let _lock = self.lock(&path, began)?;
        loop {
            let reading = read(&path, MAX_BYTES).map_err(|error| self.io(error))?;
            let (before, metadata) = match reading {
                Reading::Missing => (None, None),
                Reading::Content { bytes, metadata, .. } => (Some(bytes), Some(metadata)),
            };
            match changed(before.as_deref(), change) {
                Ok(after) if before.as_ref() == Some(&after) => return Ok(()),
                Ok(after) => {
                    let outcome = replace(&path, before.as_deref(), metadata.as_deref(), &after);
                    if outcome.map_err(|error| self.io(error))? == Outcome::Replaced {
                        return Ok(());
                    }
                }
                Err(EditError::Unreadable(_)) if began.elapsed() < HALF_WRITTEN => {}
                Err(error) => return Err(error),
            }
            if began.elapsed() > PATIENCE {
                return Err(EditError::Busy);
            }
            sleep(PAUSE);
        }
    }

    /// Waits for the turn to edit. The lock ends with the handle, and with the process. Its file stays:
    /// to delete it would give two editors a lock each.
    fn lock(&self, path: &Path, began: Instant) -> Result<File, EditError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let options = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
        let file = options.map_err(|error| self.io(error))?;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if began.elapsed() < PATIENCE => {
                    sleep(PAUSE);
                }
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => return Err(EditError::Busy),
                Err(error) => return Err(self.io(error.into())),
            }
        }
    }

    fn io(&self, source: io::Error) -> EditError {
        EditError::Io { path: self.path.clone(), source }
    }
}
