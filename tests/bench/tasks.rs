//! Petitions and tasks: how soon a file is acted on, how late a task starts, what many of them cost.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::{BoxFuture, try_join_all};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use longshore::clock::Clock;
use longshore::groups::watch::Snapshot;
use longshore::groups::{Groups, load};
use longshore::ipc::snapshot::Snapshots;
use longshore::metrics::Metrics;
use longshore::queue::dispatch::{GroupSlot, Wakes, Work, dispatch};
use longshore::queue::state::Next;
use longshore::schedule::Changed;
use longshore::schedule::request::{Circumstances, Making, schedule};
use longshore::schedule::run::Scheduler;
use longshore::stop::Stop;
use longshore::store::Store;
use longshore::store::tasks::TaskChange;
use longshore::store::turns::{Begin, BeginTurn, EndTurn};
use longshore_protocol::ipc::{ScheduleTask, ScheduleType};
use longshore_protocol::{GroupId, ProviderKind, TaskId};
use longshore_rehearsal::Rehearsal;
use longshore_tests::{Host, Installation, Talk};
use tokio::sync::watch;

use crate::ours;
use crate::table::Samples;

const PATIENCE: Duration = Duration::from_secs(60);
/// Groups over which tasks are spread.
const GROUPS: usize = 100;

/// From a message file's rename to its text in the chat, in ms; and from a task file's to its answer, which
/// is written after the row is committed.
pub(crate) fn files(rehearsal: &Rehearsal, runs: usize) -> anyhow::Result<(Samples, Samples)> {
    let installation = ours::installation(rehearsal);
    let _host = Host::start_with(&installation, &ours::options());
    let mut talk = Talk::attach(&installation, "coder")?;
    talk.turn()?;
    let ipc = installation.path("data/ipc/coder");
    let (mut sent, mut rows) = (Vec::new(), Vec::new());
    for run in 0..runs {
        let message = format!(r#"{{"type":"message","text":"message {run}"}}"#);
        let begin = drop_file(&ipc.join("messages"), &format!("m{run}"), &message)?;
        ensure!(talk.hear()? == format!("message {run}"), "another message came");
        sent.push(milliseconds(begin));
        let task = r#"{"type":"schedule_task","prompt":"p","schedule_type":"cron","schedule_value":"0 9 1 1 *"}"#;
        let begin = drop_file(&ipc.join("tasks"), &format!("t{run}"), task)?;
        let answer = ipc.join(format!("answers/t{run}.json"));
        while !answer.exists() {
            ensure!(begin.elapsed() < PATIENCE, "no answer");
            std::thread::sleep(Duration::from_micros(100));
        }
        rows.push(milliseconds(begin));
    }
    Ok((Samples::of(sent), Samples::of(rows)))
}

/// A warm turn of one group, in ms: while nothing else happens, and while another group floods its mailbox
/// with 20,000 files.
pub(crate) fn flood(rehearsal: &Rehearsal, runs: usize) -> anyhow::Result<(Samples, Samples)> {
    let installation = ours::installation(rehearsal);
    let _host = Host::start_with(&installation, &ours::options());
    // Makes the flooding group's folders.
    Talk::attach(&installation, "coder")?.turn()?;
    let mut talk = Talk::attach(&installation, "main")?;
    let mut turns = || (0..runs).map(|_| talk.turn()).collect::<anyhow::Result<Vec<f64>>>().map(Samples::of);
    let _ = turns()?;
    let idle = turns()?;
    let folder = installation.path("data/ipc/coder/messages");
    let flooding = std::thread::spawn(move || {
        (0..20_000).try_for_each(|number| {
            drop_file(&folder, &format!("f{number:05}"), r#"{"type":"message","text":"flood"}"#).map(drop)
        })
    });
    let flooded = turns()?;
    let left = std::fs::read_dir(installation.path("data/ipc/coder/messages"))?.count();
    ensure!(left > 0 || !flooding.is_finished(), "the flood was over before the turns were");
    flooding.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
    Ok((idle, flooded))
}

/// How late tasks start, in ms: 10,000 tasks, 1,000 of them due within a minute, in 100 groups, with turns
/// that do nothing.
pub(crate) async fn lateness() -> anyhow::Result<Samples> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("longshore.db"))?;
    let clock = Clock::system();
    let groups = Arc::new(groups()?);
    seed(&store, &groups, 9_000, |_| (ScheduleType::Cron, "0 9 1 1 *".into())).await?;
    let begin = clock.now() + SignedDuration::from_secs(3);
    seed(&store, &groups, 1_000, |number| {
        let at = begin + SignedDuration::from_millis(i64::try_from(number).unwrap_or_default() * 60);
        (ScheduleType::Once, at.to_string())
    })
    .await?;
    let snapshot = Snapshot { generation: 1, groups: groups.clone(), problems: Vec::new() };
    let (_groups, watched) = watch::channel(Arc::new(snapshot));
    let (wakes, stop) = (Wakes::default(), Stop::new());
    let scheduler = Scheduler {
        store: store.clone(),
        groups: watched.clone(),
        wakes: wakes.clone(),
        snapshots: Snapshots::new(folder.path().join("ipc"), store.clone(), watched, clock.clone()),
        changed: Changed::default(),
        metrics: Metrics::default(),
        clock: clock.clone(),
        time_zone: TimeZone::UTC,
    };
    let late = Arc::new(Mutex::new(Vec::new()));
    let nothing = Nothing { store, groups, clock: clock.clone(), late: late.clone() };
    let firing = tokio::spawn(scheduler.run(stop.clone()));
    let concurrent = 16.try_into()?;
    let running = tokio::spawn(dispatch(Arc::new(nothing), wakes, concurrent, clock, stop.clone()));
    let done = async {
        while late.lock().map_or(0, |late| late.len()) < 1_000 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE * 3, done).await.context("not every task started")?;
    stop.cancel();
    running.await?;
    firing.await??;
    let samples = late.lock().map_err(|_| anyhow::anyhow!("a turn panicked"))?.clone();
    Ok(Samples::of(samples))
}

/// Resident memory of an idle host with so many tasks, in MiB.
pub(crate) async fn memory(tasks: usize) -> anyhow::Result<f64> {
    let installation = Installation::new();
    let groups = groups()?;
    installation.groups(&file());
    {
        let store = Store::open(&installation.path("data/longshore.db"))?;
        seed(&store, &groups, tasks, |number| (ScheduleType::Cron, format!("{} 9 1 1 *", number % 60))).await?;
    }
    // The store's thread folds its log back as it ends.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ours::rss_mebibytes(&installation)
}

/// A run that begins its group's turns and ends them at once.
#[derive(Clone)]
struct Nothing {
    store: Store,
    groups: Arc<Groups>,
    clock: Clock,
    late: Arc<Mutex<Vec<f64>>>,
}

impl Work for Nothing {
    fn run(&self, slot: GroupSlot) -> BoxFuture<'static, ()> {
        let work = self.clone();
        Box::pin(async move {
            let next = work.turn(slot.group()).await.unwrap_or(Next::Idle);
            slot.finish(next);
        })
    }

    fn panicked(&self, _group: GroupId) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn waiting(&self) -> BoxFuture<'static, Vec<GroupId>> {
        Box::pin(async { Vec::new() })
    }
}

impl Nothing {
    async fn turn(&self, group: &GroupId) -> anyhow::Result<Next> {
        let group = self.groups.by_id(group).context("a group")?;
        let begin = BeginTurn {
            group: group.id.clone(),
            chat: group.chat.clone(),
            provider: ProviderKind::Claude,
            max_messages: 1,
        };
        let Begin::Turn(turn) = self.store.begin_turn(begin, self.clock.now()).await? else { return Ok(Next::Idle) };
        let now = self.clock.now();
        let run = turn.task().context("a task's turn")?;
        let late = now.duration_since(run.scheduled_for).as_secs_f64() * 1000.0;
        if let Ok(mut all) = self.late.lock() {
            all.push(late);
        }
        self.store.end_turn(turn.id.clone(), EndTurn::Settled, now).await?;
        Ok(Next::More)
    }
}

async fn seed(
    store: &Store,
    groups: &Groups,
    count: usize,
    times: impl Fn(usize) -> (ScheduleType, String),
) -> anyhow::Result<()> {
    let at = Circumstances { now: Clock::system().now(), time_zone: TimeZone::UTC };
    let all: Vec<_> = groups.iter().collect();
    for first in (0..count).step_by(500) {
        let adds = (first..count.min(first + 500)).map(|number| {
            let group = all[number % all.len()];
            let (schedule_type, schedule_value) = times(number);
            let wish = wish(schedule_type, schedule_value);
            let id: Result<TaskId, _> = format!("{schedule_type}-{number}").parse();
            let task = id.map_err(anyhow::Error::from).and_then(|id| {
                let making = Making { id, group, by: "bench", existing: None, count: 0 };
                Ok(Box::new(schedule(&wish, &making, &at)?))
            });
            let now = at.now;
            async move {
                let task = task?;
                store.decide_task(task.id.clone(), None, now, |_, _| ((), TaskChange::Add(task))).await?;
                anyhow::Ok(())
            }
        });
        try_join_all(adds).await?;
    }
    Ok(())
}

fn wish(schedule_type: ScheduleType, schedule_value: String) -> ScheduleTask {
    ScheduleTask {
        id: None,
        prompt: "Look whether there is news, and tell it in two sentences.".into(),
        schedule_type,
        schedule_value,
        context_mode: None,
        timezone: None,
        misfire: None,
        overlap: None,
        jitter_seconds: None,
        target: None,
        group_folder: None,
        chat: None,
        script: None,
    }
}

fn file() -> String {
    let entries: Vec<String> = (0..GROUPS)
        .map(|number| {
            format!(r#""console:g{number}": {{"name": "G{number}", "folder": "g{number}", "trigger": "@Andy", "added_at": "x"}}"#)
        })
        .collect();
    format!("{{{}}}", entries.join(",\n"))
}

fn groups() -> anyhow::Result<Groups> {
    let loaded = load(file().as_bytes(), &Groups::default());
    ensure!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Ok(loaded.groups)
}

/// Writes and renames a file as an agent does, and gives the time of the rename.
fn drop_file(folder: &Path, name: &str, content: &str) -> anyhow::Result<Instant> {
    let unfinished: PathBuf = folder.join(format!("{name}.json.tmp"));
    std::fs::write(&unfinished, content)?;
    let begin = Instant::now();
    std::fs::rename(unfinished, folder.join(format!("{name}.json")))?;
    Ok(begin)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
