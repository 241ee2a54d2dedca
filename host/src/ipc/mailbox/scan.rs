//! Finds what lies in a mailbox, the oldest first, in bounded memory and a slice at a time.

use std::collections::BinaryHeap;
use std::os::fd::BorrowedFd;

use rustix::fs::Dir;
use rustix::io::Result;

use super::entry::{Found, Name};
use super::folder;
use crate::ipc::Folder;

/// How many files of a group are dealt with in one pass; the others wait.
pub const MAX_TAKEN: usize = 1000;
/// How many entries are looked at before others have their turn.
const SLICE: usize = 4096;
/// How many entries of a folder are looked at in one pass; the next one goes on from there.
const MAX_SCANNED: usize = 256 * 1024;

/// A look at both folders that is under way.
#[derive(Debug)]
pub struct Scan {
    /// The oldest so far, the newest of them on top.
    oldest: BinaryHeap<Found>,
    found: usize,
    seen: usize,
    /// How many entries of a folder are looked at.
    limit: usize,
    /// Where a folder has to be looked at further, in the order of [`Folder::ALL`].
    pub(super) resume: [Option<i64>; 2],
    current: usize,
    reader: Option<(Dir, usize)>,
}

/// Whether a scan is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to look at.
    More,
    /// Both folders have been looked at.
    Done,
}

impl Scan {
    pub(super) fn resuming(resume: [Option<i64>; 2]) -> Self {
        let limit = MAX_SCANNED;
        Self { oldest: BinaryHeap::new(), found: 0, seen: 0, limit, resume, current: 0, reader: None }
    }

    /// Looks at the next slice. `ignored` says what is known not to be of use.
    pub(super) fn step<'a>(
        &mut self,
        folder_of: impl Fn(Folder) -> Option<BorrowedFd<'a>>,
        ignored: impl Fn(&Found) -> bool,
    ) -> Result<Progress> {
        let mut left = SLICE;
        while let Some(&place) = Folder::ALL.get(self.current) {
            let Some(handle) = folder_of(place) else {
                self.advance(None);
                continue;
            };
            let (mut reader, mut scanned) = match self.reader.take() {
                Some(reader) => reader,
                None => (begin(handle, self.resume[self.current])?, 0),
            };
            let mut position = None;
            let over = loop {
                if left == 0 {
                    self.reader = Some((reader, scanned));
                    return Ok(Progress::More);
                }
                if scanned == self.limit {
                    break position;
                }
                let Some(entry) = reader.read() else { break None };
                let entry = entry?;
                position = Some(entry.offset());
                (left, scanned, self.seen) = (left - 1, scanned + 1, self.seen + 1);
                self.consider(place, handle, entry.file_name().to_bytes(), &ignored)?;
            };
            self.advance(over);
        }
        Ok(Progress::Done)
    }

    fn advance(&mut self, resume: Option<i64>) {
        self.resume[self.current] = resume;
        self.current += 1;
    }

    fn consider(
        &mut self,
        place: Folder,
        handle: BorrowedFd<'_>,
        name: &[u8],
        ignored: &impl Fn(&Found) -> bool,
    ) -> Result<()> {
        if Name::of(name) == Name::Other {
            return Ok(());
        }
        let Some(facts) = folder::facts(handle, name)? else { return Ok(()) };
        let found = Found { folder: place, name: name.to_owned(), facts };
        if ignored(&found) {
            return Ok(());
        }
        self.found += 1;
        self.oldest.push(found);
        if self.oldest.len() > MAX_TAKEN {
            self.oldest.pop();
        }
        Ok(())
    }

    /// How many entries there are to deal with, now or later.
    #[must_use]
    pub fn found(&self) -> usize {
        self.found
    }

    /// How many entries of any kind were looked at.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Whether a folder has more entries than are looked at in one pass.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.resume.iter().any(Option::is_some)
    }

    /// What is to be dealt with, the oldest first.
    #[must_use]
    pub fn into_oldest(self) -> Vec<Found> {
        self.oldest.into_sorted_vec()
    }
}

fn begin(handle: BorrowedFd<'_>, resume: Option<i64>) -> Result<Dir> {
    let mut reader = Dir::read_from(handle)?;
    if let Some(position) = resume {
        reader.seek(position)?;
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;

    fn scan(folder: &std::path::Path, resume: [Option<i64>; 2], limit: usize) -> (Vec<String>, [Option<i64>; 2]) {
        let handle = folder::open(rustix::fs::CWD, folder).unwrap();
        let mut scan = Scan { limit, ..Scan::resuming(resume) };
        while scan.step(|_| Some(handle.as_fd()), |found| found.folder == Folder::Tasks).unwrap() == Progress::More {}
        let resume = scan.resume;
        (scan.into_oldest().iter().map(Found::shown).collect(), resume)
    }

    #[test]
    fn a_folder_with_too_many_entries_is_gone_through_in_turns() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..50).map(|number| format!("{number:02}.json")).collect();
        for name in &names {
            fs::write(folder.path().join(name), "").unwrap();
            fs::write(folder.path().join(format!("{name}.tmp")), "").unwrap();
        }
        let (mut found, mut resume, mut turns) = (Vec::new(), [None; 2], 0);
        loop {
            let (some, next) = scan(folder.path(), resume, 30);
            found.extend(some);
            (resume, turns) = (next, turns + 1);
            if resume == [None; 2] {
                break;
            }
        }
        found.sort();
        assert_eq!((found, turns), (names, 4));
    }

    #[test]
    fn a_pile_is_looked_at_in_slices_and_does_not_hide_a_petition() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..SLICE + 10 {
            fs::write(folder.path().join(format!("{number}.json.tmp")), "").unwrap();
        }
        fs::write(folder.path().join("x.json"), "").unwrap();
        assert_eq!(scan(folder.path(), [None; 2], MAX_SCANNED), (vec!["x.json".to_owned()], [None; 2]));
    }
}
