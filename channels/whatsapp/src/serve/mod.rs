//! The adapter: from the first line to the last.
//!
//! It stays up whatever becomes of the link, and says so: a link that is over comes back when somebody links
//! again, and a process that ended would be started again and again for nothing.

mod connected;
mod send;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use longshore_protocol::PROTOCOL_VERSION;
use longshore_protocol::channel::{AdapterCommand, AdapterEvent, LinkState};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::data::{Account, AccountState, Data};
use crate::hook::Intake;
use crate::host::{self, Host};
use crate::pace::Limits;
use crate::recent::Recent;
use crate::session::Endpoint;

/// Between two looks at whether somebody has linked the account meanwhile.
const LOOK: Duration = Duration::from_secs(2);
/// From a client that gave up to the next one; doubled with each.
const RETRY: Duration = Duration::from_secs(15);
/// The longest of these times.
const LONGEST_RETRY: Duration = Duration::from_secs(15 * 60);
/// Commands that wait to be carried out; beyond them the host waits.
const COMMANDS: usize = 1024;
/// How long the last lines may take to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How to serve.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The channel's name, as in `CHANNELS`.
    pub channel: String,
    /// Where the platform is.
    pub endpoint: Endpoint,
    /// How fast to send.
    pub limits: Limits,
}

/// Why a link is not used any longer.
enum Ending {
    /// The host wants us to end.
    Stop,
    /// Nothing helps but a new link, or a restart.
    Over(LinkState, String),
    /// The client gave up; a new one may do better.
    Lost(String),
}

/// What the adapter has for as long as it runs.
struct Adapter {
    settings: Settings,
    data: Data,
    host: Arc<Host>,
    recent: Arc<Recent>,
    intake: Arc<Intake>,
    commands: mpsc::Receiver<AdapterCommand>,
    terminate: Signal,
    since: Instant,
    /// What the host was told last.
    told: Option<(LinkState, Option<String>)>,
}

/// Serves the host on stdin and stdout until it has enough.
///
/// # Errors
/// The data folder cannot be used.
pub async fn serve(settings: Settings, data: Data) -> anyhow::Result<ExitCode> {
    let terminate = signal(SignalKind::terminate())?;
    let recent = Arc::new(Recent::open(&data.recent())?);
    let (host, lines) = Host::new();
    let (sender, commands) = mpsc::channel(COMMANDS);
    let writing = tokio::spawn({
        let host = host.clone();
        async move {
            let written = host::write(lines, tokio::io::stdout()).await;
            host.leave();
            written
        }
    });
    let reading = tokio::spawn(host::read(tokio::io::stdin(), host.clone(), sender));
    let intake = Arc::new(Intake::new(host.clone(), recent.clone()));
    let mut adapter =
        Adapter { settings, data, host, recent, intake, commands, terminate, since: Instant::now(), told: None };
    adapter.run().await;
    adapter.host.leave();
    // The reader blocks in a read that cannot be interrupted; it ends with the process.
    reading.abort();
    drop(adapter);
    // The reader's host goes with its task; what was said last is still written.
    let _ = timeout(LAST_LINES, writing).await;
    Ok(ExitCode::SUCCESS)
}

impl Adapter {
    async fn run(&mut self) {
        let own_ids = match self.account() {
            Ok(Some(account)) => std::iter::once(account.phone).chain(account.hidden).collect(),
            _ => Vec::new(),
        };
        let channel = self.settings.channel.clone();
        self.host.tell(AdapterEvent::Ready { protocol: PROTOCOL_VERSION, channel, own_ids }).await;
        let mut retry = RETRY;
        loop {
            let begin = Instant::now();
            let account = self.account();
            let ending = match &account {
                Ok(Some(Account { state: AccountState::Linked, .. })) => self.use_link().await,
                Ok(_) => Ending::Over(
                    LinkState::LoggedOut,
                    "no WhatsApp account is linked; run `longshore whatsapp link`".to_owned(),
                ),
                Err(error) => Ending::Lost(format!("the account's file cannot be read: {error}")),
            };
            match ending {
                Ending::Stop => return,
                Ending::Over(state, detail) => {
                    self.status(state, Some(detail)).await;
                    // By now the file may say that the link is of no use: compare with that.
                    let known = self.account().ok().flatten();
                    if self.idle(None, &known).await {
                        return;
                    }
                }
                Ending::Lost(detail) => {
                    if begin.elapsed() > LONGEST_RETRY {
                        retry = RETRY;
                    }
                    self.status(LinkState::Down, Some(detail)).await;
                    let known = account.ok().flatten();
                    if self.idle(Some(retry), &known).await {
                        return;
                    }
                    retry = (retry * 2).min(LONGEST_RETRY);
                }
            }
        }
    }

    fn account(&self) -> std::io::Result<Option<Account>> {
        self.data.account()
    }

    /// Waits until the account is another than `known`, or for so long. Says whether the host wants us to end.
    async fn idle(&mut self, longest: Option<Duration>, known: &Option<Account>) -> bool {
        let end = longest.map(|longest| Instant::now() + longest);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    None | Some(AdapterCommand::Stop) => return true,
                    Some(command) => self.refuse(command).await,
                },
                _ = self.terminate.recv() => return true,
                () = sleep(LOOK) => {
                    if end.is_some_and(|end| Instant::now() >= end) {
                        return false;
                    }
                    // A file that cannot be read now is looked at again.
                    if let Ok(account) = self.account() && account != *known {
                        return false;
                    }
                }
            }
        }
    }

    async fn refuse(&self, command: AdapterCommand) {
        if let AdapterCommand::Send { outbox_id, .. } = command {
            let reason = "there is no link to WhatsApp".to_owned();
            self.host.tell(AdapterEvent::SendLater { outbox_id, reason }).await;
        }
    }

    /// Tells the host how the link is, once.
    async fn status(&mut self, state: LinkState, detail: Option<String>) {
        let now = (state, detail.clone());
        if self.told.as_ref() != Some(&now) {
            self.told = Some(now);
            self.host.tell(AdapterEvent::Status { state, detail }).await;
        }
    }
}
