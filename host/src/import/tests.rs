use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::TaskId;

use super::decide::{Circumstances, tasks};
use super::source::RawTask;
use super::*;
use crate::store::Store;
use crate::store::tasks::{Task, TaskFilter};

fn nanoclaw(era: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/nanoclaw.py");
    assert!(Command::new("python3").arg(script).arg(era).arg(folder.path()).status().unwrap().success());
    folder
}

/// An installation to import into.
struct Here {
    folder: tempfile::TempDir,
    operator: Operator,
    config: Config,
}

impl Here {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let operator = Operator::at(folder.path().to_owned(), None);
        let config = Config::load(folder.path()).unwrap();
        Self { folder, operator, config }
    }

    fn plan(&self, source: &Path) -> Plan {
        let import = Import {
            source,
            lists: &source.join("lists"),
            root: self.folder.path(),
            operator: &self.operator,
            config: &self.config,
            history: true,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
        };
        import.plan().unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.folder.path().join(store::FILE)).unwrap()
    }

    /// All that an import leaves, but for the store's own bytes.
    async fn state(&self) -> (BTreeMap<String, Vec<u8>>, Vec<Task>, Vec<String>) {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.folder.path()).unwrap().display().to_string();
                if path.is_dir() {
                    folders.push(path);
                } else if !name.contains("longshore.db") {
                    files.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        let store = self.store();
        let tasks = store.tasks(TaskFilter { ended: true, ..TaskFilter::default() }).await.unwrap();
        let chats = store.chats(100).await.unwrap().into_iter().map(|chat| chat.chat).collect();
        (files, tasks, chats)
    }
}

#[tokio::test]
async fn an_import_that_is_cut_short_anywhere_is_completed_by_the_next() {
    let source = nanoclaw("sqlite");
    let whole = Here::new();
    let report = whole.plan(source.path()).apply(&whole.store()).await;
    let steps = report.count(State::Added);
    assert!(steps > 15 && !report.leaves_out(), "{report:#?}");
    let expected = whole.state().await;
    for cut in 0..steps {
        let here = Here::new();
        here.plan(source.path()).apply_some(&here.store(), cut).await;
        let report = here.plan(source.path()).apply(&here.store()).await;
        assert_eq!(
            (report.count(State::Added), report.leaves_out()),
            (steps - cut, false),
            "cut after {cut}: {report:#?}"
        );
        assert_eq!(here.state().await, expected, "cut after {cut}");
    }
}

fn raw(id: &str, kind: &str, value: &str, next_run: Option<&str>) -> RawTask {
    RawTask {
        id: id.to_owned(),
        folder: "main".to_owned(),
        prompt: "p".to_owned(),
        schedule_type: kind.to_owned(),
        schedule_value: value.to_owned(),
        next_run: next_run.map(str::to_owned),
        status: Some("active".to_owned()),
        ..RawTask::default()
    }
}

fn decided(raw: &[RawTask], here: &HashMap<TaskId, Task>, zone: Option<&str>) -> Vec<(Item, Option<Task>)> {
    let homes = BTreeMap::from([("main".parse().unwrap(), TimeZone::UTC)]);
    let zone = zone.map(|name| TimeZone::get(name).unwrap());
    tasks(raw, here, &Circumstances { homes: &homes, zone: zone.as_ref(), now: Timestamp::UNIX_EPOCH })
}

#[test]
fn times_that_nanoclaw_read_leniently_are_written_as_what_it_meant() {
    let next = "2026-02-01T15:30:00.000Z";
    for (kind, value, next_run, written) in [
        ("cron", "0 9 * * 1-5", Some(next), Some("0 9 * * 1-5")),
        ("interval", "300000abc", Some(next), Some("300000")),
        ("interval", "soon", Some(next), None),
        ("interval", "0", Some(next), None),
        ("once", "2026-02-01T15:30:00", Some(next), Some("2026-02-01T15:30:00")),
        ("once", "2026-02-01T07:30:00", Some(next), Some("2026-02-01T15:30:00Z")),
        ("once", "Sun Feb 01 2026", Some(next), Some("2026-02-01T15:30:00Z")),
        ("once", "Sun Feb 01 2026", None, None),
        ("cron", "* * *", Some(next), None),
        ("weekly", "x", Some(next), None),
    ] {
        let (item, task) = decided(&[raw("t", kind, value, next_run)], &HashMap::new(), None).remove(0);
        assert_eq!(task.as_ref().map(|task| task.schedule_value.as_str()), written, "{kind} {value}: {item:?}");
        assert!(task.is_none_or(|task| task.next_run == next.parse().ok()));
    }
}

#[test]
fn an_interval_goes_on_from_the_next_run_of_the_source() {
    let (_, task) =
        decided(&[raw("t", "interval", "3600000", Some("2026-02-01T15:30:00Z"))], &HashMap::new(), None).remove(0);
    let task = task.unwrap();
    let times = crate::schedule::request::cadence(&task, &TimeZone::UTC).unwrap();
    let next = task.next_run.unwrap();
    assert_eq!(
        times.upcoming(next - jiff::SignedDuration::from_secs(1), 2),
        [next, next + jiff::SignedDuration::from_hours(1)]
    );
}

#[test]
fn a_task_keeps_the_zone_in_which_its_times_were_meant() {
    let tasks = [raw("t", "cron", "0 9 * * *", Some("2026-02-01T08:00:00Z"))];
    let (_, task) = decided(&tasks, &HashMap::new(), Some("Europe/Berlin")).remove(0);
    let task = task.unwrap();
    assert_eq!((task.timezone.as_deref(), task.zone.as_str()), (Some("Europe/Berlin"), "Europe/Berlin"));
}

#[test]
fn a_task_that_ran_here_since_is_the_same_and_one_with_its_id_alone_is_not() {
    let wanted = raw("t", "cron", "0 9 * * *", Some("2026-02-01T08:00:00Z"));
    let task = decided(std::slice::from_ref(&wanted), &HashMap::new(), None).remove(0).1.unwrap();
    let later = Task { next_run: Timestamp::from_second(2_000_000_000).ok(), failures: 2, ..task.clone() };
    let other = Task { prompt: "q".to_owned(), ..task };
    for (here, state) in [(later, State::Same), (other, State::Conflict)] {
        let here = HashMap::from([(here.id.clone(), here)]);
        let (item, task) = decided(std::slice::from_ref(&wanted), &here, None).remove(0);
        assert_eq!((item.state, task), (state, None));
    }
}
