use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn group(name: &str) -> GroupId {
    name.parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn queue(cap: usize) -> GroupQueue {
    GroupQueue::new(NonZeroUsize::new(cap).unwrap())
}

fn wake(name: &str) -> Event {
    Event::Wake(group(name))
}

fn ended(name: &str, next: Next) -> Event {
    Event::Ended { group: group(name), next }
}

fn grant(name: &str) -> Action {
    Action::Grant(group(name))
}

#[test]
fn a_woken_group_runs_at_once_when_a_slot_is_free() {
    assert_eq!(queue(1).handle(wake("a"), at(0)), [grant("a")]);
}

#[test]
fn groups_wait_in_line_and_appear_in_it_once() {
    let mut queue = queue(1);
    assert_eq!(queue.handle(wake("a"), at(0)), [grant("a")]);
    for name in ["b", "c", "b", "b"] {
        assert_eq!(queue.handle(wake(name), at(0)), []);
    }
    assert_eq!(queue.waiting(), 2);
    assert_eq!(queue.handle(ended("a", Next::Idle), at(1)), [grant("b")]);
    assert_eq!(queue.handle(ended("b", Next::Idle), at(1)), [grant("c")]);
    assert_eq!(queue.handle(ended("c", Next::Idle), at(1)), []);
    assert!(queue.is_idle());
}

#[test]
fn a_wake_during_a_run_makes_the_group_look_again_behind_the_others() {
    let mut queue = queue(1);
    let _ = queue.handle(wake("busy"), at(0));
    let _ = queue.handle(wake("busy"), at(0));
    let _ = queue.handle(wake("other"), at(0));
    assert_eq!(queue.handle(ended("busy", Next::Idle), at(1)), [grant("other")]);
    assert_eq!(queue.handle(ended("other", Next::Idle), at(2)), [grant("busy")]);
    assert_eq!(queue.handle(ended("busy", Next::Idle), at(3)), []);
}

#[test]
fn a_group_that_always_has_more_cannot_keep_another_waiting() {
    let mut queue = queue(1);
    let _ = queue.handle(wake("busy"), at(0));
    let _ = queue.handle(wake("other"), at(0));
    assert_eq!(queue.handle(ended("busy", Next::More), at(1)), [grant("other")]);
}

#[test]
fn a_resting_group_is_granted_when_it_is_woken() {
    let mut queue = queue(2);
    let _ = queue.handle(wake("a"), at(0));
    assert_eq!(queue.handle(ended("a", Next::After(at(10))), at(1)), [Action::WakeAt(at(10))]);
    assert_eq!(queue.handle(wake("a"), at(5)), [grant("a")]);
    assert_eq!(queue.handle(Event::Tick, at(10)), []);
    assert_eq!(queue.handle(wake("a"), at(11)), []);
    assert_eq!(queue.handle(ended("a", Next::After(at(20))), at(12)), [grant("a")], "it was woken during its run");
}

#[test]
fn a_resting_group_is_granted_at_its_time_and_not_before() {
    let mut queue = queue(2);
    let _ = queue.handle(wake("a"), at(0));
    assert_eq!(queue.handle(ended("a", Next::After(at(10))), at(1)), [Action::WakeAt(at(10))]);
    assert_eq!(queue.handle(Event::Tick, at(9)), [Action::WakeAt(at(10))], "a tick too early asks again");
    assert_eq!(queue.handle(Event::Tick, at(10)), [grant("a")]);
}

#[test]
fn the_earliest_rest_is_the_one_that_is_asked_for() {
    let mut queue = queue(2);
    let _ = queue.handle(wake("a"), at(0));
    let _ = queue.handle(wake("b"), at(0));
    assert_eq!(queue.handle(ended("a", Next::After(at(20))), at(1)), [Action::WakeAt(at(20))]);
    assert_eq!(queue.handle(ended("b", Next::After(at(10))), at(1)), [Action::WakeAt(at(10))]);
    assert_eq!(queue.handle(Event::Tick, at(10)), [grant("b"), Action::WakeAt(at(20))]);
}

#[test]
fn a_rest_that_is_over_already_is_no_rest() {
    let mut queue = queue(1);
    let _ = queue.handle(wake("a"), at(5));
    assert_eq!(queue.handle(ended("a", Next::After(at(5))), at(5)), [grant("a")]);
}

#[test]
fn a_raised_cap_grants_at_once_and_a_lowered_one_waits_for_ends() {
    let mut queue = queue(1);
    for name in ["a", "b", "c"] {
        let _ = queue.handle(wake(name), at(0));
    }
    let two = NonZeroUsize::new(2).unwrap();
    assert_eq!(queue.handle(Event::Cap(two), at(0)), [grant("b")]);
    assert_eq!(queue.handle(Event::Cap(NonZeroUsize::MIN), at(0)), []);
    assert_eq!(queue.handle(ended("a", Next::Idle), at(0)), []);
    assert_eq!(queue.handle(ended("b", Next::Idle), at(0)), [grant("c")]);
}

#[test]
fn an_end_without_a_grant_frees_no_slot() {
    let mut queue = queue(1);
    let _ = queue.handle(wake("a"), at(0));
    let _ = queue.handle(wake("b"), at(0));
    assert_eq!(queue.handle(ended("b", Next::Idle), at(0)), []);
    assert_eq!(queue.handle(ended("stranger", Next::More), at(0)), []);
    assert_eq!((queue.running(), queue.waiting()), (1, 1));
}

#[derive(Debug, Clone)]
enum Step {
    Wake(usize),
    /// Ends the run of the n-th running group, counted around.
    End(usize, Finish),
    Pass(i64),
    Cap(usize),
}

#[derive(Debug, Clone, Copy)]
enum Finish {
    Idle,
    More,
    Rest(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let finish = prop_oneof![Just(Finish::Idle), Just(Finish::More), (0i64..20).prop_map(Finish::Rest)];
    let step = prop_oneof![
        4 => (0usize..6).prop_map(Step::Wake),
        4 => (0usize..6, finish).prop_map(|(which, finish)| Step::End(which, finish)),
        2 => (0i64..10).prop_map(Step::Pass),
        1 => (1usize..4).prop_map(Step::Cap),
    ];
    proptest::collection::vec(step, 0..200)
}

/// What must hold, written down without looking at how the queue does it.
struct Model {
    queue: GroupQueue,
    cap: usize,
    now: i64,
    running: Vec<GroupId>,
    /// Groups that must still be granted: woken, or ended with more to do.
    owed: HashSet<GroupId>,
    not_before: HashMap<GroupId, i64>,
    /// For each group that waits: who was granted since it began to.
    passed_by: HashMap<GroupId, Vec<GroupId>>,
    alarm: Option<i64>,
}

impl Model {
    fn new(cap: usize) -> Self {
        Self {
            queue: queue(cap),
            cap,
            now: 0,
            running: Vec::new(),
            owed: HashSet::new(),
            not_before: HashMap::new(),
            passed_by: HashMap::new(),
            alarm: None,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Wake(number) => {
                let name = group(&format!("g{number}"));
                self.owed.insert(name.clone());
                if !self.running.contains(&name) {
                    self.not_before.remove(&name);
                    self.passed_by.entry(name.clone()).or_default();
                }
                self.send(Event::Wake(name));
            }
            Step::End(..) if self.running.is_empty() => {}
            Step::End(which, finish) => {
                let name = self.running.remove(which % self.running.len());
                let next = match finish {
                    Finish::Idle => Next::Idle,
                    Finish::More => Next::More,
                    Finish::Rest(seconds) => Next::After(at(self.now + seconds)),
                };
                if let (Next::After(until), false) = (next, self.owed.contains(&name)) {
                    self.not_before.insert(name.clone(), until.as_second());
                }
                if next != Next::Idle {
                    self.owed.insert(name.clone());
                }
                if self.owed.contains(&name) && !self.not_before.contains_key(&name) {
                    self.passed_by.entry(name.clone()).or_default();
                }
                self.send(Event::Ended { group: name, next });
            }
            Step::Pass(seconds) => {
                self.now += seconds;
                while self.alarm.is_some_and(|alarm| alarm <= self.now) {
                    self.alarm = None;
                    self.send(Event::Tick);
                }
            }
            Step::Cap(cap) => {
                self.cap = *cap;
                self.send(Event::Cap(NonZeroUsize::new(*cap).unwrap()));
            }
        }
    }

    fn send(&mut self, event: Event) {
        for action in self.queue.handle(event, at(self.now)) {
            match action {
                Action::WakeAt(until) => self.alarm = Some(until.as_second()),
                Action::Grant(name) => self.granted(name),
            }
        }
        assert_eq!(self.queue.running(), self.running.len());
        let may_run = |name: &&GroupId| {
            !self.running.contains(*name) && self.not_before.get(*name).is_none_or(|until| *until <= self.now)
        };
        let ready = self.owed.iter().filter(may_run).count();
        assert!(self.running.len() >= self.cap || ready == 0, "{ready} groups wait beside a free slot");
    }

    fn granted(&mut self, name: GroupId) {
        assert!(!self.running.contains(&name), "`{name}` was granted twice");
        assert!(self.owed.remove(&name), "`{name}` was granted for nothing");
        assert!(self.running.len() < self.cap, "more than the cap run");
        if let Some(until) = self.not_before.remove(&name) {
            assert!(until <= self.now, "`{name}` was granted before its time");
        }
        self.passed_by.remove(&name);
        for (waiting, others) in &mut self.passed_by {
            assert!(!others.contains(&name), "`{name}` was granted twice while `{waiting}` waited");
            others.push(name.clone());
        }
        self.running.push(name);
    }

    /// Ends every run and lets time pass until nothing is left to grant.
    fn drain(&mut self) {
        for _ in 0..100 {
            while !self.running.is_empty() {
                self.step(&Step::End(0, Finish::Idle));
            }
            self.step(&Step::Pass(20));
        }
        assert!(self.owed.is_empty(), "never granted: {:?}", self.owed);
        assert!(self.queue.is_idle(), "idle groups are remembered");
    }
}

proptest! {
    #[test]
    fn whatever_happens_nobody_runs_twice_or_is_forgotten(cap in 1usize..4, steps in steps()) {
        let mut model = Model::new(cap);
        for step in &steps {
            model.step(step);
        }
        model.drain();
    }
}
