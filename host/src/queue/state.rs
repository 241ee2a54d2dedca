//! Who runs when. Pure: events in, actions out.
//!
//! Invariants:
//! - a group runs at most once at a time, and no more groups run than the cap;
//! - a group that was woken runs after that wake, whatever else happens;
//! - groups wait in line: while one waits, no other is granted twice;
//! - a group that ended with [`Next::After`] isn't granted before that time unless it is woken: what rests
//!   may be one of its turns, and the wake for another;
//! - nothing is remembered of a group that is idle.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::NonZeroUsize;

use jiff::Timestamp;
use longshore_protocol::GroupId;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There may be work for the group.
    Wake(GroupId),
    /// The group's run, granted before, is over.
    Ended {
        /// Whose run.
        group: GroupId,
        /// What the run found out about further work.
        next: Next,
    },
    /// A time asked for by [`Action::WakeAt`] may have come.
    Tick,
    /// From now on so many groups may run at once. Runs beyond a lowered cap are left to end.
    Cap(NonZeroUsize),
}

/// What is to become of a group whose run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing was left, as far as the run saw.
    Idle,
    /// Look again at once; behind the groups that wait already.
    More,
    /// Look again, but not before this time.
    After(Timestamp),
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Let the group run and report its end.
    Grant(GroupId),
    /// Send [`Event::Tick`] at this time. Replaces a time asked for earlier.
    WakeAt(Timestamp),
}

/// The groups that wait, run or rest.
#[derive(Debug)]
pub struct GroupQueue {
    cap: usize,
    groups: HashMap<GroupId, Phase>,
    waiting: VecDeque<GroupId>,
    resting: BTreeSet<(Timestamp, GroupId)>,
    running: usize,
    /// The time of the last [`Action::WakeAt`] that hasn't been answered by a tick.
    announced: Option<Timestamp>,
}

/// Where a group is that isn't idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running { woken: bool },
    Resting(Timestamp),
}

impl GroupQueue {
    /// An empty queue that lets `cap` groups run at once.
    #[must_use]
    pub fn new(cap: NonZeroUsize) -> Self {
        Self {
            cap: cap.get(),
            groups: HashMap::new(),
            waiting: VecDeque::new(),
            resting: BTreeSet::new(),
            running: 0,
            announced: None,
        }
    }

    /// Takes an event and says what to do, in order.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        match event {
            Event::Wake(group) => self.wake(group),
            Event::Ended { group, next } => self.end(group, next),
            Event::Tick => self.announced = None,
            Event::Cap(cap) => self.cap = cap.get(),
        }
        self.rouse(now);
        let mut actions = self.grant();
        actions.extend(self.announce());
        actions
    }

    /// How many groups run now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many groups wait for a slot now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits, runs or rests.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.groups.is_empty()
    }

    fn wake(&mut self, group: GroupId) {
        match self.groups.get_mut(&group) {
            None => self.line_up(group),
            Some(Phase::Running { woken }) => *woken = true,
            Some(Phase::Waiting) => {}
            Some(Phase::Resting(until)) => {
                let rest = (*until, group);
                self.resting.remove(&rest);
                self.line_up(rest.1);
            }
        }
    }

    fn end(&mut self, group: GroupId, next: Next) {
        // An end without a grant changes nothing: it can't free a slot that somebody else holds.
        let Some(&Phase::Running { woken }) = self.groups.get(&group) else { return };
        self.running -= 1;
        match next {
            Next::More => self.line_up(group),
            Next::Idle | Next::After(_) if woken => self.line_up(group),
            Next::After(until) => {
                self.groups.insert(group.clone(), Phase::Resting(until));
                self.resting.insert((until, group));
            }
            Next::Idle => {
                self.groups.remove(&group);
            }
        }
    }

    fn line_up(&mut self, group: GroupId) {
        self.groups.insert(group.clone(), Phase::Waiting);
        self.waiting.push_back(group);
    }

    /// Lines up every group whose rest is over.
    fn rouse(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.resting.first()
            && *until <= now
            && let Some((_, group)) = self.resting.pop_first()
        {
            self.line_up(group);
        }
    }

    fn grant(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        while self.running < self.cap
            && let Some(group) = self.waiting.pop_front()
        {
            self.running += 1;
            self.groups.insert(group.clone(), Phase::Running { woken: false });
            actions.push(Action::Grant(group));
        }
        actions
    }

    fn announce(&mut self) -> Option<Action> {
        let earliest = self.resting.first().map(|(until, _)| *until);
        if earliest == self.announced {
            return None;
        }
        self.announced = earliest;
        earliest.map(Action::WakeAt)
    }
}

#[cfg(test)]
mod tests;
