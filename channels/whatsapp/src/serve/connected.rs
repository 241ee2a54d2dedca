//! While the account has a link: one client, and all that goes in and out by it.

use std::sync::Arc;
use std::time::Duration;

use longshore_protocol::channel::{AdapterCommand, AdapterEvent, LinkState};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use whatsapp_rust::prelude::*;

use super::{Adapter, Ending, send};
use crate::data::{Account, AccountState, Data, Group, Lock};
use crate::hook::{Hook, Intake};
use crate::map::Identity;
use crate::news::{self, News, Over};
use crate::outbox::{Outbox, Send, Unwritten};
use crate::session::{self, Session};
use crate::typing::{Show, Typing};

/// How long the keys may be another's before that is reported.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at them.
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// How long messages that were written may wait for their confirmation once the host wants us to end.
const LAST_CONFIRMATIONS: Duration = Duration::from_secs(1);
/// From a change of the groups to their listing: changes come in swarms.
const LISTING: Duration = Duration::from_secs(2);
/// How long a listing may take.
const LISTING_LIMIT: Duration = Duration::from_secs(30);
/// How long a message may take to be written: keys of all who are in a group may have to be fetched.
const WRITING_LIMIT: Duration = Duration::from_secs(40);
/// How long showing that we type may take.
const SHOWING_LIMIT: Duration = Duration::from_secs(5);

/// What was done beside the loop.
enum Done {
    Written(String, Result<(), Unwritten>),
    Listed(anyhow::Result<Vec<Group>>),
    Shown,
    Nothing,
}

/// What is under way with one client.
struct Link {
    session: Session,
    outbox: Outbox,
    typing: Typing,
    work: JoinSet<Done>,
    up: bool,
    listing: bool,
    list_again: bool,
    /// What is to be shown next, in order, and whether something is being shown.
    shows: Vec<Show>,
    showing: bool,
}

impl Adapter {
    /// Uses the link until it is over, lost, or no longer wanted.
    pub(super) async fn use_link(&mut self) -> Ending {
        let lock = match self.lock_soon().await {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ending::Lost("another `longshore-whatsapp` uses the account's folder".to_owned()),
            Err(error) => return Ending::Lost(format!("the account's folder cannot be locked: {error}")),
        };
        // The host takes a channel that is ready for one that is connected.
        self.status(LinkState::Down, Some("connecting to WhatsApp".to_owned())).await;
        let hook = Hook(self.intake.clone());
        let session = match Session::start(&self.settings.endpoint, &self.data, &lock, hook, None).await {
            Ok(session) => session,
            Err(error) => return Ending::Lost(format!("{error:#}")),
        };
        let mut link = Link {
            session,
            outbox: Outbox::new(self.settings.limits),
            typing: Typing::default(),
            work: JoinSet::new(),
            up: false,
            listing: false,
            list_again: false,
            shows: Vec::new(),
            showing: false,
        };
        let ending = self.drive(&mut link).await;
        let why = match &ending {
            Ending::Stop => "the adapter is stopping",
            Ending::Over(_, detail) | Ending::Lost(detail) => detail,
        };
        for answer in link.outbox.give_up(why) {
            self.host.tell(answer).await;
        }
        link.work.abort_all();
        match ending {
            Ending::Stop => {
                // What the host has not taken comes again.
                self.host.leave();
                link.session.abandon();
            }
            Ending::Over(..) | Ending::Lost(_) => link.session.end().await,
        }
        ending
    }

    /// Takes the keys; whoever has them may be about to end, such as the command that has just linked.
    async fn lock_soon(&self) -> std::io::Result<Option<Lock>> {
        let end = Instant::now() + LOCK_PATIENCE;
        loop {
            match self.data.lock()? {
                None if Instant::now() < end => sleep(LOCK_LOOK).await,
                locked => return Ok(locked),
            }
        }
    }

    async fn drive(&mut self, link: &mut Link) -> Ending {
        loop {
            for answer in link.outbox.expire(self.since.elapsed()) {
                self.host.tell(answer).await;
            }
            self.act(link);
            let due = link.outbox.due().into_iter().chain(link.typing.due()).min().map(|due| self.since + due);
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(AdapterCommand::Stop) => return self.stop(link).await,
                    Some(command) => self.obey(link, command).await,
                },
                _ = self.terminate.recv() => return self.stop(link).await,
                event = link.session.events.recv() => match event {
                    Ok(event) => if let Some(over) = self.hear(link, event).await {
                        return over;
                    },
                    Err(_) => return Ending::Lost("the client has ended".to_owned()),
                },
                () = &mut link.session.running => return self.run_out(link).await,
                Some(done) = link.work.join_next() => match done {
                    Ok(done) => self.finish(link, done).await,
                    Err(error) => tracing::error!(%error, "a task of the adapter died"),
                },
                () = until(due) => {}
            }
        }
    }

    /// Starts what is due by now.
    fn act(&self, link: &mut Link) {
        let now = self.since.elapsed();
        for message in link.outbox.take_due(now, rand::random::<f64>) {
            let (client, recent) = (link.session.client.clone(), self.recent.clone());
            link.work.spawn(async move {
                let written = timeout(WRITING_LIMIT, send::send(&client, &recent, &message)).await;
                let late = || Err(Unwritten::Failed("it could not be written in time".to_owned()));
                Done::Written(message.message_id, written.unwrap_or_else(|_| late()))
            });
        }
        if link.up {
            let shown = link.typing.tick(now);
            show(link, shown);
        } else {
            // Once connected again, whoever still types says so.
            link.shows.clear();
        }
    }

    async fn obey(&mut self, link: &mut Link, command: AdapterCommand) {
        match command {
            AdapterCommand::Send { outbox_id, chat, text, message_id, reply_to } => {
                let message = Send { outbox_id, chat, text, message_id, reply_to };
                if send::is_done(&self.recent, &message) {
                    let Send { outbox_id, message_id, .. } = message;
                    self.host.tell(AdapterEvent::Sent { outbox_id, message_id }).await;
                } else if let Some(answer) = link.outbox.push(message, self.since.elapsed()) {
                    self.host.tell(answer).await;
                }
            }
            AdapterCommand::Typing { chat, on } => {
                let shown = link.typing.set(&chat, on, self.since.elapsed());
                if link.up {
                    show(link, shown);
                }
            }
            AdapterCommand::Refresh => list(link, Duration::ZERO),
            AdapterCommand::Ack { .. } | AdapterCommand::Stop => {}
        }
    }

    async fn hear(&mut self, link: &mut Link, event: Arc<Event>) -> Option<Ending> {
        match news::read(&event)? {
            News::Up => {
                link.up = true;
                link.outbox.connected();
                self.remember(&link.session.client);
                self.status(LinkState::Up, None).await;
                let shown = link.typing.connected(self.since.elapsed());
                show(link, shown);
                list(link, Duration::ZERO);
            }
            News::Down(detail) => {
                link.up = false;
                link.outbox.disconnected();
                self.status(LinkState::Down, Some(detail)).await;
            }
            News::Over(over) => return Some(self.over(over)),
            News::Confirmed { id, refusal } => {
                if let Some((message, answer)) = link.outbox.confirmed(&id, refusal.as_deref()) {
                    if refusal.is_none()
                        && let Err(error) = self.recent.confirmed(&message.chat, &id)
                    {
                        tracing::warn!(%error, "the adapter's own record cannot be written");
                    }
                    self.host.tell(answer).await;
                }
            }
            News::GroupsChanged => list(link, LISTING),
            News::Late => late(link, &self.intake, event),
            News::Unreadable => tracing::info!("a message could not be read; its sender is asked for it again"),
        }
        None
    }

    fn over(&self, over: Over) -> Ending {
        if over.unlinked
            && let Ok(Some(account)) = self.data.account()
        {
            let account = Account { state: AccountState::LoggedOut, ..account };
            if let Err(error) = self.data.set_account(&account) {
                tracing::warn!(%error, "the account's file cannot be written");
            }
        }
        Ending::Over(over.state, over.detail)
    }

    /// The client has given up; its last events may say why.
    async fn run_out(&mut self, link: &mut Link) -> Ending {
        while let Ok(event) = link.session.events.try_recv() {
            if let Some(ending) = self.hear(link, event).await {
                return ending;
            }
        }
        let detail = match &self.told {
            Some((LinkState::Down, Some(detail))) => detail.clone(),
            _ => "the connection to WhatsApp ended".to_owned(),
        };
        Ending::Lost(detail)
    }

    /// Waits a moment for what was written to be confirmed, so that it is not sent again.
    async fn stop(&mut self, link: &mut Link) -> Ending {
        if link.up {
            let shown = link.typing.clear();
            show(link, shown);
        }
        let end = Instant::now() + LAST_CONFIRMATIONS;
        while link.up && (link.outbox.is_in_flight() || !link.work.is_empty()) {
            tokio::select! {
                event = link.session.events.recv() => match event {
                    Ok(event) => if self.hear(link, event).await.is_some() { break },
                    Err(_) => break,
                },
                Some(done) = link.work.join_next() => if let Ok(done) = done { self.finish(link, done).await },
                () = sleep_until(end) => break,
            }
        }
        Ending::Stop
    }

    async fn finish(&mut self, link: &mut Link, done: Done) {
        match done {
            Done::Written(_, Ok(())) | Done::Nothing => {}
            Done::Shown => {
                link.showing = false;
                show(link, Vec::new());
            }
            Done::Written(id, Err(why)) => {
                if let Some(answer) = link.outbox.unwritten(&id, why) {
                    self.host.tell(answer).await;
                }
            }
            Done::Listed(listed) => {
                link.listing = false;
                match listed {
                    Ok(groups) => self.tell_groups(&groups).await,
                    Err(error) => tracing::warn!("the groups could not be listed: {error:#}"),
                }
                if std::mem::take(&mut link.list_again) {
                    list(link, LISTING);
                }
            }
        }
    }

    async fn tell_groups(&self, groups: &[Group]) {
        if let Err(error) = self.data.set_groups(groups) {
            tracing::warn!(%error, "the list of groups cannot be written");
        }
        for group in groups {
            let (chat, name) = (group.chat.clone(), group.name.clone());
            self.host.tell(AdapterEvent::Chat { chat, name, is_group: true }).await;
        }
    }

    /// Keeps the account's file true: the platform may have told us the hidden id, or another name.
    fn remember(&self, client: &Client) {
        let written = refresh(&self.data, client);
        if let Err(error) = written {
            tracing::warn!(%error, "the account's file cannot be written");
        }
    }
}

fn refresh(data: &Data, client: &Client) -> std::io::Result<()> {
    let Some(now) = session::account(client) else { return Ok(()) };
    let known = data.account()?;
    let linked_at = known.as_ref().map_or_else(|| now.linked_at.clone(), |known| known.linked_at.clone());
    let now = Account { linked_at, ..now };
    if known.as_ref() == Some(&now) { Ok(()) } else { data.set_account(&now) }
}

/// Lists the groups, once at a time.
fn list(link: &mut Link, after: Duration) {
    if link.listing {
        link.list_again = true;
        return;
    }
    link.listing = true;
    let client = link.session.client.clone();
    link.work.spawn(async move {
        sleep(after).await;
        let listed = timeout(LISTING_LIMIT, session::groups(&client)).await;
        Done::Listed(listed.unwrap_or_else(|_| Err(anyhow::anyhow!("it takes too long"))))
    });
}

/// Shows whether we type, one thing after the other. Best effort.
fn show(link: &mut Link, shown: Vec<Show>) {
    link.shows.extend(shown);
    if link.showing || link.shows.is_empty() {
        return;
    }
    link.showing = true;
    let shows = std::mem::take(&mut link.shows);
    let client = link.session.client.clone();
    link.work.spawn(async move {
        let all = async {
            for show in shows {
                if let Err(error) = show_one(&client, show).await {
                    tracing::debug!("that we type could not be shown: {error:#}");
                }
            }
        };
        let _ = timeout(SHOWING_LIMIT, all).await;
        Done::Shown
    });
}

async fn show_one(client: &Client, show: Show) -> anyhow::Result<()> {
    match show {
        Show::Available => client.presence().set_available().await?,
        Show::Unavailable => client.presence().set_unavailable().await?,
        Show::Composing(chat) => client.chatstate().send_composing(&chat.parse()?).await?,
        Show::Paused(chat) => client.chatstate().send_paused(&chat.parse()?).await?,
    }
    Ok(())
}

/// Messages that came past the hook go to the host all the same.
fn late(link: &mut Link, intake: &Arc<Intake>, event: Arc<Event>) {
    let (intake, me): (_, Identity) = (intake.clone(), link.session.identity());
    link.work.spawn(async move {
        if let Err(error) = intake.take(&me, event.messages()).await {
            tracing::warn!("a message that the platform does not bring again was not stored: {error:#}");
        }
        Done::Nothing
    });
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
