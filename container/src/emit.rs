//! The runner's stdout: the only file that writes it.
//!
//! One thread writes and flushes line by line; what waits for it is bounded. Progress is dropped when the
//! host does not keep up, everything else waits.

use std::io::Write;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use longshore_protocol::{RunnerEvent, TurnId};
use tokio::sync::mpsc;

use crate::provider::Step;

/// Lines that may wait for the host.
const WAITING_LINES: usize = 32;
/// An equal note is not repeated within this time.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// The way to stdout; clones share it.
#[derive(Debug, Clone)]
pub struct Emitter {
    lines: mpsc::Sender<Vec<u8>>,
}

/// The thread behind an [`Emitter`]; it ends when every emitter is dropped and every line is written.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
}

impl Writer {
    /// Waits until everything is written.
    pub fn join(self) {
        // A writer that panicked has written what it could.
        let _ = self.thread.join();
    }
}

/// Starts the writer.
#[must_use]
pub fn stdout() -> (Emitter, Writer) {
    let (lines, mut queue) = mpsc::channel::<Vec<u8>>(WAITING_LINES);
    let thread = std::thread::spawn(move || {
        let mut stdout = std::io::stdout().lock();
        while let Some(line) = queue.blocking_recv() {
            if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
                return;
            }
        }
    });
    (Emitter { lines }, Writer { thread })
}

impl Emitter {
    /// Writes an event as one line; waits while the queue is full.
    pub async fn send(&self, event: &RunnerEvent) {
        if let Some(line) = encode(event) {
            // Only a closed stdout refuses a line, and `closed` tells of that.
            let _ = self.lines.send(line).await;
        }
    }

    /// Writes an event if there is room for it now.
    pub fn offer(&self, event: &RunnerEvent) {
        if let Some(line) = encode(event) {
            let _ = self.lines.try_send(line);
        }
    }

    /// Resolves once nobody reads stdout any more.
    pub async fn closed(&self) {
        self.lines.closed().await;
    }
}

fn encode(event: &RunnerEvent) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(event).ok()?;
    line.push(b'\n');
    Some(line)
}

/// Whether a turn still has a voice in the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Messages pass.
    Heard,
    /// The turn was halted: its messages are dropped.
    Muted,
}

/// The events of one turn, except the terminal one.
#[derive(Debug)]
pub struct TurnEvents {
    emitter: Emitter,
    turn: TurnId,
    voice: Voice,
    last_note: Option<(String, Instant)>,
}

impl TurnEvents {
    /// Events of this turn.
    #[must_use]
    pub fn new(emitter: Emitter, turn: TurnId) -> Self {
        Self { emitter, turn, voice: Voice::Heard, last_note: None }
    }

    /// Drops the turn's messages from now on.
    pub fn mute(&mut self) {
        self.voice = Voice::Muted;
    }

    /// Writes a step; the end of the turn is not written here but where turns are counted.
    pub async fn send(&mut self, step: Step) {
        match step {
            Step::Ended(_) => {}
            Step::Message(_) if self.voice == Voice::Muted => {}
            Step::Progress(note) => {
                let now = Instant::now();
                let repeated =
                    self.last_note.as_ref().is_some_and(|(last, at)| *last == note && now - *at < NOTE_INTERVAL);
                if !repeated {
                    self.emitter.offer(&Step::Progress(note.clone()).event(&self.turn));
                    self.last_note = Some((note, now));
                }
            }
            step => self.emitter.send(&step.event(&self.turn)).await,
        }
    }
}
