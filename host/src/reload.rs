//! What a reload of the groups file leads to: wakes, and one sentence to the main group for each new
//! problem. The log of the reload itself is the watch's.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_protocol::GroupId;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::container::resident::Residents;
use crate::deliver::Outbound;
use crate::groups::Problem;
use crate::groups::watch::Snapshot;
use crate::phrases;
use crate::queue::dispatch::Wakes;
use crate::stop::Stop;
use crate::store::{Store, StoreError};

/// What a reload works with.
pub struct Reload {
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// The way to the dispatcher: a group that is new may have messages that wait.
    pub wakes: Wakes,
    /// The containers: those of groups that changed are retired.
    pub residents: Arc<Residents>,
    /// The store.
    pub store: Store,
    /// Told when there is a sentence to deliver.
    pub outbound: Outbound,
    /// The time.
    pub clock: Clock,
}

/// What has to be done after a reload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct News {
    /// Groups that are new, or changed: each is looked at.
    wake: Vec<GroupId>,
    /// Problems that the main group has not been told.
    tell: Vec<String>,
}

/// What has been told already.
#[derive(Debug, Default)]
struct Told {
    /// By path and text: an edit above a mistake moves it and makes no other of it.
    problems: BTreeSet<(String, String)>,
    generation: u64,
}

impl Told {
    /// Pure: what is new in the snapshot. A problem that is gone is forgotten, so that it is told again
    /// should it come back.
    #[must_use]
    fn handle(&mut self, snapshot: &Snapshot) -> News {
        let key = |problem: &Problem| (problem.path.clone(), problem.text.clone());
        let new = |problem: &&Problem| !self.problems.contains(&key(problem));
        let tell = snapshot.problems.iter().filter(new).map(ToString::to_string).collect();
        let wake = snapshot
            .groups
            .iter()
            .filter(|group| group.generation > self.generation)
            .map(|group| group.id.clone())
            .collect();
        self.problems = snapshot.problems.iter().map(key).collect();
        self.generation = snapshot.generation;
        News { wake, tell }
    }
}

impl Reload {
    /// Follows reloads until told to stop. What is wrong at start is told, too.
    ///
    /// # Errors
    /// When the store is closed or damaged.
    pub async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        let mut told = Told::default();
        loop {
            let snapshot = self.groups.borrow_and_update().clone();
            let news = told.handle(&snapshot);
            self.residents.retire_outdated(&snapshot.groups).await;
            for group in news.wake {
                self.wakes.wake(group);
            }
            if !news.tell.is_empty() {
                self.tell(&snapshot, &news.tell).await?;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = self.groups.changed() => if changed.is_err() {
                    // The watch has stopped, and the host with it.
                    return Ok(());
                }
            }
        }
    }

    async fn tell(&self, snapshot: &Snapshot, problems: &[String]) -> Result<(), StoreError> {
        let Some(main) = snapshot.groups.main() else { return Ok(()) };
        let sentence = phrases::groups_file(problems);
        match self.store.notice(main.chat.clone(), vec![sentence], self.clock.now()).await {
            Err(StoreError::Stalled(cause)) => tracing::warn!(cause, "the main group could not be told of a problem"),
            told => told?,
        }
        self.outbound.look_at(&main.chat);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::{Groups, load};

    fn snapshot(json: &str, previous: &Groups) -> Snapshot {
        let loaded = load(json.as_bytes(), previous);
        Snapshot { generation: loaded.groups.generation(), groups: Arc::new(loaded.groups), problems: loaded.problems }
    }

    fn entry(folder: &str, more: &str) -> String {
        format!(
            r#""test:{folder}": {{"name": "{folder}", "folder": "{folder}", "trigger": "@A", "added_at": "x"{more}}}"#
        )
    }

    #[test]
    fn a_problem_is_told_once_and_again_when_it_came_back() {
        let mut told = Told::default();
        let good = format!("{{{}}}", entry("family", ""));
        let bad = format!("{{{}}}", entry("family", r#", "providr": "codex""#));
        let first = snapshot(&good, &Groups::default());
        assert_eq!(told.handle(&first).tell, Vec::<String>::new());
        let broken = snapshot(&bad, &first.groups);
        assert_eq!(told.handle(&broken).tell.len(), 1);
        assert_eq!(told.handle(&broken).tell, Vec::<String>::new());
        assert_eq!(told.handle(&snapshot(&good, &broken.groups)), News::default());
        assert_eq!(told.handle(&broken).tell.len(), 1);
    }

    #[test]
    fn only_groups_that_are_new_or_changed_are_looked_at() {
        let mut told = Told::default();
        let one = snapshot(&format!("{{{}}}", entry("family", "")), &Groups::default());
        assert_eq!(told.handle(&one).wake, ["family".parse().unwrap()]);
        let two = snapshot(&format!("{{{},{}}}", entry("family", ""), entry("team", "")), &one.groups);
        assert_eq!(told.handle(&two).wake, ["team".parse().unwrap()]);
    }
}
