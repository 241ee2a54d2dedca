//! What no group can use, kept for the operator: `errors` beside the groups' folders.
//!
//! `<group>-<name>` has the content if it was read, `<group>-<name>.reason.txt` says what it was. Both are
//! written by the host: an agent that still has its file open writes somewhere else.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use longshore_protocol::GroupId;
use rustix::fs::{AtFlags, CWD};

use super::entry::{Found, Name};
use super::folder;
use super::read::Flaw;

/// The folder's name, beside those of the groups.
pub const ERRORS: &str = "errors";
/// How many records are kept, each of two files at most.
const MAX_RECORDS: usize = 500;
/// How many bytes they may have.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How many files are looked at when the folder is read.
const MAX_LISTED: usize = 100_000;
/// What a name may have so that a counter and the reason's ending have room in 255 bytes.
const MAX_STEM_BYTES: usize = 230;
const REASON: &str = ".reason.txt";

/// Keeps the newest of what could not be used. One for all groups.
#[derive(Debug)]
pub struct Quarantine {
    /// The folder that holds the groups' folders.
    folder: PathBuf,
    records: Mutex<Option<Records>>,
}

/// What lies in the folder, the oldest first.
#[derive(Debug, Default)]
struct Records {
    order: VecDeque<String>,
    bytes: BTreeMap<String, u64>,
    total: u64,
}

/// One entry that was no petition.
pub(super) struct Record<'a> {
    pub(super) group: &'a GroupId,
    pub(super) found: &'a Found,
    pub(super) flaw: &'a Flaw,
    /// The content, if it was read.
    pub(super) bytes: Option<&'a [u8]>,
    pub(super) time: Timestamp,
}

impl Quarantine {
    /// For the folder that holds the groups' folders.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, records: Mutex::new(None) }
    }

    /// Writes the record, and removes the oldest ones beyond the limits. Never overwrites.
    pub(super) fn keep(&self, record: &Record<'_>) -> io::Result<()> {
        let errors = open(&self.folder)?;
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let records = match &mut *records {
            Some(records) => records,
            none => none.insert(Records::read(&errors)?),
        };
        let reason = reason(record);
        let stem = records.claim(&errors, &stem(record), reason.as_bytes())?;
        let mut bytes = reason.len() as u64;
        if let Some(content) = record.bytes {
            folder::write_new(errors.as_fd(), &stem, content, 0o600)?;
            bytes += content.len() as u64;
        }
        records.add(stem, bytes);
        while let Some(oldest) = records.excess() {
            for name in [oldest.clone(), oldest + REASON] {
                let _gone = rustix::fs::unlinkat(&errors, name, AtFlags::empty());
            }
        }
        Ok(())
    }
}

impl Records {
    fn read(errors: &OwnedFd) -> io::Result<Self> {
        let mut found: BTreeMap<String, (i128, u64)> = BTreeMap::new();
        for name in folder::names(errors.as_fd(), MAX_LISTED)? {
            let Ok(name) = String::from_utf8(name) else { continue };
            let Some(facts) = folder::facts(errors.as_fd(), name.as_str())? else { continue };
            let stem = name.strip_suffix(REASON).unwrap_or(&name).to_owned();
            let (changed, bytes) = found.entry(stem).or_default();
            *changed = facts.changed.max(*changed);
            *bytes += facts.bytes;
        }
        let mut ordered: Vec<_> = found.into_iter().collect();
        ordered.sort_by_key(|(_, (changed, _))| *changed);
        let mut records = Self::default();
        for (stem, (_, bytes)) in ordered {
            records.add(stem, bytes);
        }
        Ok(records)
    }

    /// Writes the reason under the first name that is free.
    fn claim(&self, errors: &OwnedFd, stem: &str, reason: &[u8]) -> io::Result<String> {
        let mut name = stem.to_owned();
        for counter in 2..=MAX_LISTED {
            if !self.bytes.contains_key(&name) {
                match folder::write_new(errors.as_fd(), &format!("{name}{REASON}"), reason, 0o600) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    other => return other.map(|()| name),
                }
            }
            name = format!("{stem}.{counter}");
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("too many records are called `{stem}`")))
    }

    fn add(&mut self, stem: String, bytes: u64) {
        self.total += bytes;
        self.order.push_back(stem.clone());
        self.bytes.insert(stem, bytes);
    }

    /// The oldest record, which is forgotten, if there are too many.
    fn excess(&mut self) -> Option<String> {
        if self.order.len() <= MAX_RECORDS && self.total <= MAX_BYTES {
            return None;
        }
        let oldest = self.order.pop_front()?;
        self.total -= self.bytes.remove(&oldest).unwrap_or(0);
        Some(oldest)
    }
}

fn open(folder: &Path) -> rustix::io::Result<OwnedFd> {
    folder::open_or_make(folder::open(CWD, folder)?.as_fd(), ERRORS, 0o700)
}

fn stem(record: &Record<'_>) -> String {
    let name = match Name::of(&record.found.name) {
        Name::Petition(name) => name,
        Name::Unsafe | Name::Other => "unusable-name.json".to_owned(),
    };
    let mut stem = format!("{}-{name}", record.group);
    stem.truncate(stem.floor_char_boundary(MAX_STEM_BYTES));
    stem
}

fn reason(record: &Record<'_>) -> String {
    let facts = &record.found.facts;
    let mut text = String::new();
    for (label, value) in [
        ("time", &record.time as &dyn std::fmt::Display),
        ("group", record.group),
        ("folder", &record.found.folder),
        ("name", &record.found.shown()),
        ("type", &facts.kind),
        ("bytes", &facts.bytes),
        ("reason", record.flaw),
    ] {
        let _infallible = writeln!(text, "{label}: {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::entry::{Facts, Kind};
    use super::*;
    use crate::ipc::Folder;

    fn keep(quarantine: &Quarantine, name: &[u8], bytes: Option<&[u8]>) {
        let facts = Facts { kind: Kind::Regular, inode: 1, bytes: 5, linked: false, modified: 0, changed: 0 };
        quarantine
            .keep(&Record {
                group: &"family".parse().unwrap(),
                found: &Found { folder: Folder::Tasks, name: name.to_owned(), facts },
                flaw: &Flaw::Linked,
                bytes,
                time: Timestamp::UNIX_EPOCH,
            })
            .unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder.join(ERRORS)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_overwritten_and_the_reason_says_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        keep(&Quarantine::new(folder.path().into()), b"x.json", Some(b"first"));
        // After a restart, too.
        let quarantine = Quarantine::new(folder.path().into());
        keep(&quarantine, b"x.json", Some(b"again"));
        keep(&quarantine, b"a\n\xff.json", None);
        keep(
            &quarantine,
            "ä".repeat(97).as_bytes().iter().chain(b".json").copied().collect::<Vec<_>>().as_slice(),
            None,
        );
        let kept = names(folder.path());
        assert_eq!(kept[0], "family-unusable-name.json.reason.txt");
        assert_eq!(
            kept[1..5],
            ["x.json", "x.json.2", "x.json.2.reason.txt", "x.json.reason.txt"].map(|n| format!("family-{n}"))
        );
        let read = |name: &str| fs::read_to_string(folder.path().join(ERRORS).join(name)).unwrap();
        assert_eq!(read("family-x.json"), "first");
        insta::assert_snapshot!(read("family-unusable-name.json.reason.txt"), @r"
        time: 1970-01-01T00:00:00Z
        group: family
        folder: tasks
        name: a\n\xff.json
        type: a file
        bytes: 5
        reason: it has a second name (a hard link); only files with one name are read
        ");
    }

    #[test]
    fn the_oldest_records_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(folder.path().into());
        for number in 0..MAX_RECORDS + 3 {
            keep(&quarantine, format!("{number:04}.json").as_bytes(), Some(b"12345"));
        }
        let kept = names(folder.path());
        assert_eq!(kept.len(), 2 * MAX_RECORDS);
        assert_eq!(kept[0], "family-0003.json");
        let large = vec![b'x'; 8 * 1024 * 1024];
        for name in ["a.json", "b.json", "c.json"] {
            keep(&quarantine, name.as_bytes(), Some(&large));
        }
        assert_eq!(names(folder.path()), ["family-c.json", "family-c.json.reason.txt"]);
    }
}
