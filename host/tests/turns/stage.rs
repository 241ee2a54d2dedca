//! A host without an engine: containers are played by scripts.

use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore::broker::{Broker, Upstreams};
use longshore::channel::{Channel, ChannelEvent, Inbox, Stored};
use longshore::clock::{Clock, Hands};
use longshore::container::installation::Installation;
use longshore::container::resident::{ResidentSettings, Residents};
use longshore::deliver::{Outbound, deliver};
use longshore::groups::Groups;
use longshore::groups::edit::GroupsFile;
use longshore::groups::watch::Snapshot;
use longshore::intake::{Intake, Unkept};
use longshore::ipc::grant::Granter;
use longshore::ipc::snapshot::Snapshots;
use longshore::ipc::watch::Mailroom;
use longshore::memory::Memory;
use longshore::metrics::Metrics;
use longshore::operator::Operator;
use longshore::queue::dispatch::{Wakes, dispatch};
use longshore::route::Words;
use longshore::schedule::Changed;
use longshore::schedule::run::Scheduler;
use longshore::senders::Senders;
use longshore::stop::Stop;
use longshore::store::{Fuse, Store};
use longshore::turn::recover::recover;
use longshore::turn::run::TurnRunner;
use longshore::turn::stops::Stops;
use longshore::usage::meter::Meter;
use longshore::usage::price_file::PriceFile;
use longshore_protocol::channel::ChatMessage;
use longshore_protocol::{PROTOCOL_VERSION, TurnRequest};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::opening::{GROUPS, Opening, snapshot};
use super::person::{Delivered, Mood, Person, Refusal};
use super::theatre::{Actors, Line, Script, Theatre};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    folder: TempDir,
    actors: Arc<Actors>,
    inbox: Inbox,
    store: Store,
    pub(crate) metrics: Metrics,
    replies: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    delivered: Delivered,
    refusal: Refusal,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// Who may wake the agents.
    pub(crate) senders: watch::Sender<Arc<Senders>>,
    hands: Hands,
    said: AtomicU32,
    tasks: JoinSet<()>,
}

impl Stage {
    pub(crate) async fn new(otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) -> Self {
        Self::speaking(PROTOCOL_VERSION, otherwise).await
    }

    pub(crate) async fn speaking(
        protocol: u32,
        otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static,
    ) -> Self {
        Self::open(tempfile::tempdir().unwrap(), Arc::new(otherwise), Opening { protocol, ..Opening::default() }).await
    }

    /// A host whose store dies at a commit.
    pub(crate) async fn fused(
        fuse: Fuse,
        otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static,
    ) -> Self {
        let opening = Opening { fuse: Some(fuse), ..Opening::default() };
        Self::open(tempfile::tempdir().unwrap(), Arc::new(otherwise), opening).await
    }

    /// A host that waits no longer than this for a sign of life.
    pub(crate) async fn impatient(
        stall_limit: Duration,
        otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static,
    ) -> Self {
        let opening = Opening { stall_limit, ..Opening::default() };
        Self::open(tempfile::tempdir().unwrap(), Arc::new(otherwise), opening).await
    }

    async fn open(folder: TempDir, otherwise: Script, opening: Opening) -> Self {
        let Opening { protocol, start, fuse, stall_limit, delivered } = opening;
        let root: PathBuf = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("data")).unwrap();
        let (clock, hands) = Clock::manual(Timestamp::from_second(start).unwrap());
        let actors = Arc::new(Actors {
            root: root.clone(),
            protocol,
            otherwise,
            scripts: Mutex::default(),
            requests: Mutex::default(),
            started: Mutex::default(),
        });
        let store = Store::open_with(&root.join("data/longshore.db"), fuse).unwrap();
        let metrics = Metrics::default();
        let (told, replies) = mpsc::unbounded_channel();
        let refusal = Refusal::default();
        let channel: Arc<dyn Channel> =
            Arc::new(Person { told, delivered: delivered.clone(), refusal: refusal.clone() });
        let outbound = Outbound::new(vec![channel], store.clone(), metrics.clone());
        let (snapshots, groups) = watch::channel(snapshot(GROUPS, &Groups::default()));
        let (senders, admitted) = watch::channel(Arc::new(Senders::everybody()));
        let wakes = Wakes::default();
        let stops = Stops::default();
        let intake = Intake {
            store: store.clone(),
            groups: groups.clone(),
            senders: admitted,
            wakes: wakes.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
            words: Words { assistant: "Andy".into(), stop: "/stop".into() },
            stops: stops.clone(),
            unkept: Unkept::default(),
        };
        let upstreams =
            Upstreams::rehearsal("http://127.0.0.1:9".parse().unwrap(), "http://127.0.0.1:9".parse().unwrap());
        let prices = PriceFile::new(&root);
        let meter = Meter::empty(store.clone(), groups.clone(), prices, clock.clone(), TimeZone::UTC, metrics.clone());
        let residents = Residents::new(
            Arc::new(Theatre(actors.clone())),
            Broker::new(upstreams, meter.clone()),
            ResidentSettings {
                installation: Installation::of(&root).unwrap(),
                operator: Operator::at(root.clone(), None),
                image: "stage".into(),
                timezone: "UTC".into(),
                idle_timeout: Duration::from_secs(600),
                max_idle: 16,
                memory_bytes: None,
                link: None,
            },
            groups.clone(),
            wakes.clone(),
        );
        let changed = Changed::default();
        let written = Snapshots::new(root.join("data/ipc"), store.clone(), groups.clone(), clock.clone());
        let granter = Granter {
            store: store.clone(),
            groups: groups.clone(),
            groups_file: GroupsFile::new(root.join("data/registered_groups.json")),
            outbound: outbound.clone(),
            snapshots: written.clone(),
            changed: changed.clone(),
            clock: clock.clone(),
            time_zone: TimeZone::UTC,
        };
        let mailroom = Mailroom::new(root.join("data/ipc"), Arc::new(granter));
        let scheduler = Scheduler {
            store: store.clone(),
            groups: groups.clone(),
            wakes: wakes.clone(),
            snapshots: written.clone(),
            changed: changed.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            time_zone: TimeZone::UTC,
        };
        let runner = Arc::new(TurnRunner {
            store: store.clone(),
            residents: Arc::new(residents),
            groups: groups.clone(),
            mailroom: mailroom.clone(),
            snapshots: written.clone(),
            tasks_changed: changed,
            metrics: metrics.clone(),
            outbound: outbound.clone(),
            memory: Memory::new(&root),
            clock: clock.clone(),
            assistant: "Andy".into(),
            time_zone: TimeZone::UTC,
            max_messages: 100,
            time_limit: Duration::from_secs(1800),
            stall_limit,
            stops,
            codex_model: None,
            engine_refusals: AtomicU32::new(0),
        });
        // A store with a fuse may have died before.
        let recovered = recover(&runner, None).await;
        assert!(recovered.is_ok() || fuse.is_some(), "{recovered:?}");
        let mut tasks = JoinSet::new();
        let (inbox, events) = mpsc::channel(64);
        tasks.spawn(intake.run("test".into(), events));
        let (deliver_clock, stop) = (clock.clone(), Stop::new());
        tasks.spawn(async move { drop(deliver(outbound, deliver_clock, stop).await) });
        tasks.spawn(async move { drop(mailroom.run(groups, Stop::new()).await) });
        tasks.spawn(async move { drop(written.run(Stop::new()).await) });
        tasks.spawn(async move { drop(scheduler.run(Stop::new()).await) });
        tasks.spawn(dispatch(Arc::new(runner), wakes, 5.try_into().unwrap(), clock, Stop::new()));
        let replies = tokio::sync::Mutex::new(replies);
        Self {
            folder,
            actors,
            inbox,
            store,
            metrics,
            replies,
            delivered,
            refusal,
            snapshots,
            senders,
            hands,
            said: AtomicU32::new(0),
            tasks,
        }
    }

    /// Ends everything at once, as a kill would, and opens the same store again.
    pub(crate) async fn crash(mut self, otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) -> Self {
        self.tasks.shutdown().await;
        let now = self.hands.now().as_second();
        let opening = Opening { start: now, delivered: self.delivered, ..Opening::default() };
        Self::open(self.folder, Arc::new(otherwise), opening).await
    }

    /// The same, and nobody starts it again for so long.
    pub(crate) async fn crash_for(
        mut self,
        time: Duration,
        otherwise: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static,
    ) -> Self {
        self.tasks.shutdown().await;
        self.hands.advance(time);
        self.crash(otherwise).await
    }

    /// What the n-th turn request (from 0) is answered with.
    pub(crate) fn script(&self, number: usize, script: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) {
        self.actors.scripts.lock().unwrap().insert(number, Arc::new(script));
    }

    /// Somebody says something; returns when it is stored.
    pub(crate) async fn hear(&self, text: &str) {
        let number = self.said.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let id = format!("m{number}-{}", self.actors.requests.lock().unwrap().len());
        assert!(self.bring(&id, text).await, "the message is stored");
    }

    /// The platform brings a message; whether it was stored.
    pub(crate) async fn bring(&self, id: &str, text: &str) -> bool {
        let message = ChatMessage {
            id: id.into(),
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
            reaction: false,
            offline: false,
        };
        self.report(|stored| ChannelEvent::Message { message: Box::new(message), stored }).await
    }

    /// The channel reports something; whether it was stored.
    pub(crate) async fn report(&self, event: impl FnOnce(oneshot::Sender<Stored>) -> ChannelEvent) -> bool {
        let (stored, committed) = oneshot::channel();
        self.inbox.send(event(stored)).await.unwrap();
        committed.await.is_ok()
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

    /// The messages that reached the chat, with their ids.
    pub(crate) fn delivered(&self) -> Vec<(String, String)> {
        self.delivered.lock().unwrap().clone()
    }

    /// From now on the platform takes nothing, for good.
    pub(crate) fn refuse(&self, why: &str) {
        *self.refusal.lock().unwrap() = Mood::Closed(why.to_owned());
    }

    /// From now on it takes no message at its first try.
    pub(crate) fn refuse_each_once(&self) {
        *self.refusal.lock().unwrap() = Mood::Reluctant(std::collections::BTreeSet::new());
    }

    /// Everything can be delivered again.
    pub(crate) fn accept(&self) {
        *self.refusal.lock().unwrap() = Mood::Willing;
    }

    /// Whether the store's fuse has burned.
    pub(crate) async fn is_dead(&self) -> bool {
        self.store.outbox_counts().await.is_err()
    }

    /// Sets the clock forward to a time of the store, in its milliseconds since the epoch.
    pub(crate) fn clock_reaches(&self, milliseconds: i64) {
        let then = Timestamp::from_millisecond(milliseconds).unwrap();
        if then > self.hands.now() {
            self.hands.set(then);
        }
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

    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
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
