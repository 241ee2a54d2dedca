//! What a turn's events mean: a pure fold from [`RunnerEvent`]s to [`Effect`]s.
//!
//! Invariants:
//! - one turn has one [`Effect::End`], whatever the runner writes and however it dies;
//! - a turn that had a visible effect is never replayed;
//! - a turn that had none ends in a retry or in [`Verdict::GiveUp`], which is said to the chat: no silence
//!   but the one that the agent chose.

mod verdict;

use longshore_protocol::{Failure, FailureKind, RunnerEvent, SessionId, TurnId, Usage};

pub use self::verdict::{
    Attempt, LONGEST_SILENT_WAIT, LONGEST_WAIT, MAX_ATTEMPTS, Outcome, Said, Verdict, spread, verdict,
};
use super::{cut, prompt::strip_internal};
use crate::usage::denial;

/// The longest note that is passed on, in bytes.
const NOTE_BYTES: usize = 300;
/// How much one turn may say, in bytes. A chat is no place for more, and the store none for an agent that does
/// not stop.
pub const MOST_SAID_BYTES: usize = 1024 * 1024;
/// In how many messages.
pub const MOST_SAID: usize = 1000;

/// Something that a turn's event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this to the chat, now.
    Say(String),
    /// The conversation's name: continue it in the next turn.
    Session(SessionId),
    /// What the turn cost.
    Usage(Usage),
    /// For the log and for liveness.
    Note(String),
    /// The turn is over. Comes once.
    End(Verdict),
}

/// One turn on its way.
#[derive(Debug)]
pub struct TurnFold {
    turn: TurnId,
    attempt: Attempt,
    said: Said,
    /// How much it may still say, in bytes and in messages.
    left: (usize, usize),
    stopping: bool,
    ended: bool,
}

impl TurnFold {
    /// A turn that begins.
    #[must_use]
    pub fn new(turn: TurnId, attempt: Attempt) -> Self {
        let left = (MOST_SAID_BYTES, MOST_SAID);
        Self { turn, attempt, said: Said::Nothing, left, stopping: false, ended: false }
    }

    /// Whether the turn has had its [`Effect::End`].
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What the agent has said so far.
    #[must_use]
    pub fn said(&self) -> Said {
        self.said
    }

    /// A turn that ends well without a word is none that failed.
    pub fn may_be_silent(&mut self) {
        self.said = self.said.max(Said::Privately);
    }

    /// The turn has had a visible effect by another way than its words, such as a granted petition.
    pub fn acted(&mut self) {
        self.said = Said::Aloud;
    }

    /// Somebody asked for the turn's end.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Takes the runner's next event.
    #[must_use]
    pub fn handle(&mut self, event: RunnerEvent) -> Vec<Effect> {
        if let Some(note) = self.misplaced(&event) {
            return vec![Effect::Note(note)];
        }
        match event {
            RunnerEvent::Ready { .. } => vec![Effect::Note("a runner is ready in the middle of a turn".to_owned())],
            RunnerEvent::Session { session, .. } => vec![Effect::Session(session)],
            RunnerEvent::Message { text, .. } => self.say(&text),
            RunnerEvent::Progress { note, .. } => vec![Effect::Note(cut::one_line(&note, NOTE_BYTES))],
            RunnerEvent::Usage { usage, .. } => vec![Effect::Usage(usage)],
            RunnerEvent::Finished { .. } => self.end(Outcome::Finished),
            RunnerEvent::Failed { failure, .. } => self.end(Outcome::Failed(denial::known_again(failure))),
        }
    }

    /// The runner, its container or the engine was lost before the turn's end; no event will follow.
    #[must_use]
    pub fn lost(self, reason: Failure) -> Verdict {
        self.verdict(Outcome::Failed(reason))
    }

    /// Why the event says nothing about this turn, if so.
    fn misplaced(&self, event: &RunnerEvent) -> Option<String> {
        match event.turn() {
            Some(turn) if *turn != self.turn => Some(format!("an event of turn `{turn}` was ignored")),
            Some(_) if self.ended => Some(format!("an event after the end was ignored: {}", kind(event))),
            _ => None,
        }
    }

    fn say(&mut self, text: &str) -> Vec<Effect> {
        match strip_internal(text) {
            Some(text) => {
                self.said = Said::Aloud;
                let (bytes, messages) = self.left;
                if bytes == 0 || messages == 0 {
                    return vec![Effect::Note("the agent says more than a turn may".to_owned())];
                }
                self.left = (bytes.saturating_sub(text.len()), messages - 1);
                vec![Effect::Say(cut::visibly(&text, bytes).into_owned())]
            }
            // An empty message is no decision to be silent.
            None if text.trim().is_empty() => Vec::new(),
            None => {
                self.said = self.said.max(Said::Privately);
                vec![Effect::Note("the agent kept something to itself".to_owned())]
            }
        }
    }

    fn end(&mut self, outcome: Outcome) -> Vec<Effect> {
        self.ended = true;
        vec![Effect::End(self.verdict(outcome))]
    }

    fn verdict(&self, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Failed(_) if self.stopping => Verdict::Stopped,
            Outcome::Failed(failure) if failure.kind == FailureKind::Stopped => {
                verdict(Outcome::Failed(stopped_from_outside(failure)), self.said, self.attempt)
            }
            outcome => verdict(outcome, self.said, self.attempt),
        }
    }
}

fn kind(event: &RunnerEvent) -> &'static str {
    match event {
        RunnerEvent::Ready { .. } => "ready",
        RunnerEvent::Session { .. } => "session",
        RunnerEvent::Message { .. } => "message",
        RunnerEvent::Progress { .. } => "progress",
        RunnerEvent::Usage { .. } => "usage",
        RunnerEvent::Finished { .. } => "finished",
        RunnerEvent::Failed { .. } => "failed",
    }
}

/// Nobody in the chat asked for it: an engine that restarts, or an operator, ended the container.
fn stopped_from_outside(failure: Failure) -> Failure {
    Failure { kind: FailureKind::Transport, ..failure }
}

/// The failure of a turn that ended well and said nothing at all.
fn silence() -> Failure {
    Failure::new("host", FailureKind::MissingResult, "the turn ended without a word")
}

#[cfg(test)]
mod tests;
