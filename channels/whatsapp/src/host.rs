//! The host, at the other end of stdin and stdout.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use longshore_protocol::channel::{AdapterCommand, AdapterEvent};
use longshore_protocol::line::{Line, LineBuffer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot, watch};

/// Lines that wait to be written; beyond them whoever writes waits.
const WAITING: usize = 256;
/// How long the host may take to store what it was given, before it is given it again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is given something before that is left to the platform's next delivery.
const ROUNDS: usize = 4;

/// What an acknowledgement names: chat, sender, id.
type Key = (String, String, String);

/// The host did not store what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the host has not stored it")]
pub struct NotStored;

/// The way to the host.
#[derive(Debug)]
pub struct Host {
    lines: mpsc::Sender<AdapterEvent>,
    expected: Mutex<HashMap<Key, Vec<oneshot::Sender<()>>>>,
    gone: watch::Sender<bool>,
}

impl Host {
    /// The way to a host, and the lines that are to be written to it.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::Receiver<AdapterEvent>) {
        let (lines, written) = mpsc::channel(WAITING);
        (Arc::new(Self { lines, expected: Mutex::default(), gone: watch::Sender::new(false) }), written)
    }

    /// Says something for which no answer comes. Does nothing once the host is gone.
    pub async fn tell(&self, event: AdapterEvent) {
        let mut gone = self.gone.subscribe();
        tokio::select! {
            _ = self.lines.send(event) => {}
            _ = gone.wait_for(|gone| *gone) => {}
        }
    }

    /// Gives the host what it is to store, with what it is to know before, and returns once it has stored
    /// everything.
    ///
    /// # Errors
    /// It is gone, or has not stored it all after being given it again and again.
    pub async fn deliver(&self, events: &[AdapterEvent]) -> Result<(), NotStored> {
        let mut gone = self.gone.subscribe();
        tokio::select! {
            delivered = self.repeat(events) => delivered,
            _ = gone.wait_for(|gone| *gone) => Err(NotStored),
        }
    }

    async fn repeat(&self, events: &[AdapterEvent]) -> Result<(), NotStored> {
        let mut missing: Vec<(&AdapterEvent, oneshot::Receiver<()>)> = Vec::new();
        for event in events {
            missing.extend(key(event).map(|key| (event, self.expect(key))));
            self.lines.send(event.clone()).await.map_err(|_| NotStored)?;
        }
        for round in 1..=ROUNDS {
            let patience = tokio::time::sleep(PATIENCE);
            tokio::pin!(patience);
            let mut left = Vec::new();
            for (event, mut stored) in missing {
                tokio::select! {
                    biased;
                    Ok(()) = &mut stored => {}
                    () = &mut patience => left.push((event, stored)),
                }
            }
            missing = left;
            if missing.is_empty() {
                return Ok(());
            }
            if round < ROUNDS {
                tracing::warn!(count = missing.len(), "the host has not stored messages; it gets them again");
                for (event, _) in &missing {
                    self.lines.send((*event).clone()).await.map_err(|_| NotStored)?;
                }
            }
        }
        Err(NotStored)
    }

    fn expect(&self, key: Key) -> oneshot::Receiver<()> {
        let (stored, expected) = oneshot::channel();
        let mut waiting = self.expected();
        // Whoever gave up leaves its place behind.
        if waiting.len() >= WAITING {
            waiting.retain(|_, who| who.iter().any(|stored| !stored.is_closed()));
        }
        waiting.entry(key).or_default().push(stored);
        expected
    }

    /// The host has stored it.
    pub fn acknowledged(&self, chat: String, sender: String, id: String) {
        for stored in self.expected().remove(&(chat, sender, id)).into_iter().flatten() {
            // Whoever waited may have given up.
            let _ = stored.send(());
        }
    }

    /// The host is gone, or wants us gone: nobody waits for it any more.
    pub fn leave(&self) {
        self.gone.send_replace(true);
    }

    /// Whether [`Host::leave`] was called.
    #[must_use]
    pub fn has_left(&self) -> bool {
        *self.gone.borrow()
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<Key, Vec<oneshot::Sender<()>>>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(event: &AdapterEvent) -> Option<Key> {
    let (chat, sender, id) = match event {
        AdapterEvent::Message(message) => (&message.chat, &message.sender, &message.id),
        AdapterEvent::Edit(edit) => (&edit.chat, &edit.sender, &edit.id),
        AdapterEvent::Delete(deletion) => (&deletion.chat, &deletion.sender, &deletion.id),
        _ => return None,
    };
    Some((chat.clone(), sender.clone(), id.clone()))
}

/// Writes lines until there are no more, or until they cannot be written.
///
/// # Errors
/// Of writing.
pub async fn write(mut lines: mpsc::Receiver<AdapterEvent>, mut out: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(event) = lines.recv().await {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        out.write_all(&line).await?;
        // Nothing follows at once: what is written must not wait for it.
        if lines.is_empty() {
            out.flush().await?;
        }
    }
    Ok(())
}

/// Reads the host's lines until they end; acknowledgements are seen to at once, the rest is passed on.
pub async fn read(mut input: impl AsyncRead + Unpin, host: Arc<Host>, commands: mpsc::Sender<AdapterCommand>) {
    let mut buffer = LineBuffer::default();
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = input.read(&mut bytes).await {
        for line in buffer.push(&bytes[..count]) {
            let Line::Complete(line) = line else {
                tracing::warn!("a line of the host was too long");
                continue;
            };
            match serde_json::from_slice(&line) {
                Ok(AdapterCommand::Ack { chat, sender, id }) => host.acknowledged(chat, sender, id),
                Ok(command) => {
                    if commands.send(command).await.is_err() {
                        return;
                    }
                }
                // A newer host may know more words.
                Err(error) => tracing::debug!(%error, "a line of the host was skipped"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use longshore_protocol::channel::ChatDeletion;

    use super::*;

    fn deletion(id: &str) -> AdapterEvent {
        let (chat, sender, target) = ("c".into(), "s".into(), "t".into());
        AdapterEvent::Delete(Box::new(ChatDeletion { id: id.into(), chat, sender, target }))
    }

    fn acknowledge(host: &Host, event: &AdapterEvent) {
        let (chat, sender, id) = key(event).unwrap();
        host.acknowledged(chat, sender, id);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_host_does_not_store_it_is_given_again() {
        let (host, mut lines) = Host::new();
        let giving = tokio::spawn({
            let host = host.clone();
            async move { host.deliver(&[deletion("1"), deletion("2")]).await }
        });
        assert_eq!(lines.recv().await, Some(deletion("1")));
        acknowledge(&host, &deletion("1"));
        assert_eq!(lines.recv().await, Some(deletion("2")));
        assert_eq!(lines.recv().await, Some(deletion("2")));
        acknowledge(&host, &deletion("2"));
        assert_eq!(giving.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_stores_is_left() {
        let (host, lines) = Host::new();
        assert_eq!(host.deliver(&[deletion("1")]).await, Err(NotStored));
        assert_eq!(lines.len(), ROUNDS);
        host.leave();
        assert_eq!(host.deliver(&[deletion("2")]).await, Err(NotStored));
    }

    #[tokio::test]
    async fn a_word_that_is_not_known_is_skipped() {
        let (host, _lines) = Host::new();
        let (commands, mut heard) = mpsc::channel(4);
        let input = b"{\"type\":\"dance\"}\nrubbish\n{\"type\":\"stop\"}\n{\"type\":\"st";
        read(&input[..], host, commands).await;
        assert_eq!(heard.recv().await, Some(AdapterCommand::Stop));
        assert_eq!(heard.recv().await, None);
    }
}
