//! A host without an engine: containers are played by scripts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore::broker::{Broker, Upstreams};
use longshore::channel::{Channel, ChannelEvent, Inbox, OutboundMessage, SendError};
use longshore::clock::{Clock, Hands};
use longshore::container::installation::Installation;
use longshore::container::resident::{ResidentSettings, Residents};
use longshore::container::{
    Attached, ContainerId, ContainerRuntime, ContainerSpec, Existing, Exit, ImageInfo, Output, RuntimeError,
};
use longshore::deliver::{Outbound, deliver};
use longshore::groups::watch::Snapshot;
use longshore::groups::{Groups, load};
use longshore::intake::Intake;
use longshore::memory::Memory;
use longshore::queue::dispatch::{Wakes, dispatch};
use longshore::stop::Stop;
use longshore::store::Store;
use longshore::turn::recover::recover;
use longshore::turn::run::TurnRunner;
use longshore_protocol::channel::ChatMessage;
use longshore_protocol::{PROTOCOL_VERSION, RunnerCommand, RunnerEvent, TurnRequest};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a scripted container does next.
pub(crate) enum Line {
    /// Writes an event.
    Event(RunnerEvent),
    /// Writes this.
    Raw(String),
    /// Does nothing for so long.
    Pause(Duration),
    /// Ends.
    Die { code: i64, out_of_memory: bool },
}

type Script = Arc<dyn Fn(&TurnRequest) -> Vec<Line> + Send + Sync>;

struct Actors {
    protocol: u32,
    otherwise: Script,
    scripts: Mutex<HashMap<usize, Script>>,
    requests: Mutex<Vec<TurnRequest>>,
    started: Mutex<usize>,
}

pub(crate) struct Stage {
    folder: TempDir,
    actors: Arc<Actors>,
    inbox: Inbox,
    replies: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    hands: Hands,
    said: AtomicU32,
    tasks: JoinSet<()>,
}

const GROUPS: &str = r#"{"test:1": {"name": "Family", "folder": "family", "trigger": "@Andy", "added_at": "x", "requiresTrigger": false}}"#;

impl Stage {
    pub(crate) async fn new(otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) -> Self {
        Self::speaking(PROTOCOL_VERSION, otherwise).await
    }

    pub(crate) async fn speaking(
        protocol: u32,
        otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static,
    ) -> Self {
        Self::open(tempfile::tempdir().unwrap(), protocol, Arc::new(otherwise)).await
    }

    async fn open(folder: TempDir, protocol: u32, otherwise: Script) -> Self {
        let root: PathBuf = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("data")).unwrap();
        let (clock, hands) = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap());
        let actors = Arc::new(Actors {
            protocol,
            otherwise,
            scripts: Mutex::default(),
            requests: Mutex::default(),
            started: Mutex::default(),
        });
        let store = Store::open(&root.join("data/longshore.db")).unwrap();
        let (told, replies) = mpsc::unbounded_channel();
        let channel: Arc<dyn Channel> = Arc::new(Person(told));
        let outbound = Outbound::new(vec![channel], store.clone());
        let (snapshots, groups) = watch::channel(snapshot(GROUPS, &Groups::default()));
        let wakes = Wakes::default();
        let intake = Intake {
            store: store.clone(),
            groups: groups.clone(),
            wakes: wakes.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
            assistant: "Andy".into(),
        };
        let upstreams =
            Upstreams::rehearsal("http://127.0.0.1:9".parse().unwrap(), "http://127.0.0.1:9".parse().unwrap());
        let residents = Residents::new(
            Arc::new(Theatre(actors.clone())),
            Broker::new(upstreams),
            ResidentSettings {
                installation: Installation::of(&root).unwrap(),
                image: "stage".into(),
                timezone: "UTC".into(),
                idle_timeout: Duration::from_secs(600),
                max_idle: 16,
            },
        );
        let runner = Arc::new(TurnRunner {
            store,
            residents: Arc::new(residents),
            groups,
            outbound: outbound.clone(),
            memory: Memory::new(&root),
            clock: clock.clone(),
            assistant: "Andy".into(),
            time_zone: TimeZone::UTC,
            max_messages: 100,
            time_limit: Duration::from_secs(1800),
            codex_model: None,
            engine_refusals: AtomicU32::new(0),
        });
        recover(&runner, None).await.unwrap();
        let mut tasks = JoinSet::new();
        let (inbox, events) = mpsc::channel(64);
        tasks.spawn(intake.run("test".into(), events));
        let (deliver_clock, stop) = (clock.clone(), Stop::new());
        tasks.spawn(async move { deliver(outbound, deliver_clock, stop).await.unwrap() });
        tasks.spawn(dispatch(Arc::new(runner), wakes, 5.try_into().unwrap(), clock, Stop::new()));
        let replies = tokio::sync::Mutex::new(replies);
        Self { folder, actors, inbox, replies, snapshots, hands, said: AtomicU32::new(0), tasks }
    }

    /// Ends everything at once, as a kill would, and opens the same store again.
    pub(crate) async fn crash(mut self, otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) -> Self {
        self.tasks.shutdown().await;
        Self::open(self.folder, PROTOCOL_VERSION, Arc::new(otherwise)).await
    }

    /// What the n-th turn request (from 0) is answered with.
    pub(crate) fn script(&self, number: usize, script: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) {
        self.actors.scripts.lock().unwrap().insert(number, Arc::new(script));
    }

    /// Somebody says something; returns when it is stored.
    pub(crate) async fn hear(&self, text: &str) {
        let number = self.said.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let message = ChatMessage {
            id: format!("m{number}-{}", self.actors.requests.lock().unwrap().len()),
            chat: "test:1".into(),
            sender: "ann".into(),
            sender_alt: None,
            sender_name: "Ann".into(),
            text: text.into(),
            timestamp: "2026-01-31T12:00:00Z".into(),
            is_group: true,
            from_me: false,
            mentions_me: false,
            reply_to: None,
            offline: false,
        };
        let (stored, committed) = oneshot::channel();
        self.inbox.send(ChannelEvent::Message { message: Box::new(message), stored }).await.unwrap();
        committed.await.expect("the message is stored");
    }

    /// The next text that reaches the chat.
    pub(crate) async fn reply(&self) -> String {
        let mut replies = self.replies.lock().await;
        tokio::time::timeout(PATIENCE, replies.recv()).await.expect("a reply").expect("a channel")
    }

    /// The next text, while the clock goes on by itself: for waits whose beginning the test cannot see.
    pub(crate) async fn reply_as_time_passes(&self) -> String {
        let replied = async {
            loop {
                tokio::select! {
                    reply = self.reply() => return reply,
                    () = tokio::time::sleep(Duration::from_millis(200)) => self.advance(Duration::from_secs(5)),
                }
            }
        };
        tokio::time::timeout(PATIENCE, replied).await.expect("a reply")
    }

    pub(crate) fn requests(&self) -> Vec<TurnRequest> {
        self.actors.requests.lock().unwrap().clone()
    }

    pub(crate) fn containers(&self) -> usize {
        *self.actors.started.lock().unwrap()
    }

    pub(crate) async fn until_requests(&self, number: usize) {
        self.until(&format!("{number} requests"), || self.requests().len() >= number).await;
    }

    pub(crate) async fn until_sql(&self, sql: &str, value: i64) {
        self.until(sql, || self.sql(sql) == value).await;
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let begin = std::time::Instant::now();
        while !condition() {
            assert!(begin.elapsed() < PATIENCE, "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn sql(&self, sql: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.folder.path().join("data/longshore.db")).unwrap();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Holds the database's write lock for so long.
    pub(crate) async fn lock_store(&self, time: Duration) {
        let connection = rusqlite::Connection::open(self.folder.path().join("data/longshore.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(1)).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        tokio::time::sleep(time).await;
        connection.execute_batch("ROLLBACK").unwrap();
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.hands.advance(by);
    }

    /// The operator writes another groups file.
    pub(crate) fn register(&self, json: &str) {
        let previous = self.snapshots.borrow().groups.clone();
        self.snapshots.send_replace(snapshot(json, &previous));
    }
}

fn snapshot(json: &str, previous: &Groups) -> Arc<Snapshot> {
    let loaded = load(json.as_bytes(), previous);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Arc::new(Snapshot { generation: loaded.groups.generation(), groups: Arc::new(loaded.groups), problems: Vec::new() })
}

/// The person at the other end of the chat.
struct Person(mpsc::UnboundedSender<String>);

#[async_trait]
impl Channel for Person {
    fn name(&self) -> &str {
        "test"
    }

    fn max_text_bytes(&self) -> usize {
        4096
    }

    async fn listen(&self, _inbox: Inbox, stop: Stop) -> anyhow::Result<()> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
        self.0.send(message.text.clone()).map_err(|_| SendError::Unavailable("gone".into()))
    }

    async fn typing(&self, _chat: &str, _on: bool) {}
}

/// An engine whose containers are scripts.
struct Theatre(Arc<Actors>);

#[async_trait]
impl ContainerRuntime for Theatre {
    async fn ping(&self) -> Result<String, RuntimeError> {
        Ok("a stage".into())
    }

    async fn image(&self, _reference: &str) -> Result<ImageInfo, RuntimeError> {
        Ok(ImageInfo { id: "stage".into(), claude: None, codex: None })
    }

    async fn start(&self, _spec: &ContainerSpec) -> Result<Attached, RuntimeError> {
        let number = {
            let mut started = self.0.started.lock().unwrap();
            *started += 1;
            *started
        };
        let (stdin, commands) = tokio::io::duplex(64 * 1024);
        let (writes, output) = mpsc::channel::<Bytes>(16);
        let (ended, exit) = oneshot::channel();
        tokio::spawn(play(self.0.clone(), commands, writes, ended));
        let output = futures_util::stream::unfold(output, |mut output| async {
            let piece = output.recv().await?;
            Some((Ok(Output::Stdout(piece)), output))
        });
        Ok(Attached {
            id: ContainerId(format!("stage-{number}")),
            stdin: Box::pin(stdin),
            output: output.boxed(),
            exit: Box::pin(async { Ok(exit.await.unwrap_or(Exit { code: 0, out_of_memory: false })) }),
        })
    }

    async fn remove(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn list(&self, _root_hash: &str) -> Result<Vec<Existing>, RuntimeError> {
        Ok(Vec::new())
    }
}

async fn play(
    actors: Arc<Actors>,
    commands: tokio::io::DuplexStream,
    writes: mpsc::Sender<Bytes>,
    ended: oneshot::Sender<Exit>,
) {
    let ready = RunnerEvent::Ready { protocol: actors.protocol, agent_version: "stage".into() };
    let line = |event: &RunnerEvent| Bytes::from(serde_json::to_string(event).unwrap() + "\n");
    let _ = writes.send(line(&ready)).await;
    let mut lines = BufReader::new(commands).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let RunnerCommand::Turn(request) = serde_json::from_str(&text).unwrap() else { continue };
        let script = {
            let mut requests = actors.requests.lock().unwrap();
            let script = actors.scripts.lock().unwrap().get(&requests.len()).cloned();
            requests.push((*request).clone());
            script.unwrap_or_else(|| actors.otherwise.clone())
        };
        for step in script(&request) {
            match step {
                Line::Event(event) => drop(writes.send(line(&event)).await),
                Line::Raw(text) => drop(writes.send(Bytes::from(text + "\n")).await),
                Line::Pause(time) => tokio::time::sleep(time).await,
                Line::Die { code, out_of_memory } => {
                    let _ = ended.send(Exit { code, out_of_memory });
                    return;
                }
            }
        }
    }
}
