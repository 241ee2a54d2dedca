//! The answers that lie in a group's folder, and how long they stay.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jiff::Timestamp;
use longshore_protocol::ipc::Answer;
use rustix::fs::AtFlags;
use rustix::io::Result;

use super::folder;

/// How many answers a group has at most.
pub(super) const MAX_ANSWERS: usize = 1000;
/// How many are written before the oldest are removed.
const CLEAN_AFTER: usize = 250;
/// How many stay then. One batch may come on top before it is the time again.
const KEPT: usize = MAX_ANSWERS - CLEAN_AFTER - super::MAX_BATCH;
/// How old an answer gets, in nanoseconds.
const MAX_AGE: i128 = 3_600_000_000_000;
/// How often their age is looked at, in nanoseconds.
const CLEAN_EVERY: i128 = 60_000_000_000;
/// How many are looked at in one go.
const MAX_LISTED: usize = 100_000;

/// A group's `answers`.
#[derive(Debug)]
pub(super) struct Answers {
    folder: OwnedFd,
}

/// What is remembered of them from one pass to the next.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    written: usize,
    /// When they were cleaned, in nanoseconds since 1970, and how many stayed.
    cleaned: Option<(i128, usize)>,
}

impl Answers {
    pub(super) fn open(group: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self { folder: folder::open_or_make(group, folder::ANSWERS, 0o755)? })
    }

    /// Writes an answer. `name` is the petition's; under an unsafe one none is written.
    pub(super) fn write(&self, name: &[u8], answer: &Answer, upkeep: &mut Upkeep) -> io::Result<()> {
        let Some(name) = folder::answer_name(name) else { return Ok(()) };
        upkeep.written += 1;
        folder::write_whole(self.folder.as_fd(), &name, &serde_json::to_vec(answer)?)
    }

    /// Removes those that are too old or too many, when it is time.
    pub(super) fn look_after(&self, upkeep: &mut Upkeep, now: Timestamp) -> Result<()> {
        let now = now.as_nanosecond();
        let is_time = match upkeep.cleaned {
            None => true,
            Some((_, kept)) if kept + upkeep.written == 0 => false,
            Some((cleaned, _)) => upkeep.written >= CLEAN_AFTER || now.abs_diff(cleaned) >= CLEAN_EVERY.unsigned_abs(),
        };
        if is_time {
            *upkeep = Upkeep { written: 0, cleaned: Some((now, self.clean(now)?)) };
        }
        Ok(())
    }

    fn clean(&self, now: i128) -> Result<usize> {
        let folder = self.folder.as_fd();
        let mut answers = Vec::new();
        for name in folder::names(folder, MAX_LISTED)? {
            if let Some(facts) = folder::facts(folder, name.as_slice())? {
                answers.push((facts.modified, name));
            }
        }
        answers.sort_unstable();
        let excess = answers.len().saturating_sub(KEPT);
        let mut kept = 0;
        for (number, (modified, name)) in answers.iter().enumerate() {
            if number < excess || now - modified > MAX_AGE {
                let _gone = rustix::fs::unlinkat(folder, name.as_slice(), AtFlags::empty());
            } else {
                kept += 1;
            }
        }
        Ok(kept)
    }
}
