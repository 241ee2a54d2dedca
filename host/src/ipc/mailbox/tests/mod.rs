//! Passes through real folders.

mod hostile;
mod removal;

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use longshore_protocol::ipc::example;

use super::*;
use crate::clock::Clock;

/// A group's mailbox.
struct Rig {
    home: tempfile::TempDir,
    mailbox: Mailbox,
    /// How far the host's clock is ahead of the file system's.
    ahead: SignedDuration,
}

impl Rig {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        for place in ["messages", "tasks"] {
            fs::create_dir_all(home.path().join("team").join(place)).unwrap();
        }
        Self { mailbox: mailbox(home.path()), home, ahead: SignedDuration::from_secs(60) }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join("team").join(path)
    }

    fn now(&self) -> Timestamp {
        Clock::system().now() + self.ahead
    }

    /// As if the host had been killed and started again.
    fn restart(&mut self) {
        self.mailbox = mailbox(self.home.path());
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// A petition that was written so many seconds after the epoch.
    fn petition(&self, path: &str, seconds: u64) {
        self.write(path, &petition());
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = File::options().write(true).open(self.path(path)).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    fn scan(&mut self) -> Vec<Found> {
        let Some(mut scan) = self.mailbox.begin(self.now()).unwrap() else { return Vec::new() };
        while self.mailbox.scan(&mut scan).unwrap() == Progress::More {}
        scan.into_oldest()
    }

    fn read(&mut self) -> Batch {
        let (found, now) = (self.scan(), self.now());
        self.mailbox.read(found, now).unwrap()
    }

    /// A whole pass in which everything is granted.
    fn pass(&mut self) -> Vec<PetitionFile> {
        let (found, now) = (self.scan(), self.now());
        let mut files = Vec::new();
        for some in found.chunks(MAX_BATCH) {
            let batch = self.mailbox.read(some.to_vec(), now).unwrap();
            let answers = vec![Answer::done("x"); batch.files.len()];
            self.mailbox.finish(&batch.found, &answers, now).unwrap();
            files.extend(batch.files);
        }
        files
    }

    fn answer(&self, name: &str) -> Option<Answer> {
        let bytes = fs::read(self.path("answers").join(name)).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    fn listed(&self, path: &str) -> Vec<String> {
        listed(&self.path(path))
    }

    fn errors(&self) -> Vec<String> {
        listed(&self.home.path().join(ERRORS))
    }
}

fn mailbox(home: &Path) -> Mailbox {
    let quarantine = Arc::new(Quarantine::new(home.to_owned()));
    Mailbox::new(home.to_owned(), "team".parse().unwrap(), quarantine)
}

fn petition() -> String {
    example::line(&example::message(example::CHAT))
}

fn listed(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn files_of_both_folders_come_in_the_order_of_their_age() {
    let mut rig = Rig::new();
    for (path, seconds) in
        [("messages/b.json", 30), ("tasks/a.json", 20), ("messages/z.json", 10), ("tasks/c.json", 20)]
    {
        rig.petition(path, seconds);
    }
    rig.write("messages/unfinished.json.tmp", "{");
    let files = rig.pass();
    let order: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(order, ["z.json", "a.json", "c.json", "b.json"]);
    assert_eq!((files[0].folder, files[1].folder), (Folder::Messages, Folder::Tasks));
    assert_eq!(rig.listed("messages"), ["unfinished.json.tmp"]);
    assert_eq!(rig.listed("tasks"), Vec::<String>::new());
    assert_eq!(rig.listed("answers"), ["a.json", "b.json", "c.json", "z.json"]);
    assert_eq!(rig.listed(".taken"), Vec::<String>::new());
}

#[test]
fn of_many_files_the_oldest_come_first_and_answers_do_not_pile_up() {
    let mut rig = Rig::new();
    let many = MAX_TAKEN + 300;
    for number in 0..many {
        rig.petition(&format!("messages/{}.json", many - number), number as u64);
    }
    let first = rig.pass();
    assert_eq!(first.len(), MAX_TAKEN);
    assert_eq!((first[0].name.as_str(), first[MAX_TAKEN - 1].name.as_str()), ("1300.json", "301.json"));
    assert!(rig.listed("answers").len() <= answers::MAX_ANSWERS);
    assert_eq!(rig.pass().len(), 300);
    assert!(rig.listed("answers").len() <= answers::MAX_ANSWERS);
    assert_eq!(rig.answer("1.json"), Some(Answer::done("x")));
    rig.ahead = SignedDuration::from_secs(3700);
    assert_eq!(rig.pass(), []);
    assert_eq!(rig.listed("answers"), Vec::<String>::new());
}

#[test]
fn a_group_without_folders_has_no_petitions() {
    let mut rig = Rig::new();
    fs::remove_dir_all(rig.path("messages")).unwrap();
    rig.petition("tasks/x.json", 0);
    assert_eq!(rig.pass().len(), 1);
    fs::remove_dir_all(rig.path("")).unwrap();
    assert_eq!(rig.pass(), []);
}

#[test]
fn a_folder_that_is_a_link_is_not_read_and_the_other_one_is() {
    let mut rig = Rig::new();
    rig.petition("tasks/x.json", 0);
    fs::create_dir(rig.home.path().join("elsewhere")).unwrap();
    fs::rename(rig.path("tasks/x.json"), rig.home.path().join("elsewhere/x.json")).unwrap();
    fs::remove_dir(rig.path("tasks")).unwrap();
    std::os::unix::fs::symlink(rig.home.path().join("elsewhere"), rig.path("tasks")).unwrap();
    rig.petition("messages/y.json", 0);
    let files = rig.pass();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].name, "y.json");
    assert_eq!(listed(&rig.home.path().join("elsewhere")), ["x.json"]);
}

#[test]
fn what_may_still_be_written_is_left_alone_and_then_refused() {
    let mut rig = Rig::new();
    rig.ahead = SignedDuration::ZERO;
    rig.write("messages/half.json", r#"{"type":"mess"#);
    rig.write("messages/empty.json", "");
    let batch = rig.read();
    assert_eq!((batch.later, batch.files.len(), batch.unusable.len()), (2, 0, 0));
    assert_eq!(rig.listed("answers"), Vec::<String>::new());
    rig.write("messages/half.json", &petition());
    assert_eq!(rig.pass().len(), 1);
    rig.ahead = SignedDuration::from_secs(60);
    assert_eq!(rig.pass(), []);
    assert!(rig.answer("empty.json").unwrap().error.unwrap().contains("not JSON"));
    assert_eq!(rig.errors(), ["team-empty.json", "team-empty.json.reason.txt"]);
    assert_eq!(rig.listed("messages"), Vec::<String>::new());
}

#[test]
fn what_is_no_petition_is_refused_at_once_and_kept_with_its_reason() {
    let mut rig = Rig::new();
    rig.ahead = SignedDuration::ZERO;
    let text = r#"{"type":"mesage","text":"a secret"}"#;
    rig.write("tasks/x.json", text);
    let batch = rig.read();
    assert_eq!(batch.unusable[0].flaw.word(), "no petition");
    let error = rig.answer("x.json").unwrap().error.unwrap();
    assert!(error.contains("`mesage`"), "{error}");
    assert_eq!(fs::read_to_string(rig.home.path().join(ERRORS).join("team-x.json")).unwrap(), text);
    let reason = fs::read_to_string(rig.home.path().join(ERRORS).join("team-x.json.reason.txt")).unwrap();
    assert!(
        reason.contains("group: team\nfolder: tasks\nname: x.json\ntype: a file\nbytes: 35\nreason: `type`"),
        "{reason}"
    );
}
