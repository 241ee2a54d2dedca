//! Which turn runs and which wait; pure.

use std::collections::VecDeque;

use longshore_protocol::{Failure, FailureKind, RunnerCommand, TurnId, TurnRequest};

/// Turns that may wait behind the running one; the host sends one at a time.
const WAITING: usize = 16;

/// What happens to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A command came.
    Command(RunnerCommand),
    /// A line came that is no command.
    Unreadable {
        /// The turn that it names, if it names one.
        turn: Option<TurnId>,
        /// What is wrong with it.
        reason: String,
    },
    /// The running turn has had its terminal event.
    TurnEnded,
    /// No more commands will come, or nobody hears the answers.
    Closed,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run this turn.
    Start(Box<TurnRequest>),
    /// Halt the running turn.
    StopRunning,
    /// Answer for a turn that does not run.
    Fail(TurnId, Failure),
    /// Say who is here and which turn runs.
    SayReady {
        /// The running turn.
        running: Option<TurnId>,
    },
    /// Leave after so many seconds, unless a command comes before.
    Linger(u64),
    /// Tell the log.
    Complain(String),
    /// End the children and leave.
    Leave,
}

/// The running turn and the ones behind it.
#[derive(Debug, Default)]
pub struct TurnQueue {
    running: Option<TurnId>,
    waiting: VecDeque<Box<TurnRequest>>,
    closed: bool,
}

impl TurnQueue {
    /// What follows from this.
    #[must_use]
    pub fn handle(&mut self, input: Input) -> Vec<Action> {
        match input {
            Input::Command(RunnerCommand::Turn(request)) => self.turn(request),
            Input::Command(RunnerCommand::Stop { turn }) => self.stop(&turn),
            Input::Command(RunnerCommand::Hello) => vec![Action::SayReady { running: self.running.clone() }],
            // A turn that runs is not left.
            Input::Command(RunnerCommand::Linger { .. }) if self.running.is_some() => Vec::new(),
            Input::Command(RunnerCommand::Linger { seconds }) => vec![Action::Linger(seconds)],
            Input::Unreadable { turn, reason } => match turn {
                // Its own terminal event is still to come.
                Some(turn) if !self.holds(&turn) => {
                    let failure = Failure::new("container", FailureKind::InvalidOptions, &reason);
                    vec![Action::Complain(reason), Action::Fail(turn, failure)]
                }
                _ => vec![Action::Complain(reason)],
            },
            Input::TurnEnded => {
                self.running = None;
                if self.closed { vec![Action::Leave] } else { self.start_next() }
            }
            Input::Closed => {
                self.closed = true;
                let left = self.waiting.drain(..).map(|request| stopped(request.turn));
                let mut actions: Vec<Action> = left.collect();
                actions.push(if self.running.is_some() { Action::StopRunning } else { Action::Leave });
                actions
            }
        }
    }

    fn holds(&self, turn: &TurnId) -> bool {
        self.running.as_ref() == Some(turn) || self.waiting.iter().any(|request| request.turn == *turn)
    }

    fn turn(&mut self, request: Box<TurnRequest>) -> Vec<Action> {
        if self.holds(&request.turn) {
            return vec![Action::Complain(format!("turn `{}` was sent twice", request.turn))];
        }
        if self.closed {
            return vec![stopped(request.turn)];
        }
        if self.waiting.len() >= WAITING {
            let failure = Failure::new("container", FailureKind::Internal, "too many turns wait");
            return vec![Action::Fail(request.turn, failure)];
        }
        self.waiting.push_back(request);
        if self.running.is_some() { Vec::new() } else { self.start_next() }
    }

    fn stop(&mut self, turn: &TurnId) -> Vec<Action> {
        if self.running.as_ref() == Some(turn) {
            return vec![Action::StopRunning];
        }
        match self.waiting.iter().position(|request| request.turn == *turn) {
            Some(place) => {
                self.waiting.remove(place);
                vec![stopped(turn.clone())]
            }
            // It has just ended.
            None => vec![Action::Complain(format!("turn `{turn}` is not here to be stopped"))],
        }
    }

    fn start_next(&mut self) -> Vec<Action> {
        let Some(request) = self.waiting.pop_front() else { return Vec::new() };
        self.running = Some(request.turn.clone());
        vec![Action::Start(request)]
    }
}

fn stopped(turn: TurnId) -> Action {
    Action::Fail(turn, Failure::new("container", FailureKind::Stopped, "stopped before it began"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(turn: &str) -> Box<TurnRequest> {
        let line =
            format!(r#"{{"type":"turn","turn":"{turn}","provider":"claude","prompt":"hi","time_limit_seconds":60}}"#);
        match serde_json::from_str(&line).unwrap() {
            RunnerCommand::Turn(request) => request,
            _ => panic!("not a turn"),
        }
    }

    fn turn(name: &str) -> Input {
        Input::Command(RunnerCommand::Turn(request(name)))
    }

    fn stop(name: &str) -> Input {
        Input::Command(RunnerCommand::Stop { turn: name.parse().unwrap() })
    }

    #[test]
    fn turns_run_one_after_another_in_their_order() {
        let mut queue = TurnQueue::default();
        assert_eq!(queue.handle(turn("a")), [Action::Start(request("a"))]);
        assert_eq!(queue.handle(turn("b")), []);
        assert_eq!(queue.handle(turn("c")), []);
        assert_eq!(queue.handle(Input::TurnEnded), [Action::Start(request("b"))]);
        assert_eq!(queue.handle(Input::TurnEnded), [Action::Start(request("c"))]);
        assert_eq!(queue.handle(Input::TurnEnded), []);
    }

    #[test]
    fn a_waiting_turn_is_stopped_without_running() {
        let mut queue = TurnQueue::default();
        let _ = queue.handle(turn("a"));
        let _ = queue.handle(turn("b"));
        assert_eq!(queue.handle(stop("b")), [stopped("b".parse().unwrap())]);
        assert_eq!(queue.handle(stop("a")), [Action::StopRunning]);
        assert_eq!(queue.handle(Input::TurnEnded), []);
    }

    #[test]
    fn a_hello_is_answered_with_the_turn_that_runs() {
        let mut queue = TurnQueue::default();
        let hello = || Input::Command(RunnerCommand::Hello);
        assert_eq!(queue.handle(hello()), [Action::SayReady { running: None }]);
        let _ = queue.handle(turn("a"));
        assert_eq!(queue.handle(hello()), [Action::SayReady { running: Some("a".parse().unwrap()) }]);
    }

    #[test]
    fn a_runner_lingers_only_when_it_is_idle() {
        let mut queue = TurnQueue::default();
        let linger = || Input::Command(RunnerCommand::Linger { seconds: 7 });
        assert_eq!(queue.handle(linger()), [Action::Linger(7)]);
        let _ = queue.handle(turn("a"));
        assert_eq!(queue.handle(linger()), []);
    }

    #[test]
    fn the_end_of_stdin_stops_everything_and_then_leaves() {
        let mut queue = TurnQueue::default();
        let _ = queue.handle(turn("a"));
        let _ = queue.handle(turn("b"));
        assert_eq!(queue.handle(Input::Closed), [stopped("b".parse().unwrap()), Action::StopRunning]);
        assert_eq!(queue.handle(Input::TurnEnded), [Action::Leave]);
    }

    proptest! {
        #[test]
        fn whatever_comes_every_turn_ends_once(steps in proptest::collection::vec((0u8..5, 0u8..40), 0..200)) {
            let mut queue = TurnQueue::default();
            let (mut open, mut ended) = (Vec::new(), Vec::new());
            let mut running: Option<TurnId> = None;
            let mut sent = Vec::new();
            for (what, which) in steps.into_iter().chain([(4, 0), (2, 0)]) {
                let name = format!("t{which}");
                let id: TurnId = name.parse().unwrap();
                let input = match what {
                    0 if !sent.contains(&id) => {
                        sent.push(id.clone());
                        open.push(id);
                        turn(&name)
                    }
                    0 | 1 => stop(&name),
                    2 | 3 => {
                        ended.extend(running.take());
                        Input::TurnEnded
                    }
                    _ => Input::Closed,
                };
                for action in queue.handle(input) {
                    match action {
                        Action::Start(request) => {
                            prop_assert!(running.is_none());
                            running = Some(request.turn);
                        }
                        Action::Fail(turn, _) => ended.push(turn),
                        Action::StopRunning => prop_assert!(running.is_some()),
                        Action::SayReady { .. } | Action::Linger(_) | Action::Complain(_) | Action::Leave => {}
                    }
                }
            }
            ended.sort();
            open.sort();
            prop_assert_eq!(ended, open);
        }
    }
}
