//! Folders, agents that write in them, and a [`Grant`] that does as it is told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use async_trait::async_trait;
use longshore_protocol::ipc::{Answer, example};
use tokio::task::JoinHandle;

use super::super::*;
use crate::groups::load;
use crate::ipc::PetitionFile;
use crate::store::StoreError;

/// Grants everything, if not told otherwise, and records it.
#[derive(Default)]
pub(super) struct Recorder {
    /// How many times it fails before it does anything.
    pub(super) failures: AtomicU32,
    /// What was asked, with the identities, also if nothing was done.
    asked: Mutex<Vec<String>>,
    granted: Mutex<Vec<String>>,
    refuse: Mutex<String>,
    panic: Mutex<String>,
    /// Groups whose names begin like this wait.
    hold: watch::Sender<Option<String>>,
}

#[async_trait]
impl Grant for Recorder {
    async fn grant(&self, group: &GroupId, files: Vec<PetitionFile>) -> Result<Vec<Answer>, StoreError> {
        let asked = files.iter().map(|file| format!("{group}/{}/{} {}", file.folder, file.name, file.identity));
        self.asked.lock().unwrap().extend(asked);
        let free = |hold: &Option<String>| !hold.as_ref().is_some_and(|start| group.as_str().starts_with(start));
        self.hold.subscribe().wait_for(free).await.unwrap();
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Stalled("no room".into()));
        }
        let mut answers = Vec::new();
        for file in &files {
            let id = format!("{group} {}", file.name);
            assert_ne!(id, *self.panic.lock().unwrap());
            self.granted.lock().unwrap().push(format!("{group}/{}/{}", file.folder, file.name));
            let refused = id == *self.refuse.lock().unwrap();
            answers.push(if refused { Answer::refused("not so") } else { Answer::done(id) });
        }
        Ok(answers)
    }
}

pub(super) struct Rig {
    home: tempfile::TempDir,
    pub(super) grant: Arc<Recorder>,
    pub(super) mailroom: Mailroom,
    clock: Clock,
    groups: watch::Sender<Arc<Snapshot>>,
    written: AtomicUsize,
}

/// A mailroom that runs.
pub(super) struct Running {
    pub(super) stop: Stop,
    pub(super) task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        patience(self.task).await.unwrap()
    }

    pub(super) async fn kill(self) {
        self.task.abort();
        assert!(patience(self.task).await.unwrap_err().is_cancelled());
    }
}

impl Rig {
    /// Groups with folders, all of them served.
    pub(super) fn new(groups: &[&str]) -> Self {
        Self::with_clock(groups, Clock::system())
    }

    pub(super) fn with_clock(groups: &[&str], clock: Clock) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("ipc");
        fs::create_dir(&folder).unwrap();
        let grant = Arc::new(Recorder::default());
        let mailroom = Mailroom::with_clock(folder, Arc::clone(&grant) as Arc<dyn Grant>, clock.clone());
        let sender = watch::Sender::new(Arc::default());
        let rig = Self { home, grant, mailroom, clock, groups: sender, written: AtomicUsize::new(0) };
        for group in groups {
            rig.make(group);
        }
        rig.serve(groups);
        rig
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.home.path().join("ipc")
    }

    pub(super) fn make(&self, group: &str) {
        for place in ["messages", "tasks", "answers"] {
            fs::create_dir_all(self.folder().join(group).join(place)).unwrap();
        }
    }

    /// The group's folders go, also while the host puts something into them.
    pub(super) fn remove(&self, group: &str) {
        let folder = self.folder().join(group);
        while let Err(error) = fs::remove_dir_all(&folder) {
            match error.kind() {
                io::ErrorKind::NotFound => return,
                io::ErrorKind::DirectoryNotEmpty => {}
                _ => panic!("{error}"),
            }
        }
    }

    pub(super) fn serve(&self, groups: &[&str]) {
        let entry = |folder: &&str| {
            format!(r#""test:{folder}":{{"name":"x","folder":"{folder}","trigger":"@A","added_at":"x"}}"#)
        };
        let json = format!("{{{}}}", groups.iter().map(entry).collect::<Vec<_>>().join(","));
        let loaded = load(json.as_bytes(), &self.groups.borrow().groups);
        assert!(loaded.problems.is_empty());
        let generation = loaded.groups.generation();
        self.groups.send_replace(Arc::new(Snapshot {
            generation,
            groups: Arc::new(loaded.groups),
            problems: Vec::new(),
        }));
    }

    pub(super) fn run(&self) -> Running {
        let stop = Stop::new();
        let task = tokio::spawn(self.mailroom.clone().run(self.groups.subscribe(), stop.clone()));
        Running { stop, task }
    }

    /// Another host on the same folders.
    pub(super) fn restarted(&self) -> Mailroom {
        Mailroom::with_clock(self.folder(), Arc::clone(&self.grant) as Arc<dyn Grant>, self.clock.clone())
    }

    pub(super) fn write(&self, group: &str, path: &str, text: &str) {
        self.make(group);
        fs::write(self.folder().join(group).join(path), text).unwrap();
    }

    /// As agents do: under another name, and renamed.
    pub(super) fn petition(&self, group: &str, path: &str) {
        self.make(group);
        let path = self.folder().join(group).join(path);
        let temporary = path.with_extension("json.tmp");
        fs::write(&temporary, petition()).unwrap();
        // Written in this order, whatever the file system's clock can tell apart.
        let number = self.written.fetch_add(1, Ordering::SeqCst) as u64;
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number);
        let file = fs::File::options().write(true).open(&temporary).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
        fs::rename(&temporary, &path).unwrap();
    }

    /// Whether no petition is waiting or held.
    pub(super) fn is_empty(&self, group: &str) -> bool {
        ["messages", "tasks", ".taken"].iter().all(|place| is_empty(&self.folder().join(group).join(place)))
    }

    pub(super) fn answer(&self, group: &str, name: &str) -> Option<Answer> {
        let bytes = fs::read(self.folder().join(group).join("answers").join(name)).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.grant.asked.lock().unwrap().clone()
    }

    pub(super) fn granted(&self) -> Vec<String> {
        self.grant.granted.lock().unwrap().clone()
    }

    pub(super) fn refuse(&self, id: &str) {
        *self.grant.refuse.lock().unwrap() = id.to_owned();
    }

    pub(super) fn panic_at(&self, id: &str) {
        *self.grant.panic.lock().unwrap() = id.to_owned();
    }

    pub(super) fn hold(&self, start: &str) {
        self.grant.hold.send_replace(Some(start.to_owned()));
    }

    pub(super) fn release(&self) {
        self.grant.hold.send_replace(None);
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

pub(super) fn petition() -> String {
    example::line(&example::message(example::CHAT))
}

/// So that a test that fails ends.
pub(super) async fn patience<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.unwrap()
}

pub(super) async fn until(condition: impl Fn() -> bool) {
    patience(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
