//! One group's mailbox: folders in which the agent may have put anything, read without being led or held up.
//!
//! A pass is [`Mailbox::begin`], [`Mailbox::scan`] until it is done, then for each few entries
//! [`Mailbox::read`], the [`Grant`](super::Grant), and [`Mailbox::finish`]. All of it is blocking. What is
//! done at each step may be done again: a crash leaves a file in its folder or in `.taken`, from where the
//! next host puts it back, and it has the identity that it had. At most one pass of a group at a time.
//!
//! Nothing is opened that is not known to be a regular file, nothing is followed, and everything is named
//! relative to the handle of its folder. A file is removed only after it has been taken out of the agent's
//! reach and is still what was read.

mod answers;
mod entry;
mod folder;
mod holding;
mod quarantine;
mod read;
mod scan;
#[cfg(test)]
mod tests;

pub use self::entry::{Found, Kind};
pub use self::folder::replace;
pub use self::quarantine::{ERRORS, Quarantine};
pub use self::read::Flaw;
pub use self::scan::{MAX_TAKEN, Progress, Scan};

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use longshore_protocol::GroupId;
use longshore_protocol::ipc::Answer;
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use self::answers::{Answers, Upkeep};
use self::entry::Facts;
use self::holding::{Holding, Taking};
use self::quarantine::Record;
use self::read::Reading;
use super::{Folder, PetitionFile};

/// How many entries are read, granted and removed together.
pub const MAX_BATCH: usize = 32;
/// How many entries that cannot be removed are remembered.
const MAX_GIVEN_UP: usize = 1000;
/// How many entries of a group's folder are looked at for what a crash left.
const MAX_LEFTOVERS: usize = 4096;
/// How old something half written is before nobody can be writing it any more, in nanoseconds.
const LEFTOVER: i128 = 60_000_000_000;

/// One group's mailbox, and what is remembered of it between passes.
#[derive(Debug)]
pub struct Mailbox {
    /// The folder that holds the groups' folders.
    folder: PathBuf,
    group: GroupId,
    quarantine: Arc<Quarantine>,
    open: Option<Open>,
    holding: Held,
    resume: [Option<i64>; 2],
    /// What was answered and cannot be removed.
    given_up: HashMap<(Folder, Vec<u8>), Facts>,
    upkeep: Upkeep,
    warned: bool,
}

/// What `.taken` may hold between passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Files that a crash or an error left.
    Files,
    /// Directories that are not yet removed.
    Rests,
    /// Nothing.
    Nothing,
}

/// The handles of one pass.
#[derive(Debug)]
struct Open {
    messages: Option<OwnedFd>,
    tasks: Option<OwnedFd>,
    answers: Answers,
    holding: Holding,
}

impl Open {
    fn folder(&self, folder: Folder) -> Option<BorrowedFd<'_>> {
        match folder {
            Folder::Messages => self.messages.as_ref().map(AsFd::as_fd),
            Folder::Tasks => self.tasks.as_ref().map(AsFd::as_fd),
        }
    }
}

/// What a few entries turned out to be.
#[derive(Debug, Default)]
pub struct Batch {
    /// The petitions, in order.
    pub files: Vec<PetitionFile>,
    /// Where they were found: one for each file.
    pub found: Vec<Found>,
    /// What was refused, answered and removed, as it is no petition.
    pub unusable: Vec<Unusable>,
    /// How many have to be looked at again in a moment.
    pub later: usize,
}

/// An entry that was no petition.
#[derive(Debug)]
pub struct Unusable {
    /// Where it lay.
    pub folder: Folder,
    /// Its name, fit to be shown.
    pub name: String,
    /// What was wrong with it.
    pub flaw: Flaw,
}

impl Mailbox {
    /// The mailbox `<folder>/<group>`, which need not exist yet.
    #[must_use]
    pub fn new(folder: PathBuf, group: GroupId, quarantine: Arc<Quarantine>) -> Self {
        Self {
            folder,
            group,
            quarantine,
            open: None,
            // Who was here before may have crashed.
            holding: Held::Files,
            resume: [None; 2],
            given_up: HashMap::new(),
            upkeep: Upkeep::default(),
            warned: false,
        }
    }

    /// Begins a pass. `None` if the group has no folder.
    ///
    /// # Errors
    /// What the system says. Nothing is lost; the pass is to be begun again later.
    pub fn begin(&mut self, now: Timestamp) -> io::Result<Option<Scan>> {
        let Some(open) = self.open(now)? else {
            self.open = None;
            return Ok(None);
        };
        match self.holding {
            Held::Nothing => {}
            Held::Rests => {
                if open.holding.clear()? {
                    self.holding = Held::Nothing;
                }
            }
            Held::Files => {
                let clear = open.holding.recover(open.folder(Folder::Messages), open.folder(Folder::Tasks))?;
                self.holding = if clear { Held::Nothing } else { Held::Rests };
            }
        }
        open.answers.look_after(&mut self.upkeep, now)?;
        self.open = Some(open);
        Ok(Some(Scan::resuming(self.resume)))
    }

    fn open(&mut self, now: Timestamp) -> Result<Option<Open>, Errno> {
        let group = match folder::open(CWD, &self.folder).and_then(|all| folder::open(all.as_fd(), self.group.as_str()))
        {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        if self.open.is_none() {
            remove_leftovers(group.as_fd(), now)?;
        }
        Ok(Some(Open {
            messages: self.open_place(group.as_fd(), Folder::Messages)?,
            tasks: self.open_place(group.as_fd(), Folder::Tasks)?,
            answers: Answers::open(group.as_fd())?,
            holding: Holding::open(group.as_fd())?,
        }))
    }

    fn open_place(&mut self, group: BorrowedFd<'_>, place: Folder) -> Result<Option<OwnedFd>, Errno> {
        match folder::open(group, place.as_str()) {
            Ok(handle) => Ok(Some(handle)),
            Err(Errno::NOENT) => Ok(None),
            // One folder that cannot be read must not close the other.
            Err(errno @ (Errno::LOOP | Errno::NOTDIR | Errno::ACCESS)) => {
                if !self.warned {
                    tracing::warn!(folder = %place, error = %errno, "a folder of the mailbox cannot be read");
                    self.warned = true;
                }
                Ok(None)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Looks at some further entries.
    ///
    /// # Errors
    /// What the system says; the pass is over.
    pub fn scan(&mut self, scan: &mut Scan) -> io::Result<Progress> {
        let Some(open) = &self.open else { return Ok(Progress::Done) };
        let given_up = |found: &Found| {
            let known = self.given_up.get(&(found.folder, found.name.clone()));
            known.is_some_and(|facts| facts.is_same(&found.facts))
        };
        let progress = scan.step(|place| open.folder(place), given_up)?;
        if progress == Progress::Done {
            self.resume = scan.resume;
            if scan.is_cut() && !self.warned {
                tracing::warn!(
                    entries = scan.seen(),
                    "the mailbox has too many entries to look at all of them at once"
                );
                self.warned = true;
            }
        }
        Ok(progress)
    }

    /// Reads a few entries, [`MAX_BATCH`] at most. What is no petition is refused and removed here.
    ///
    /// # Errors
    /// What the system says; the pass is over, and what was not removed is found by the next.
    pub fn read(&mut self, found: Vec<Found>, now: Timestamp) -> io::Result<Batch> {
        let mut batch = Batch::default();
        for mut found in found {
            let Some(place) = self.open.as_ref().and_then(|open| open.folder(found.folder)) else { break };
            match read::read(place, &mut found, now)? {
                Reading::Gone => {}
                Reading::Later => batch.later += 1,
                Reading::Petition { identity, petition } => {
                    let name = found.shown();
                    batch.files.push(PetitionFile { folder: found.folder, name, identity, petition });
                    batch.found.push(found);
                }
                Reading::Bad { flaw, bytes } => {
                    self.refuse(&found, &flaw, bytes.as_deref(), now)?;
                    batch.unusable.push(Unusable { folder: found.folder, name: found.shown(), flaw });
                }
            }
        }
        Ok(batch)
    }

    /// Answers petitions and removes them: one answer for each.
    ///
    /// # Errors
    /// What the system says; the pass is over, and what was not removed is found by the next.
    pub fn finish(&mut self, found: &[Found], answers: &[Answer], now: Timestamp) -> io::Result<()> {
        for (found, answer) in found.iter().zip(answers) {
            self.answer(found, answer)?;
            if let Some(held) = self.take(found)? {
                self.dispose(&held)?;
            }
        }
        match &self.open {
            Some(open) => Ok(open.answers.look_after(&mut self.upkeep, now)?),
            None => Ok(()),
        }
    }

    fn refuse(&mut self, found: &Found, flaw: &Flaw, bytes: Option<&[u8]>, time: Timestamp) -> io::Result<()> {
        self.answer(found, &Answer::refused(flaw.to_string()))?;
        let Some(held) = self.take(found)? else { return Ok(()) };
        self.quarantine.keep(&Record { group: &self.group, found, flaw, bytes, time })?;
        self.dispose(&held)
    }

    fn answer(&mut self, found: &Found, answer: &Answer) -> io::Result<()> {
        match &self.open {
            Some(open) => open.answers.write(&found.name, answer, &mut self.upkeep),
            None => Ok(()),
        }
    }

    /// Takes the entry out of the agent's reach, if it is still the one that was read.
    fn take(&mut self, found: &Found) -> io::Result<Option<String>> {
        let Some(open) = &self.open else { return Ok(None) };
        let Some(place) = open.folder(found.folder) else { return Ok(None) };
        // Until it is removed, `.taken` holds it, whatever comes between.
        self.holding = Held::Files;
        let taking = open.holding.take(place, found)?;
        if !matches!(taking, Taking::Held(_)) {
            self.holding = Held::Rests;
        }
        match taking {
            Taking::Held(held) => Ok(Some(held)),
            Taking::Gone | Taking::Another => Ok(None),
            Taking::Denied(errno) => {
                tracing::warn!(folder = %found.folder, file = found.shown(), error = %errno, "cannot be removed");
                if self.given_up.len() >= MAX_GIVEN_UP {
                    self.given_up.clear();
                }
                self.given_up.insert((found.folder, found.name.clone()), found.facts);
                Ok(None)
            }
        }
    }

    fn dispose(&mut self, held: &str) -> io::Result<()> {
        if let Some(open) = &self.open {
            open.holding.dispose(held)?;
            // A look is cheap, and what was there before counts, too.
            self.holding = Held::Rests;
        }
        Ok(())
    }
}

/// Removes what a crashed host was writing. Others write here at the same time, so only if it is old.
fn remove_leftovers(group: BorrowedFd<'_>, now: Timestamp) -> Result<(), Errno> {
    for name in folder::names(group, MAX_LEFTOVERS)?.into_iter().filter(|name| folder::is_temporary(name)) {
        let facts = folder::facts(group, name.as_slice())?;
        if facts.is_some_and(|facts| now.as_nanosecond() - facts.changed > LEFTOVER) {
            let _gone = rustix::fs::unlinkat(group, name.as_slice(), AtFlags::empty());
        }
    }
    Ok(())
}
