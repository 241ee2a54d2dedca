//! The link to one child, from its start to its end.
//!
//! Reading, acknowledging, writing and logging run side by side in one task, so that none is left
//! behind when the link ends. The queues between them are bounded: an adapter that floods us waits, and
//! one that doesn't read what we write is ended.

use std::io;

use longshore_protocol::channel::{AdapterCommand, AdapterEvent, LinkState};
use longshore_protocol::line::LineBuffer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::Patience;
use super::inbound::{self, Lines, Reading};
use super::outgoing::Outgoing;
use super::process::{Life, Process};
use crate::channel::{ChannelEvent, Inbox, SendError, Stored};
use crate::stop::Stop;

/// How many messages may wait for their rows.
const UNSTORED: usize = 1024;
/// How many lines may wait to be written.
const UNWRITTEN: usize = 64;

/// Why a link ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was told to.
    Stopped,
    /// The host doesn't take events any more.
    InboxClosed,
    /// The child closed its output, and may live on.
    Closed,
    /// The child died or is no use; why.
    Lost(String),
}

/// What a link needs besides its child.
pub(super) struct Link<'a> {
    pub(super) name: &'a str,
    pub(super) patience: &'a Patience,
    pub(super) outgoing: &'a Outgoing,
    pub(super) inbox: &'a Inbox,
}

/// A message, edit or deletion that is being stored.
struct Unstored {
    ack: AdapterCommand,
    stored: oneshot::Receiver<Stored>,
}

impl Link<'_> {
    /// Serves the child until it ends, is ended, or the host stops.
    ///
    /// Sets `ready_since` once it is ready. Afterwards no process of the child's group is left.
    pub(super) async fn run(self, process: Process, stop: &Stop, ready_since: &mut Option<Instant>) -> Ending {
        let Process { stdin, stdout, stderr, mut life } = process;
        let (commands, to_write) = mpsc::channel(UNWRITTEN);
        let (unstored, to_store) = mpsc::channel(UNSTORED);
        let (ready, is_ready) = oneshot::channel();

        let ending = {
            let serving = async {
                tokio::select! {
                    ending = self.read(stdout, commands.clone(), unstored, ready) => ending,
                    error = self.write(stdin, to_write) => Ending::Lost(error),
                    never = acknowledge(to_store, commands.clone()) => never,
                    never = then_never(inbound::log(stderr)) => never,
                    never = self.get_ready(is_ready, ready_since) => never,
                }
            };
            tokio::pin!(serving);
            tokio::select! {
                ending = &mut serving => ending,
                how = life.ended() => {
                    // What it wrote before it died is read, unless a process that it left behind keeps writing.
                    life.kill();
                    match timeout(self.patience.grace, &mut serving).await {
                        Ok(Ending::InboxClosed) => Ending::InboxClosed,
                        _ => Ending::Lost(how),
                    }
                }
                () = stop.cancelled() => {
                    self.outgoing.close("the channel is stopping");
                    let tell = async { drop(commands.send(AdapterCommand::Stop).await) };
                    let end = async {
                        tokio::select! { _ = &mut serving => {} _ = life.ended() => return, never = then_never(tell) => never }
                        life.ended().await;
                    };
                    let _ = timeout(self.patience.grace, end).await;
                    Ending::Stopped
                }
            }
        };
        self.outgoing.forget();
        let ending = self.bury(ending, &mut life).await;
        debug!(?ending, "the link ended");
        ending
    }

    /// Sees to it that nothing of the child is left, and finds out how one that fell silent ended.
    async fn bury(&self, ending: Ending, life: &mut Life) -> Ending {
        let ending = match ending {
            // Mostly it is about to end by itself.
            Ending::Closed => match timeout(self.patience.grace, life.ended()).await {
                Ok(how) => Ending::Lost(how),
                Err(_) => Ending::Lost("it closed its output".to_owned()),
            },
            ending => ending,
        };
        life.kill();
        let _ = timeout(self.patience.grace, life.ended()).await;
        ending
    }

    /// Reads the child's lines until they end.
    async fn read(
        &self,
        stdout: impl AsyncRead + Unpin,
        commands: mpsc::Sender<AdapterCommand>,
        unstored: mpsc::Sender<Unstored>,
        ready: oneshot::Sender<()>,
    ) -> Ending {
        let mut lines = Lines::new(stdout, LineBuffer::default());
        let mut reading = Reading::default();
        let mut own_ids = None;
        let mut ready = Some(ready);
        while let Some(lines) = lines.next().await {
            for line in lines {
                let Some(event) = reading.event(line) else { continue };
                let handled = match (&own_ids, event) {
                    (None, AdapterEvent::Ready { protocol, channel, own_ids: ids }) => {
                        if let Some(why) = inbound::unfit(self.name, protocol, &channel) {
                            return Ending::Lost(why);
                        }
                        own_ids = Some(ids);
                        self.outgoing.open(commands.clone());
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                        self.report(ChannelEvent::Status { state: LinkState::Up, detail: None }).await
                    }
                    (None, _) => {
                        reading.skip("it came before `ready`", 0);
                        Ok(())
                    }
                    (Some(own_ids), event) => self.handle(event, own_ids, &commands, &unstored).await,
                };
                if let Err(ending) = handled {
                    return ending;
                }
            }
        }
        Ending::Closed
    }

    /// Does what a line asks for.
    async fn handle(
        &self,
        event: AdapterEvent,
        own_ids: &[String],
        commands: &mpsc::Sender<AdapterCommand>,
        unstored: &mpsc::Sender<Unstored>,
    ) -> Result<(), Ending> {
        match event {
            AdapterEvent::Ready { .. } => debug!("the adapter said again that it is ready"),
            AdapterEvent::Message(mut message) => {
                inbound::recognise(&mut message, own_ids);
                let ack = ack(&message.chat, &message.sender, &message.id);
                return self.deliver(ack, |stored| ChannelEvent::Message { message, stored }, unstored).await;
            }
            AdapterEvent::Edit(edit) => {
                let ack = ack(&edit.chat, &edit.sender, &edit.id);
                return self.deliver(ack, |stored| ChannelEvent::Edit { edit, stored }, unstored).await;
            }
            AdapterEvent::Delete(deletion) => {
                let ack = ack(&deletion.chat, &deletion.sender, &deletion.id);
                return self.deliver(ack, |stored| ChannelEvent::Delete { deletion, stored }, unstored).await;
            }
            AdapterEvent::Chat { chat, name, is_group } => {
                return self.report(ChannelEvent::Chat { chat, name, is_group }).await;
            }
            AdapterEvent::Status { state, detail } => {
                info!(?state, detail, "the link to the platform changed");
                match state {
                    LinkState::Up => self.outgoing.open(commands.clone()),
                    state => self.outgoing.close(detail.as_deref().unwrap_or(reason(state))),
                }
                return self.report(ChannelEvent::Status { state, detail }).await;
            }
            AdapterEvent::Sent { outbox_id, .. } => self.answer(outbox_id, Ok(())),
            AdapterEvent::SendFailed { outbox_id, error, permanent } => {
                let failure = if permanent { SendError::Permanent(error) } else { SendError::Temporary(error) };
                self.answer(outbox_id, Err(failure));
            }
            AdapterEvent::SendLater { outbox_id, reason } => {
                self.answer(outbox_id, Err(SendError::Unavailable(reason)));
            }
        }
        Ok(())
    }

    /// Puts what is to be stored into the inbox and goes on; [`acknowledge`] waits for its commit.
    async fn deliver(
        &self,
        ack: AdapterCommand,
        event: impl FnOnce(oneshot::Sender<Stored>) -> ChannelEvent,
        unstored: &mpsc::Sender<Unstored>,
    ) -> Result<(), Ending> {
        let (answer, stored) = oneshot::channel();
        self.report(event(answer)).await?;
        // Its reader lives as long as we do.
        let _ = unstored.send(Unstored { ack, stored }).await;
        Ok(())
    }

    async fn report(&self, event: ChannelEvent) -> Result<(), Ending> {
        self.inbox.send(event).await.map_err(|_| Ending::InboxClosed)
    }

    fn answer(&self, outbox_id: i64, answer: Result<(), SendError>) {
        if !self.outgoing.answer(outbox_id, answer) {
            debug!(outbox_id, "the adapter answered what nobody waits for");
        }
    }

    /// Ends the link if `ready` doesn't come in time; otherwise never returns.
    async fn get_ready(&self, ready: oneshot::Receiver<()>, since: &mut Option<Instant>) -> Ending {
        tokio::select! {
            Ok(()) = ready => *since = Some(Instant::now()),
            () = sleep(self.patience.ready) => return Ending::Lost("it did not say `ready` in time".to_owned()),
        }
        std::future::pending().await
    }

    /// Writes lines, until one can't be written; says why.
    ///
    /// Closes the child's input after `stop`.
    async fn write(&self, stdin: impl AsyncWrite + Unpin, mut commands: mpsc::Receiver<AdapterCommand>) -> String {
        let mut stdin = Some(stdin);
        while let Some(command) = commands.recv().await {
            let Some(input) = &mut stdin else { continue };
            match timeout(self.patience.read, write_line(input, &command)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return format!("it does not take lines: {error}"),
                Err(_) => return "it does not read its input".to_owned(),
            }
            if command == AdapterCommand::Stop {
                stdin = None;
            }
        }
        std::future::pending().await
    }
}

fn ack(chat: &str, sender: &str, id: &str) -> AdapterCommand {
    AdapterCommand::Ack { chat: chat.to_owned(), sender: sender.to_owned(), id: id.to_owned() }
}

/// Does something beside others that alone decide when all is over.
async fn then_never<T>(work: impl Future<Output = ()>) -> T {
    work.await;
    std::future::pending().await
}

async fn write_line(stdin: &mut (impl AsyncWrite + Unpin), command: &AdapterCommand) -> io::Result<()> {
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await
}

/// Acknowledges messages in the order in which they came, as they get their rows. Never returns.
async fn acknowledge(mut unstored: mpsc::Receiver<Unstored>, commands: mpsc::Sender<AdapterCommand>) -> Ending {
    while let Some(Unstored { ack, stored }) = unstored.recv().await {
        match stored.await {
            // The writer lives as long as we do.
            Ok(Stored { .. }) => drop(commands.send(ack).await),
            Err(_) => warn!("a message was not stored; the adapter has to bring it again"),
        }
    }
    std::future::pending().await
}

/// Why nothing can be sent while the link is in this state.
fn reason(state: LinkState) -> &'static str {
    match state {
        LinkState::Up => "the platform is connected",
        LinkState::Down => "the platform is not connected",
        LinkState::NeedQr => "a QR code waits to be scanned",
        LinkState::NeedPairCode => "a pair code waits to be typed",
        LinkState::NeedPasskey => "the platform asks for a passkey",
        LinkState::LoggedOut => "the link to the platform was removed",
        LinkState::Banned => "the platform banned the account",
        LinkState::Replaced => "another client took the link over",
        LinkState::Outdated => "the adapter is too old for the platform",
    }
}
