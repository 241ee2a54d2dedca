//! What each CLI is run with and what its lines mean; pure.
//!
//! A provider value lives for one turn. It is asked for the [`Invocation`], is fed the CLI's lines in
//! order and, if the process ends, its [`Exit`]. It answers with [`Step`]s; [`Step::Ended`] comes at most
//! once from one value and is the last. A line that means nothing to it is progress, never an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use longshore_protocol::{Failure, RunnerEvent, SessionId, TurnId, TurnRequest, Usage};

pub mod claude;
pub mod claude_failure;
pub mod codex;
pub mod codex_failure;
pub mod host_tools;

/// Longest note of a [`Step::Progress`], in characters.
const NOTE_CHARACTERS: usize = 160;
/// Longest text of a failure, in characters.
const FAILURE_CHARACTERS: usize = 2000;
/// Longest single [`Step::Message`], in bytes; JSON escapes (at most sixfold) keep it within a protocol line.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Where the CLIs run: everything about the container that an invocation depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The agent's working directory.
    pub directory: PathBuf,
    /// The home directory of the container's user.
    pub home: PathBuf,
    /// A directory of the runner's own for files that an invocation names.
    pub scratch: PathBuf,
    /// The loopback port that leads to the broker.
    pub bridge_port: u16,
}

impl Place {
    /// `CODEX_HOME`; the container mounts it at [`longshore_protocol::paths::CODEX_STATE`].
    #[must_use]
    pub fn codex_home(&self) -> PathBuf {
        self.home.join(".codex")
    }

    fn broker(&self, base: &str) -> String {
        format!("http://127.0.0.1:{}{base}", self.bridge_port)
    }
}

/// One command line and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The program's name, looked up on `PATH`.
    pub program: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to the runner's own environment.
    pub env: BTreeMap<&'static str, String>,
    /// Variables of the runner's own environment that it does not get.
    pub unset: &'static [&'static str],
    /// What this turn writes to its stdin.
    pub stdin: String,
    /// Files that must be there before it starts.
    pub files: Vec<(PathBuf, String)>,
}

/// How a CLI's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left with this status.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
    /// It was killed because the container had no memory left.
    OutOfMemory,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Well.
    Finished,
    /// Not well.
    Failed(Failure),
}

/// What a line of a CLI, or its end, means for the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The conversation's name.
    Session(SessionId),
    /// Text for the chat.
    Message(String),
    /// Something for logs and liveness.
    Progress(String),
    /// What the turn cost.
    Usage(Usage),
    /// The turn is over.
    Ended(End),
}

impl Step {
    /// The step as an event of this turn.
    #[must_use]
    pub fn event(self, turn: &TurnId) -> RunnerEvent {
        let turn = turn.clone();
        match self {
            Self::Session(session) => RunnerEvent::Session { turn, session },
            Self::Message(text) => RunnerEvent::Message { turn, text },
            Self::Progress(note) => RunnerEvent::Progress { turn, note },
            Self::Usage(usage) => RunnerEvent::Usage { turn, usage },
            Self::Ended(End::Finished) => RunnerEvent::Finished { turn },
            Self::Ended(End::Failed(failure)) => RunnerEvent::Failed { turn, failure },
        }
    }

    /// Progress with a note cut to a bounded single line.
    #[must_use]
    pub fn progress(note: &str) -> Self {
        let mut line: String =
            note.chars().take(NOTE_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if note.chars().nth(NOTE_CHARACTERS).is_some() {
            line.push('…');
        }
        Self::Progress(line)
    }
}

/// One turn of one CLI.
pub trait Provider {
    /// What to run for this turn.
    fn invocation(&self, request: &TurnRequest, place: &Place) -> Invocation;
    /// What this line of its stdout means.
    fn read_line(&mut self, line: &[u8]) -> Vec<Step>;
    /// A line of its stdout was longer than the runner holds, and is lost.
    fn lost_line(&mut self, bytes: usize) -> Vec<Step>;
    /// What the end of its process means; `stderr_tail` is the last of its stderr.
    fn finish(&mut self, exit: Exit, stderr_tail: &str) -> Vec<Step>;
}

/// The answer as messages that each fit a protocol line.
fn messages(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = text;
    while rest.len() > MESSAGE_BYTES {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(MESSAGE_BYTES));
        steps.push(Step::Message(head.to_owned()));
        rest = tail;
    }
    steps.push(Step::Message(rest.to_owned()));
    steps
}

/// A failure's text, bounded.
fn failure_text(text: &str) -> String {
    let text = text.trim();
    let mut cut: String = text.chars().take(FAILURE_CHARACTERS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// The part of a stderr tail that says what went wrong: from the last line that begins with `error`, or all.
fn complaint(stderr_tail: &str) -> &str {
    let mut from = None;
    let mut offset = 0;
    for line in stderr_tail.split_inclusive('\n') {
        if line.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("error")) {
            from = Some(offset);
        }
        offset += line.len();
    }
    stderr_tail[from.unwrap_or(0)..].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_bounded_line() {
        assert_eq!(Step::progress("a\nb"), Step::Progress("a b".into()));
        let Step::Progress(note) = Step::progress(&"ü".repeat(1000)) else { panic!("not progress") };
        assert_eq!(note.chars().count(), NOTE_CHARACTERS + 1);
    }

    #[test]
    fn a_huge_answer_leaves_in_pieces_that_add_up() {
        let text = "aü€".repeat(700_000);
        let steps = messages(&text);
        assert!(steps.len() > 3);
        let mut whole = String::new();
        for step in steps {
            let Step::Message(piece) = step else { panic!("not a message") };
            assert!(!piece.is_empty() && piece.len() <= MESSAGE_BYTES);
            whole.push_str(&piece);
        }
        assert_eq!(whole, text);
    }

    #[test]
    fn the_complaint_is_the_last_error_of_stderr() {
        assert_eq!(complaint("warning: x\nError: one\nError: two\nmore\n"), "Error: two\nmore");
        assert_eq!(complaint("2026 ERROR noise\n"), "2026 ERROR noise");
        assert_eq!(complaint(""), "");
    }
}
