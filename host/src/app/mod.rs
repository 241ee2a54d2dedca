//! The wiring: what is made of what.

mod ending;
mod engine;
mod life;
mod lock;
mod metrics;
mod tasks;
mod updates;
mod upstream;

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use longshore_rehearsal::Rehearsal;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

pub use self::life::Life;
pub use self::lock::{check, lock};
use self::metrics::serve_metrics;
use self::tasks::{named, ok};
use self::updates::{Taker, look_out};
pub use self::upstream::LOGIN;
use self::upstream::{chatgpt, start_rehearsal};
use crate::broker::egress::network::Internet;
use crate::broker::login::ChatGptLogin;
use crate::broker::{Broker, Upstreams};
use crate::channel::Channel;
use crate::channel::adapter::Adapter;
use crate::channel::console::Console;
use crate::clock::Clock;
use crate::config::{ChannelSetting, Config};
use crate::container::ContainerRuntime;
use crate::container::installation::Installation;
use crate::container::resident::{ResidentSettings, Residents};
use crate::control::server::Control;
use crate::control::tasks::TaskDoor;
use crate::control::{self, server};
use crate::deliver::{Outbound, deliver};
use crate::groups::FILE_NAME;
use crate::groups::edit::GroupsFile;
use crate::groups::watch::GroupsWatch;
use crate::intake::{Intake, Unkept};
use crate::ipc::grant::Granter;
use crate::ipc::snapshot::Snapshots;
use crate::ipc::watch::Mailroom;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::queue::dispatch::{Wakes, dispatch};
use crate::reload::Reload;
use crate::route::Words;
use crate::schedule::Changed;
use crate::schedule::run::Scheduler;
use crate::senders::{self, SendersWatch};
use crate::socket::SocketFile;
use crate::stop::Stop;
use crate::store::{self, Store};
use crate::turn::recover::recover;
use crate::turn::run::TurnRunner;
use crate::turn::stops::Stops;
use crate::upkeep::Upkeep;
use crate::usage::meter::Meter;
use crate::usage::price_file::PriceFile;

/// How long everything else may take after that.
const CLOSE: Duration = Duration::from_secs(10);
/// How long a refresh of the ChatGPT login may take to end: longer than its own limit.
const SETTLE: Duration = Duration::from_secs(35);
/// The task that delivers.
const DELIVERY: &str = "deliver";
/// Events of one channel that are not stored yet; beyond them the channel waits.
const INBOX: usize = 1024;

/// What a host is started with.
pub struct Options {
    /// The installation: the folder with `.env`, `data/` and `groups/`.
    pub root: PathBuf,
    /// Our own program, for what a process of its own does.
    pub program: PathBuf,
    /// The settings.
    pub config: Config,
    /// Whether the stand-in answers instead of the models.
    pub rehearsal: bool,
    /// The engine.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Where the operator's allowlists are.
    pub operator: Operator,
    /// The time.
    pub clock: Clock,
}

/// A host that is ready: everything is open, nothing runs yet but its tasks.
pub struct App {
    /// Tells whether it is alive.
    pub life: Life,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    dispatch: JoinHandle<anyhow::Result<()>>,
    /// No new turns from now on.
    drain: Stop,
    /// Nothing more is going to be said.
    parting: Stop,
    /// Everything else ends.
    stop: Stop,
    /// How long running turns may take to end.
    drain_limit: Duration,
    /// How long containers wait for the next host.
    keep_warm: Duration,
    residents: Arc<Residents>,
    rehearsal: Option<Rehearsal>,
    login: Option<Arc<ChatGptLogin>>,
    meter: Arc<Meter>,
    // Held for as long as the host lives: a second host on one installation would double everything.
    _lock: File,
    _socket: SocketFile,
}

impl App {
    /// Opens everything and starts the tasks.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let Options { root, program, config, rehearsal, runtime, operator, clock } = options;
        let lock = lock(&root)?;
        let installation = Installation::of(&root).context("the installation's folder cannot be read")?;
        let store = Store::open(&root.join(store::FILE))?;

        let stop = Stop::new();
        let drain = Stop::new();
        let parting = Stop::new();
        let mut tasks = JoinSet::new();
        let rehearsal = if rehearsal { Some(start_rehearsal().await?) } else { None };
        let watch = GroupsWatch::open(root.join("data").join(FILE_NAME)).await;
        let groups = watch.subscribe();
        tasks.spawn(named("groups", ok(watch.run(stop.clone()))));
        let metrics = Metrics::default();
        let (prices, zone) = (PriceFile::new(&root), config.time_zone.clone());
        let meter = Meter::open(store.clone(), groups.clone(), prices, clock.clone(), zone, metrics.clone()).await?;
        tasks.spawn(named("usage", ok(meter.clone().run(stop.clone()))));
        let (upstreams, login) = match &rehearsal {
            Some(rehearsal) => {
                (Upstreams::rehearsal(rehearsal.anthropic_base().parse()?, rehearsal.openai_base().parse()?), None)
            }
            None => (Upstreams::from_config(&config), Some(chatgpt(&config, &root, &clock))),
        };
        let internet = Internet::by(config.egress_resolver).context("`EGRESS_RESOLVER` cannot be used")?;
        let broker = Broker::with(upstreams, login, internet, meter.clone());
        let login = broker.login().cloned();
        let timezone = config.time_zone.iana_name().unwrap_or("UTC").to_owned();
        let watch = SendersWatch::open(operator.settings.join(senders::FILE_NAME)).await;
        let senders = watch.subscribe();
        tasks.spawn(named("senders", ok(watch.run(stop.clone()))));
        let wakes = Wakes::default();
        let stops = Stops::default();
        let residents = Arc::new(Residents::new(
            runtime.clone(),
            broker,
            ResidentSettings {
                installation,
                operator,
                image: config.container_image.clone(),
                timezone,
                idle_timeout: config.idle_timeout,
                max_idle: config.max_warm_containers,
                memory_bytes: config.resident_memory_mebibytes.map(|mebibytes| mebibytes * 1024 * 1024),
                link: config.broker_link,
            },
            groups.clone(),
            wakes.clone(),
        ));

        let console = Arc::new(Console::new(clock.clone()));
        let channels = channels(&config, &root, &console);
        let outbound = Outbound::new(channels.clone(), store.clone(), metrics.clone());
        let intake = Intake {
            store: store.clone(),
            groups: groups.clone(),
            senders: senders.clone(),
            wakes: wakes.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
            words: Words { assistant: config.assistant_name.clone(), stop: config.stop_word.clone() },
            stops: stops.clone(),
            unkept: Unkept::default(),
        };
        let changed = Changed::default();
        let ipc = root.join("data/ipc");
        // There from the start, so that the folder of a new group is heard of at once.
        std::fs::create_dir_all(&ipc).context("the folder `data/ipc` cannot be made")?;
        let snapshots = Snapshots::new(ipc.clone(), store.clone(), groups.clone(), clock.clone());
        let granter = Granter {
            store: store.clone(),
            groups: groups.clone(),
            groups_file: GroupsFile::new(root.join("data").join(FILE_NAME)),
            outbound: outbound.clone(),
            snapshots: snapshots.clone(),
            changed: changed.clone(),
            clock: clock.clone(),
            time_zone: config.time_zone.clone(),
        };
        let mailroom = Mailroom::new(ipc, Arc::new(granter));
        let scheduler = Scheduler {
            store: store.clone(),
            groups: groups.clone(),
            wakes: wakes.clone(),
            snapshots: snapshots.clone(),
            changed: changed.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            time_zone: config.time_zone.clone(),
        };
        let reload = Reload {
            groups: groups.clone(),
            wakes: wakes.clone(),
            residents: residents.clone(),
            store: store.clone(),
            outbound: outbound.clone(),
            clock: clock.clone(),
        };
        tasks.spawn(named("reload", reload.run(stop.clone())));
        for channel in channels {
            let (inbox, events) = mpsc::channel(INBOX);
            tasks.spawn(named("intake", ok(intake.clone().run(channel.name().to_owned(), events))));
            let stop = stop.clone();
            tasks.spawn(named("channel", async move { channel.listen(inbox, stop).await }));
        }
        tasks.spawn(named(DELIVERY, deliver(outbound.clone(), clock.clone(), parting.clone())));
        tasks.spawn(named("residents", ok(engine::tend(residents.clone(), runtime.clone(), stop.clone()))));
        let upkeep = Upkeep::new(&root, store.clone(), groups.clone(), config.retention, clock.clone());
        let health = upkeep.health();
        tasks.spawn(named("upkeep", ok(upkeep.run(stop.clone()))));
        let news = look_out(
            Taker { program, root: root.clone() },
            &config,
            rehearsal.is_some(),
            &runtime,
            &clock,
            &stop,
            &mut tasks,
        );

        let runner = Arc::new(TurnRunner {
            store: store.clone(),
            residents: residents.clone(),
            groups: groups.clone(),
            outbound: outbound.clone(),
            memory: Memory::new(&root),
            clock: clock.clone(),
            assistant: config.assistant_name.clone(),
            time_zone: config.time_zone.clone(),
            max_messages: config.max_messages_per_prompt.get(),
            time_limit: config.container_timeout,
            stall_limit: config.container_stall_timeout,
            stops: stops.clone(),
            codex_model: config.codex.model.clone(),
            mailroom: mailroom.clone(),
            snapshots: snapshots.clone(),
            tasks_changed: changed.clone(),
            metrics: metrics.clone(),
            engine_refusals: std::sync::atomic::AtomicU32::new(0),
        });
        tasks.spawn(named("ipc", mailroom.clone().run(groups.clone(), stop.clone())));
        tasks.spawn(named("snapshots", snapshots.clone().run(stop.clone())));
        // No new runs from the drain on: a task whose time comes then is caught up at the next start.
        tasks.spawn(named("schedule", scheduler.run(drain.clone())));
        let turns = turns(runner, wakes.clone(), config.max_concurrent_containers, clock.clone(), drain.clone());
        let dispatch = tokio::spawn(turns);

        let life = Life::new(store.clone(), wakes.clone(), groups.clone(), drain.clone());
        let (socket, listener) = SocketFile::bind(&root.join(control::SOCKET), None)
            .with_context(|| format!("the control socket `{}` cannot be made", control::SOCKET))?;
        listener.set_nonblocking(true)?;
        let control = Arc::new(Control {
            console,
            store,
            health,
            news,
            groups,
            senders,
            outbound,
            residents: residents.clone(),
            meter: meter.clone(),
            runtime,
            stops,
            metrics,
            slots: config.max_concurrent_containers.get(),
            database: root.join(store::FILE),
            clock: clock.clone(),
            tasks: TaskDoor { mailroom, snapshots, changed, wakes, clock, time_zone: config.time_zone.clone() },
            assistant: config.assistant_name,
            rehearsal: rehearsal.is_some(),
            since: Instant::now(),
        });
        if let Some(address) = config.metrics {
            tasks.spawn(named("metrics", ok(serve_metrics(address, control.clone(), stop.clone()))));
        }
        let listener = UnixListener::from_std(listener)?;
        tasks.spawn(named("control", server::serve(control, listener, stop.clone())));
        let (drain_limit, keep_warm) = (config.drain_limit, config.keep_warm);
        Ok(Self {
            life,
            tasks,
            dispatch,
            drain,
            parting,
            stop,
            drain_limit,
            keep_warm,
            residents,
            rehearsal,
            login,
            meter,
            _lock: lock,
            _socket: socket,
        })
    }
}

/// Recovers what the last host left, and then runs turns. Whoever waits for the host to be ready does not wait
/// for this: what agents ask for meanwhile still belongs to the turns that were interrupted.
async fn turns(
    runner: Arc<TurnRunner>,
    wakes: Wakes,
    concurrent: NonZeroUsize,
    clock: Clock,
    drain: Stop,
) -> anyhow::Result<()> {
    recover(&runner, None).await?;
    dispatch(Arc::new(runner), wakes, concurrent, clock, drain).await;
    Ok(())
}

fn channels(config: &Config, root: &Path, console: &Arc<Console>) -> Vec<Arc<dyn Channel>> {
    config
        .channels
        .iter()
        .map(|setting| -> Arc<dyn Channel> {
            match setting {
                ChannelSetting::Console => console.clone(),
                ChannelSetting::Adapter { name, command } => {
                    Arc::new(Adapter::new(name.clone(), command.clone(), root.join("data").join(name)))
                }
            }
        })
        .collect()
}
