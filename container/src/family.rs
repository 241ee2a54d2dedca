//! Every process below the runner.
//!
//! A CLI's tools put themselves into sessions and groups of their own, so killing the CLI's group leaves
//! them. The runner is therefore a subreaper (`PR_SET_CHILD_SUBREAPER`): an orphan becomes its child, can
//! be found by its parent, killed, and must be reaped here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions};

/// Rounds of killing before a process that does not die (it sleeps in the kernel) is left alone.
const ROUNDS: usize = 100;
const ROUND: Duration = Duration::from_millis(5);

/// The children that the runner started itself, and the orphans that fell to it.
#[derive(Debug)]
pub struct Family {
    own: Mutex<BTreeSet<i32>>,
}

/// Whom to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Orphans and what is below them.
    Strays,
    /// Everything below the runner.
    Everyone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: i32,
    zombie: bool,
}

impl Family {
    /// Makes the runner the one to whom orphans fall.
    #[must_use]
    pub fn gather() -> Self {
        // Without it (a kernel before 3.4) orphans go to the container's init, which reaps them.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        Self { own: Mutex::new(BTreeSet::new()) }
    }

    /// Starts a child; its process id is never taken for an orphan's.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(&self, command: &mut tokio::process::Command) -> io::Result<(tokio::process::Child, Pid)> {
        // Held while it starts: a child that dies at once must not look like a dead orphan.
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        own.insert(pid.as_raw_nonzero().get());
        Ok((child, pid))
    }

    /// A child has been reaped.
    pub fn forget(&self, pid: Pid) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.as_raw_nonzero().get());
    }

    /// Reaps the orphans that have died.
    pub fn reap(&self) {
        let own_pid = rustix::process::getpid().as_raw_nonzero().get();
        for (pid, process) in processes() {
            if process.parent == own_pid && process.zombie {
                let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(stray) = Pid::from_raw(pid).filter(|_| !own.contains(&pid)) {
                    // It may have been reaped meanwhile; there is nothing else that can fail.
                    let _ = rustix::process::waitpid(Some(stray), WaitOptions::NOHANG);
                }
            }
        }
    }

    /// Kills until nobody is left.
    pub async fn end(&self, whom: Whom) {
        for _ in 0..ROUNDS {
            let doomed = self.doomed(whom);
            if doomed.is_empty() {
                return;
            }
            for pid in doomed.into_iter().filter_map(Pid::from_raw) {
                // One that is gone already is as good as killed.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            tokio::time::sleep(ROUND).await;
            self.reap();
        }
    }

    fn doomed(&self, whom: Whom) -> Vec<i32> {
        let own_pid = rustix::process::getpid().as_raw_nonzero().get();
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let spared = |pid: i32| whom == Whom::Strays && own.contains(&pid);
        descendants(&processes(), own_pid, spared)
    }
}

/// The living below `root`, without those that are spared and what is below them.
fn descendants(all: &BTreeMap<i32, Process>, root: i32, spared: impl Fn(i32) -> bool) -> Vec<i32> {
    let mut found = Vec::new();
    let mut parents = BTreeSet::from([root]);
    while !parents.is_empty() {
        let children: BTreeSet<i32> = all
            .iter()
            .filter(|(pid, process)| parents.contains(&process.parent) && !spared(**pid))
            .map(|(pid, _)| *pid)
            .collect();
        found.extend(children.iter().filter(|pid| !all[pid].zombie));
        parents = children;
    }
    found
}

fn processes() -> BTreeMap<i32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read(entry.path().join("stat")).ok()?;
            Some((pid, parse_stat(&String::from_utf8_lossy(&stat))?))
        })
        .collect()
}

/// `/proc/<pid>/stat`: `pid (name) state parent …`, where the name may hold anything.
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some(Process { parent: fields.next()?.parse().ok()?, zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_names_itself_like_a_stat_line_fools_nobody() {
        assert_eq!(parse_stat("7 (a) Z 1 (b) S 3 7 7 0"), Some(Process { parent: 3, zombie: false }));
        assert_eq!(parse_stat("7 (x) Z 12 7"), Some(Process { parent: 12, zombie: true }));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn the_spared_are_left_with_all_below_them_and_zombies_lead_on() {
        let process = |pid, parent, zombie| (pid, Process { parent, zombie });
        let all = BTreeMap::from([
            process(1, 0, false),
            process(10, 1, false),
            process(11, 10, false),
            process(20, 1, true),
            process(21, 20, false),
            process(30, 2, false),
        ]);
        assert_eq!(descendants(&all, 1, |_| false), [10, 11, 21]);
        assert_eq!(descendants(&all, 1, |pid| pid == 10), [21]);
    }
}
