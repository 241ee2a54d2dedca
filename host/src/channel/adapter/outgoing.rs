//! The way to the adapter, and who waits for which answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use longshore_protocol::channel::AdapterCommand;
use tokio::sync::{mpsc, oneshot};

use crate::channel::SendError;

/// What became of a `send` line.
type Answer = Result<(), SendError>;

/// Shared by the senders and by the link to the child that lives now, if any.
#[derive(Debug)]
pub(super) struct Outgoing(Mutex<State>);

#[derive(Debug)]
struct State {
    way: Way,
    expected: HashMap<i64, oneshot::Sender<Answer>>,
}

#[derive(Debug)]
enum Way {
    Open(mpsc::Sender<AdapterCommand>),
    /// There is none, or not to the platform; why.
    Closed(String),
}

impl Outgoing {
    pub(super) fn new() -> Self {
        let way = Way::Closed("the adapter is not started".to_owned());
        Self(Mutex::new(State { way, expected: HashMap::new() }))
    }

    /// From now on commands go here.
    pub(super) fn open(&self, commands: mpsc::Sender<AdapterCommand>) {
        self.state().way = Way::Open(commands);
    }

    /// From now on nothing can be sent. Answers that are expected may still come.
    pub(super) fn close(&self, reason: &str) {
        self.state().way = Way::Closed(reason.to_owned());
    }

    /// The child is gone: nobody will answer.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.expected.clear();
        if let Way::Open(_) = state.way {
            state.way = Way::Closed("the adapter has ended".to_owned());
        }
    }

    /// Prepares for the answer to a `send` line of that row.
    pub(super) fn expect(&self, outbox_id: i64) -> Result<Expected<'_>, SendError> {
        let mut state = self.state();
        let commands = match &state.way {
            Way::Open(commands) => commands.clone(),
            Way::Closed(reason) => return Err(SendError::Unavailable(reason.clone())),
        };
        let Entry::Vacant(place) = state.expected.entry(outbox_id) else {
            return Err(SendError::Temporary("the message is being sent already".to_owned()));
        };
        let (sender, answer) = oneshot::channel();
        place.insert(sender);
        Ok(Expected { outgoing: self, outbox_id, commands, answer })
    }

    /// Hands an answer to who waits for it. Says whether anybody did.
    pub(super) fn answer(&self, outbox_id: i64, answer: Answer) -> bool {
        let expected = self.state().expected.remove(&outbox_id);
        expected.is_some_and(|sender| sender.send(answer).is_ok())
    }

    /// Says something for which no answer comes, if there is a way and room on it.
    pub(super) fn try_tell(&self, command: AdapterCommand) {
        if let Way::Open(commands) = &self.state().way {
            // Best effort: what doesn't fit isn't said.
            let _ = commands.try_send(command);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it, and no half-made state could be seen if it did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer to come. Dropping it forgets the question.
pub(super) struct Expected<'a> {
    outgoing: &'a Outgoing,
    outbox_id: i64,
    commands: mpsc::Sender<AdapterCommand>,
    answer: oneshot::Receiver<Answer>,
}

impl Expected<'_> {
    /// Writes the line and waits for its answer.
    pub(super) async fn ask(mut self, command: AdapterCommand) -> Answer {
        let gone = || SendError::Unavailable("the adapter ended before it answered".to_owned());
        self.commands.send(command).await.map_err(|_| gone())?;
        (&mut self.answer).await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.answer.close();
        let mut state = self.outgoing.state();
        // Only our own question: the row may have been asked about again since the child died.
        if let Entry::Occupied(place) = state.expected.entry(self.outbox_id)
            && place.get().is_closed()
        {
            place.remove();
        }
    }
}
