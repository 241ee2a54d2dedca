//! A channel as a child process that speaks JSON lines (`protocol::channel`).
//!
//! The adapter is restarted when it dies. It is another program: its lines are bounded, those that
//! can't be read are skipped, it may be slow or silent or flood us, and nothing of that stops the host.
//! It has to read while it writes: one that doesn't read for [`Patience::read`] is restarted.
//! It gets none of the host's secrets: its environment has only `PATH`, `HOME`, `LANG`, `TZ`,
//! `LONGSHORE_CHANNEL` (its name) and `LONGSHORE_DATA` (a directory of its own).

mod inbound;
mod link;
mod outgoing;
mod process;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use longshore_protocol::channel::{AdapterCommand, LinkState};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use self::link::{Ending, Link};
use self::outgoing::Outgoing;
use self::process::Process;
use super::{Channel, ChannelEvent, Inbox, OutboundMessage, SendError};
use crate::stop::Stop;

/// The longest text that every adapter takes.
const MAX_TEXT_BYTES: usize = 4096;

/// How long the host waits for an adapter.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the start to `ready`.
    pub ready: Duration,
    /// From `send` to its answer.
    pub answer: Duration,
    /// For the adapter to read one line; one that doesn't read at all is restarted.
    pub read: Duration,
    /// From `stop`, or from the end of its output, to its end.
    pub grace: Duration,
    /// From a death to the next start; doubled after each further one.
    pub restart: Duration,
    /// The longest time from a death to the next start.
    pub longest_restart: Duration,
    /// After being ready for so long an adapter counts as healthy, and its next death as its first.
    pub healthy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            read: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            restart: Duration::from_secs(1),
            longest_restart: Duration::from_secs(60),
            healthy: Duration::from_secs(60),
        }
    }
}

/// A channel behind a child process.
pub struct Adapter {
    name: String,
    command: Vec<String>,
    data_directory: PathBuf,
    patience: Patience,
    outgoing: Outgoing,
}

impl Adapter {
    /// A channel `name` that runs `command` (words, no shell).
    ///
    /// `data_directory` is the adapter's own, such as `data/whatsapp`; it is made if it is missing.
    #[must_use]
    pub fn new(name: String, command: Vec<String>, data_directory: PathBuf) -> Self {
        let (patience, outgoing) = (Patience::default(), Outgoing::new());
        Self { name, command, data_directory, patience, outgoing }
    }

    /// The same channel with other time limits.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Runs one child until it ends. Says for how long it was ready.
    async fn run_once(&self, inbox: &Inbox, stop: &Stop) -> (Ending, Duration) {
        let process = match Process::start(&self.name, &self.command, &self.data_directory) {
            Ok(process) => process,
            Err(error) => return (Ending::Lost(format!("it can't be started: {error}")), Duration::ZERO),
        };
        let mut ready_since = None;
        let link = Link { name: &self.name, patience: &self.patience, outgoing: &self.outgoing, inbox };
        let ending = link.run(process, stop, &mut ready_since).await;
        (ending, ready_since.map_or(Duration::ZERO, |since: Instant| since.elapsed()))
    }
}

#[async_trait]
impl Channel for Adapter {
    fn name(&self) -> &str {
        &self.name
    }

    fn max_text_bytes(&self) -> usize {
        MAX_TEXT_BYTES
    }

    #[tracing::instrument(name = "channel", skip_all, fields(channel = self.name))]
    async fn listen(&self, inbox: Inbox, stop: Stop) -> anyhow::Result<()> {
        anyhow::ensure!(!self.command.is_empty(), "the command of channel `{}` is empty", self.name);
        let mut wait = self.patience.restart;
        while !stop.is_cancelled() {
            let (ending, healthy_for) = self.run_once(&inbox, &stop).await;
            let detail = match ending {
                Ending::Stopped => break,
                Ending::InboxClosed if stop.is_cancelled() => break,
                Ending::InboxClosed => anyhow::bail!("nobody reads the inbox of channel `{}`", self.name),
                Ending::Lost(detail) => detail,
                Ending::Closed => String::from("it closed its output"),
            };
            if healthy_for >= self.patience.healthy {
                wait = self.patience.restart;
            }
            warn!(detail, restart_in = ?wait, "the adapter ended");
            let down = ChannelEvent::Status { state: LinkState::Down, detail: Some(detail) };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                sent = inbox.send(down) => {
                    anyhow::ensure!(sent.is_ok(), "nobody reads the inbox of channel `{}`", self.name);
                }
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => break,
            }
            wait = (wait * 2).min(self.patience.longest_restart);
        }
        info!("the channel has stopped");
        Ok(())
    }

    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
        let expected = self.outgoing.expect(message.outbox_id)?;
        let command = AdapterCommand::Send {
            outbox_id: message.outbox_id,
            chat: message.chat.clone(),
            text: message.text.clone(),
            message_id: message.message_id.clone(),
            reply_to: message.reply_to.clone(),
        };
        timeout(self.patience.answer, expected.ask(command))
            .await
            .unwrap_or_else(|_| Err(SendError::Temporary("the adapter did not answer in time".to_owned())))
    }

    async fn typing(&self, chat: &str, on: bool) {
        self.outgoing.try_tell(AdapterCommand::Typing { chat: chat.to_owned(), on });
    }

    async fn refresh(&self) {
        self.outgoing.try_tell(AdapterCommand::Refresh);
    }
}

#[cfg(test)]
mod tests;
