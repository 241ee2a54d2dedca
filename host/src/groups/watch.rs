//! Hot reload of the groups file.

use std::path::Path;
use std::sync::Arc;

use super::problem::Problem;
use super::{Groups, load};
use crate::follow::{Document, Follow, Found, Loaded};

/// At most this many problems are logged for one reading; the snapshot has them all.
const MAX_LOGGED: usize = 20;

/// Follows the groups file.
pub type GroupsWatch = Follow<GroupsDocument>;

/// One reading of the file, for everybody.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Rises with each reading of a changed file.
    pub generation: u64,
    /// What is served.
    pub groups: Arc<Groups>,
    /// Everything that is wrong with the file as it is now.
    pub problems: Vec<Problem>,
}

/// The groups file, as it is followed.
#[derive(Debug)]
pub enum GroupsDocument {}

impl Document for GroupsDocument {
    type Snapshot = Snapshot;

    const NAME: &'static str = "groups file";

    fn load(path: &Path, found: Found<'_>, previous: &Snapshot) -> Loaded<Snapshot> {
        let groups = &previous.groups;
        let (groups, problems, is_unreadable) = match found {
            Found::Content(bytes) => {
                let loaded = load(bytes, groups);
                let is_unreadable = loaded.is_unreadable();
                (loaded.groups, loaded.problems, is_unreadable)
            }
            Found::Missing => without_file(groups, format!("there is no groups file at `{}`", path.display())),
            Found::Failed(error) => {
                without_file(groups, format!("the groups file `{}` cannot be read: {error}", path.display()))
            }
        };
        let snapshot = Snapshot { generation: groups.generation(), groups: Arc::new(groups), problems };
        Loaded { snapshot, is_unreadable }
    }

    fn announce(snapshot: &Snapshot) {
        let Snapshot { generation, groups, problems } = snapshot;
        let _span = tracing::info_span!("reload", generation).entered();
        tracing::info!(groups = groups.len(), problems = problems.len(), "groups file read");
        for problem in problems.iter().take(MAX_LOGGED) {
            tracing::warn!("groups file: {problem}");
        }
    }
}

fn without_file(groups: &Groups, text: String) -> (Groups, Vec<Problem>, bool) {
    let problem = Problem::of_file(text, groups.effect_of_no_file());
    (Groups { generation: groups.generation + 1, ..groups.clone() }, vec![problem], true)
}

#[cfg(test)]
mod tests;
