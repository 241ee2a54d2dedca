//! Which version of each group is served when entries compete for a folder or for being main.
//!
//! An earlier good version is never taken away by somebody else's entry; among new ones the first in
//! the file wins. So an entry that loses keeps what it had, and what it had may push out a newer claim
//! in turn. Each step takes one new version away for good, so it ends after as many steps as entries.

use std::collections::HashMap;
use std::sync::Arc;

use super::Group;

/// One chat of the file.
#[derive(Debug)]
pub(super) struct Candidate {
    /// What the file says, if that is without a mistake.
    pub(super) fresh: Option<Group>,
    /// What was served before.
    pub(super) old: Option<Arc<Group>>,
}

/// What only one group can have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Claim {
    /// A folder, in lower case: some file systems know no other.
    Folder(String),
    /// Being main, because the entry says so.
    Main,
}

/// A candidate whose new version cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    /// The candidate's index.
    pub(super) loser: usize,
    /// What it claimed.
    pub(super) claim: Claim,
    /// The index of the candidate that has it.
    pub(super) holder: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Fresh,
    Old,
    None,
}

fn claims(group: &Group) -> Vec<Claim> {
    let mut claims = vec![Claim::Folder(group.id.as_str().to_ascii_lowercase())];
    if group.main_claim == Some(true) {
        claims.push(Claim::Main);
    }
    claims
}

struct Settlement<'a> {
    candidates: &'a [Candidate],
    versions: Vec<Version>,
    holders: HashMap<Claim, usize>,
    conflicts: Vec<Conflict>,
}

impl Settlement<'_> {
    /// Gives a candidate its new version if nobody holds what that needs.
    fn admit(&mut self, index: usize, fresh: &Group) {
        let claims = claims(fresh);
        let taken = claims.iter().find_map(|claim| self.holders.get(claim).map(|holder| (claim.clone(), *holder)));
        match taken {
            Some((claim, holder)) => {
                self.conflicts.push(Conflict { loser: index, claim, holder });
                self.restore(index);
            }
            None => {
                self.versions[index] = Version::Fresh;
                self.holders.extend(claims.into_iter().map(|claim| (claim, index)));
            }
        }
    }

    /// Takes everything from a candidate that holds it by its new version.
    fn release(&mut self, index: usize) {
        for claim in self.candidates[index].fresh.iter().flat_map(claims) {
            if self.holders.get(&claim) == Some(&index) {
                self.holders.remove(&claim);
            }
        }
    }

    /// Gives a candidate its old version and pushes out whoever holds what that needs.
    fn restore(&mut self, index: usize) {
        let mut fallen = vec![index];
        while let Some(index) = fallen.pop() {
            self.versions[index] = Version::None;
            let Some(old) = &self.candidates[index].old else { continue };
            self.versions[index] = Version::Old;
            for claim in claims(old) {
                if let Some(loser) = self.holders.insert(claim.clone(), index)
                    && loser != index
                {
                    self.release(loser);
                    self.conflicts.push(Conflict { loser, claim, holder: index });
                    fallen.push(loser);
                }
            }
        }
    }
}

/// The version of each candidate that is served, `None` for none, and why new versions are not.
pub(super) fn settle(candidates: &[Candidate]) -> (Vec<Option<Group>>, Vec<Conflict>) {
    let mut settlement = Settlement {
        candidates,
        versions: vec![Version::None; candidates.len()],
        holders: HashMap::new(),
        conflicts: Vec::new(),
    };
    for (index, _) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.fresh.is_none()) {
        settlement.restore(index);
    }
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(fresh) = &candidate.fresh {
            settlement.admit(index, fresh);
        }
    }
    let served = candidates.iter().zip(&settlement.versions).map(|(candidate, version)| match version {
        Version::Fresh => candidate.fresh.clone(),
        Version::Old => candidate.old.as_deref().cloned(),
        Version::None => None,
    });
    (served.collect(), settlement.conflicts)
}
