//! What of a folder is not in another yet, and copying it there.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::tree::{Folder, PART, Sort};

/// The largest file that is copied.
const MAX_FILE: u64 = 256 * 1024 * 1024;
/// How much of one folder is copied.
const MAX_TOTAL: u64 = 8 * 1024 * 1024 * 1024;
/// How many files of one folder are looked at.
const MAX_FILES: usize = 200_000;
/// How deep.
const MAX_DEPTH: usize = 40;
/// How much is compared at once.
const CHUNK: usize = 64 * 1024;

/// A file by the names that lead to it.
pub(super) type Way = Vec<OsString>;

/// What a folder has and another has not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Survey {
    /// Files that are to be copied.
    pub(super) new: Vec<Way>,
    /// Their size.
    pub(super) bytes: u64,
    /// How many files are there already.
    pub(super) same: usize,
    /// Files that are there with other content.
    pub(super) differing: Vec<String>,
    /// What is not copied, and why.
    pub(super) left_out: Vec<(String, String)>,
}

impl Survey {
    /// Compares; `to` is `None` while it does not exist. What `skip` names at the top is passed over.
    pub(super) fn of(from: &Folder, to: Option<&Folder>, skip: &[&str]) -> Self {
        let mut survey = Self::default();
        survey.walk(from, to, &mut Vec::new(), skip);
        survey
    }

    fn walk(&mut self, from: &Folder, to: Option<&Folder>, way: &mut Way, skip: &[&str]) {
        let entries = match from.entries() {
            Ok(entries) => entries,
            Err(error) => return self.leave(way, &error.to_string()),
        };
        for (name, sort) in entries {
            if name == PART || (way.is_empty() && skip.iter().any(|skipped| name == *skipped)) {
                continue;
            }
            way.push(name);
            match sort {
                Sort::Other => self.leave(way, "is a link or no file"),
                Sort::Folder if way.len() >= MAX_DEPTH => self.leave(way, "lies too deep"),
                Sort::Folder => self.enter(from, to, way),
                Sort::File if self.new.len() + self.same >= MAX_FILES => self.leave(way, "is one of too many"),
                Sort::File => {
                    if let Err(error) = self.look(from, to, way) {
                        self.leave(way, &error.to_string());
                    }
                }
            }
            way.pop();
        }
    }

    fn enter(&mut self, from: &Folder, to: Option<&Folder>, way: &mut Way) {
        let Some(name) = way.last().cloned() else { return };
        let inner = to.map_or(Ok(None), |to| to.folder(&name));
        match (from.folder(&name), inner) {
            (Ok(Some(from)), Ok(to)) => self.walk(&from, to.as_ref(), way, &[]),
            (Ok(None), _) => {}
            (Err(error), _) => self.leave(way, &error.to_string()),
            (_, Err(error)) => self.leave(way, &format!("what is in its place here {error}")),
        }
    }

    fn look(&mut self, from: &Folder, to: Option<&Folder>, way: &Way) -> io::Result<()> {
        let Some(name) = way.last() else { return Ok(()) };
        let Some(mut file) = from.file(name)? else { return Ok(()) };
        let size = file.metadata()?.len();
        let here = match to {
            Some(to) => {
                to.file(name).map_err(|error| io::Error::other(format!("what is in its place here {error}")))?
            }
            None => None,
        };
        match here {
            Some(mut here) => {
                if here.metadata()?.len() == size && equal(&mut file, &mut here)? {
                    self.same += 1;
                } else {
                    self.differing.push(shown(way));
                }
            }
            None if size > MAX_FILE => self.leave(way, "is larger than 256 MiB"),
            None if self.bytes + size > MAX_TOTAL => self.leave(way, "is beyond the first 8 GiB"),
            None => {
                self.bytes += size;
                self.new.push(way.clone());
            }
        }
        Ok(())
    }

    fn leave(&mut self, way: &Way, why: &str) {
        self.left_out.push((shown(way), why.to_owned()));
    }
}

/// Copies files. Each is there whole or not at all, and nothing that is there is replaced: what was put there
/// meanwhile is the next survey's.
pub(super) fn copy(from: &Folder, to: &Folder, files: &[Way]) -> io::Result<()> {
    for way in files {
        let Some((name, folders)) = way.split_last() else { continue };
        let Some(file) = from.descend(folders)?.map(|folder| folder.file(name)).transpose()?.flatten() else {
            continue;
        };
        let mode = (file.metadata()?.permissions().mode() & 0o755) | 0o600;
        to.make(folders)?.put(name, &mut file.take(MAX_FILE), mode)?;
    }
    Ok(())
}

fn equal(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        let compared = right.get_mut(..count).unwrap_or_default();
        match other.read_exact(compared) {
            Ok(()) if left.get(..count) == Some(&*compared) => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn shown(way: &Way) -> String {
    way.iter().collect::<PathBuf>().display().to_string()
}
