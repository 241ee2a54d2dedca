//! The host's end of the control socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_protocol::line::{Line, LineBuffer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::tasks::TaskDoor;
use super::{Request, Response, Stopped};
use crate::channel::console::{self, Console, Heard};
use crate::clock::Clock;
use crate::container::ContainerRuntime;
use crate::container::resident::Residents;
use crate::deliver::Outbound;
use crate::groups::Group;
use crate::groups::watch::Snapshot;
use crate::metrics::Metrics;
use crate::senders::Senders;
use crate::stop::Stop;
use crate::store::Store;
use crate::store::messages::Outcome;
use crate::turn::stops::Stops;
use crate::update::lookout::News;
use crate::upkeep::Health;
use crate::usage::meter::Meter;

/// How long a waiting message's outcome is not looked at when nothing moved: catches a lost wake.
pub(super) const LOOK: Duration = Duration::from_secs(5);
/// Answers on their way to one client.
const ANSWERS: usize = 256;

/// What the control socket can see.
pub struct Control {
    /// The console channel.
    pub console: Arc<Console>,
    /// The store.
    pub store: Store,
    /// How the store's file is.
    pub health: Health,
    /// Which releases of the CLIs there are.
    pub news: News,
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// Who may wake agents.
    pub senders: watch::Receiver<Arc<Senders>>,
    /// The channels' links.
    pub outbound: Outbound,
    /// The warm containers.
    pub residents: Arc<Residents>,
    /// What the groups have used.
    pub meter: Arc<Meter>,
    /// The running turns.
    pub stops: Stops,
    /// What the host counts.
    pub metrics: Metrics,
    /// How many groups may run at once.
    pub slots: usize,
    /// The database's file.
    pub database: PathBuf,
    /// The time.
    pub clock: Clock,
    /// The engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// The way to the tasks.
    pub tasks: TaskDoor,
    /// The assistant's name.
    pub assistant: String,
    /// Whether the stand-in answers.
    pub rehearsal: bool,
    /// When the host became ready.
    pub since: Instant,
}

/// Serves clients until told to stop.
pub async fn serve(control: Arc<Control>, listener: UnixListener, stop: Stop) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(clients.spawn(client(control.clone(), stream))),
                Err(error) => {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn client(control: Arc<Control>, stream: UnixStream) {
    let (mut reader, writer) = stream.into_split();
    let (answers, outgoing) = mpsc::channel(ANSWERS);
    let mut tasks = JoinSet::new();
    tasks.spawn(write(writer, outgoing));
    let mut session = Session { control, answers, attached: None };
    let mut lines = LineBuffer::default();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = reader.read(&mut buffer).await {
        for line in lines.push(&buffer[..read]) {
            let result = match &line {
                Line::Complete(bytes) => match serde_json::from_slice(bytes) {
                    Ok(request) => session.handle(request, &mut tasks).await,
                    Err(error) => Err(format!("not a request: {error}")),
                },
                Line::TooLong { bytes } => Err(format!("a line of {bytes} bytes is too long")),
            };
            if let Err(message) = result
                && session.answers.send(Response::Error { message }).await.is_err()
            {
                return;
            }
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Response>) {
    while let Some(response) = outgoing.recv().await {
        let Ok(mut line) = serde_json::to_vec(&response) else { continue };
        line.push(b'\n');
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

struct Session {
    control: Arc<Control>,
    answers: mpsc::Sender<Response>,
    attached: Option<Arc<Group>>,
}

impl Session {
    /// Serves one request; the error is for the person at the other end.
    async fn handle(&mut self, request: Request, tasks: &mut JoinSet<()>) -> Result<(), String> {
        match request {
            Request::Attach { group } => self.attach(&group, tasks).await,
            Request::Say { text } => self.say(text, tasks).await,
            Request::Status => {
                let status = Box::new(self.control.status().await);
                self.answer(Response::Status(status)).await
            }
            Request::Metrics => {
                let text = self.control.exposition().await;
                self.answer(Response::Metrics { text }).await
            }
            Request::Stop { group } => {
                let stopped = self.control.stop(&group).await?;
                self.answer(Response::Stopped { stopped }).await
            }
            Request::Tasks { command } => {
                let reply = self.control.tasks(command).await?;
                self.answer(Response::Tasks { reply }).await
            }
            Request::Outbox { command } => {
                let reply = self.control.outbox(command).await?;
                self.answer(Response::Outbox { reply }).await
            }
            Request::Follow { rows } => {
                tasks.spawn(super::outbox::follow(self.control.clone(), rows, self.answers.clone()));
                Ok(())
            }
        }
    }

    async fn attach(&mut self, wanted: &str, tasks: &mut JoinSet<()>) -> Result<(), String> {
        let group = self.control.console_group(wanted)?;
        let mut heard = self.control.console.attach(&group.chat).await;
        let attached = Response::Attached {
            group: group.id.clone(),
            name: group.name.clone(),
            provider: group.provider,
            assistant: self.control.assistant.clone(),
            rehearsal: self.control.rehearsal,
        };
        self.attached = Some(group);
        self.answer(attached).await?;
        let answers = self.answers.clone();
        tasks.spawn(async move {
            while let Some(heard) = heard.recv().await {
                let response = match heard {
                    Heard::Text { outbox_id, text } => Response::Text { outbox_id, text },
                    Heard::Typing(on) => Response::Typing { on },
                };
                if answers.send(response).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    async fn say(&self, text: String, tasks: &mut JoinSet<()>) -> Result<(), String> {
        let group = self.attached.as_ref().ok_or("attach to a group first")?;
        if text.trim().is_empty() {
            return Err("there is nothing in the message".into());
        }
        let stored = self.control.console.say(&group.chat, text).await.map_err(|error| error.to_string())?;
        let seq = stored.seq.ok_or("the group is no longer registered")?;
        self.answer(Response::Accepted { seq }).await?;
        tasks.spawn(follow(self.control.clone(), seq, self.answers.clone()));
        Ok(())
    }

    async fn answer(&self, response: Response) -> Result<(), String> {
        self.answers.send(response).await.map_err(|_| "the client is gone".into())
    }
}

/// Tells what becomes of a message.
async fn follow(control: Arc<Control>, seq: i64, answers: mpsc::Sender<Response>) {
    let mut told_retry = None;
    let mut moved = control.outbound.moved();
    loop {
        moved.mark_unchanged();
        let response = match control.store.outcome(seq).await {
            Ok(Outcome::Open { retry_at }) if retry_at != told_retry && retry_at.is_some() => {
                told_retry = retry_at;
                retry_at.map(|at| Response::Retrying { seq, at: at.to_string() })
            }
            Ok(Outcome::Open { .. }) => None,
            Ok(Outcome::Context { route }) => Some(Response::NotAnswered { seq, reason: route }),
            Ok(Outcome::Ended { failure, outbox }) => Some(Response::Ended { seq, failure, outbox }),
            Err(error) => Some(Response::Error { message: error.to_string() }),
        };
        let over = !matches!(response, None | Some(Response::Retrying { .. }));
        if let Some(response) = response
            && answers.send(response).await.is_err()
        {
            return;
        }
        if over {
            return;
        }
        // Ends early when the host stops; the next look then fails and says so.
        let _ = tokio::time::timeout(LOOK, moved.changed()).await;
    }
}

impl Control {
    fn console_group(&self, wanted: &str) -> Result<Arc<Group>, String> {
        let snapshot = self.groups.borrow().clone();
        let groups = &snapshot.groups;
        let prefix = format!("{}:", console::NAME);
        let found = groups
            .iter()
            .find(|group| group.id.as_str() == wanted || group.chat == wanted || group.name == wanted)
            .cloned();
        match found {
            Some(group) if group.chat.starts_with(&prefix) => Ok(group),
            Some(group) => Err(format!(
                "group `{}` is the chat `{}`, which is not on the console; write to it there",
                group.id, group.chat
            )),
            None => {
                let known: Vec<String> = groups
                    .iter()
                    .filter(|group| group.chat.starts_with(&prefix))
                    .map(|group| format!("`{}`", group.id))
                    .collect();
                let rejected = match snapshot.problems.len() {
                    0 => String::new(),
                    problems => format!(" (the groups file has {problems} problem(s): see `longshore groups`)"),
                };
                Err(if known.is_empty() {
                    format!(
                        "there is no group `{wanted}`, and no group on the console; add one with a chat `{prefix}<name>` to data/registered_groups.json{rejected}"
                    )
                } else {
                    format!(
                        "there is no group `{wanted}`; the groups on the console are {}{rejected}",
                        known.join(", ")
                    )
                })
            }
        }
    }

    async fn stop(&self, wanted: &str) -> Result<Stopped, String> {
        let groups = self.groups.borrow().groups.clone();
        let found = groups.iter().find(|group| group.id.as_str() == wanted || group.name == wanted);
        let group = found.ok_or_else(|| format!("there is no group `{wanted}`; `longshore groups` lists them"))?;
        if self.stops.stop(&group.id) {
            return Ok(Stopped::Running);
        }
        let waited = self.store.stop_waiting(group.id.clone(), group.chat.clone(), self.clock.now()).await;
        self.outbound.look();
        match waited {
            Ok(true) => Ok(Stopped::Waiting),
            Ok(false) => Ok(Stopped::Nothing),
            Err(error) => Err(error.to_string()),
        }
    }
}
