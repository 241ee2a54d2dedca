//! A runner of the enemy's own: the whole container lies.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use longshore_tests::{Answer, Host, Installation};
use serde_json::json;

use super::{asked, besieged, holds, stopped};
use crate::chat::store;

/// What the hostile runner says and nobody may hear.
const MARK: &str = "the mark of the attack";

/// An image whose runner is `tests/fixtures/hostile_runner.py`; gone when dropped.
struct Image {
    name: String,
}

impl Image {
    fn make() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("longshore-redteam:{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let runner = include_str!("../../fixtures/hostile_runner.py");
        fs::write(folder.path().join("runner.py"), runner).unwrap();
        // The label tells the images of tests that run at once apart.
        let recipe = format!(
            "FROM {}\nLABEL longshore.redteam={name}\nCOPY runner.py /runner.py\nENTRYPOINT [\"python3\", \"-u\", \"/runner.py\"]\n",
            longshore_tests::installation::image()
        );
        fs::write(folder.path().join("Dockerfile"), recipe).unwrap();
        let mut build = Command::new("docker");
        build.env("DOCKER_BUILDKIT", "0").args(["build", "-q", "--rm", "-t", &name]).arg(folder.path());
        let built = build.output().unwrap();
        assert!(built.status.success(), "{built:?}");
        Self { name }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.name]).output();
    }
}

/// An installation whose group `eve` has the image.
fn with(image: &Image) -> Installation {
    besieged(&json!({ "image": image.name }), &json!({}))
}

fn attack(installation: &Installation, name: &str) {
    fs::write(installation.path("groups/eve/attack"), name).unwrap();
}

/// One message to a hostile runner.
fn under(host: &Host<'_>, name: &str) -> Answer {
    attack(host.installation, name);
    host.chat("eve", "hello")
}

/// `bob` is answered, and so is `eve`, once her runner behaves.
fn goes_on(host: &Host<'_>) {
    attack(host.installation, "behave");
    super::goes_on(host, &["eve"]);
}

fn nothing_was_said(installation: &Installation) {
    assert_eq!(store(installation, &format!("SELECT count(*) FROM outbox WHERE text LIKE '%{MARK}%'")), 0);
}

#[test]
fn a_runner_of_another_protocol_is_refused_whatever_its_label_says() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    for lie in ["protocol", "odd_ready", "no_ready"] {
        let answer = under(&host, lie);
        assert_eq!(answer.status, 1, "{lie}: {answer:?}");
        assert!(answer.stderr.contains("longshore image build") && !answer.stderr.contains(MARK), "{lie}: {answer:?}");
    }
    nothing_was_said(&installation);
    goes_on(&host);
}

#[test]
fn answers_for_another_turn_are_nobodys() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    assert_eq!(host.chat("bob", "hello").status, 0);
    let answer = under(&host, "another_turn");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "You said: still there?"), "{answer:?}");
    nothing_was_said(&installation);
    assert_eq!(store(&installation, "SELECT count(*) FROM sessions WHERE session = 'stolen'"), 0);
    goes_on(&host);
}

#[test]
fn rubbish_half_lines_and_lines_without_end_are_skipped() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    for lie in ["rubbish", "too_long"] {
        let answer = under(&host, lie);
        assert_eq!((answer.status, answer.stdout.as_str()), (0, "You said: still there?"), "{lie}: {answer:?}");
    }
    nothing_was_said(&installation);
    goes_on(&host);
}

#[test]
fn half_a_line_and_the_end_is_no_answer() {
    let image = Image::make();
    let installation = with(&image);
    let mut host = Host::start(&installation);
    attack(&installation, "half");
    let mut asking = asked(&installation, "eve", "hello");
    host.wait_until("the container has gone", |host| host.log().contains("the container exited with status 0"));
    stopped(&mut host, "eve");
    asking.wait().unwrap();
    nothing_was_said(&installation);
    goes_on(&host);
}

#[test]
fn what_comes_after_the_end_is_heard_by_nobody() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    for _ in 0..2 {
        let answer = under(&host, "after_the_end");
        assert_eq!((answer.status, answer.stdout.as_str()), (0, "You said: still there?"), "{answer:?}");
    }
    goes_on(&host);
    nothing_was_said(&installation);
}

#[test]
fn a_runner_that_never_answers_and_ignores_signals_is_stopped_and_removed() {
    let image = Image::make();
    let installation = with(&image);
    let mut host = Host::start(&installation);
    attack(&installation, "silent");
    let mut asking = asked(&installation, "eve", "hello");
    host.wait_until("the turn runs", |host| {
        store(host.installation, "SELECT count(*) FROM turns WHERE state = 'running'") == 1
            && !host.containers().is_empty()
    });
    super::goes_on(&host, &[]);
    stopped(&mut host, "eve");
    asking.wait().unwrap();
    goes_on(&host);
}

#[test]
fn a_runner_that_ignores_the_order_to_leave_is_ended_with_the_host() {
    let image = Image::make();
    let installation = with(&image);
    let mut host = Host::start(&installation);
    attack(&installation, "stubborn");
    let mut asking = asked(&installation, "eve", "hello");
    host.wait_until("the container runs", |host| host.containers().len() == 1);
    super::goes_on(&host, &[]);
    // The second order waits for nobody.
    host.signal(rustix::process::Signal::TERM);
    host.wait_until("the host winds up", |host| {
        host.log().contains("stopping") || host.log().contains("drain") || host.log().contains("signal")
    });
    let _status = host.stop();
    asking.wait().unwrap();
    let next = Host::start(&installation);
    attack(&installation, "behave");
    let _nothing_to_stop = next.installation.longshore(&["stop", "eve"]);
    goes_on(&next);
    assert_eq!(next.containers().len(), 2, "the stubborn container is still there");
}

#[test]
fn a_runner_that_dies_at_once_costs_its_own_turn() {
    let image = Image::make();
    let installation = with(&image);
    let mut host = Host::start(&installation);
    attack(&installation, "dead");
    let mut asking = asked(&installation, "eve", "hello");
    host.wait_until("its death is seen", |host| host.log().contains("before it was ready"));
    super::goes_on(&host, &[]);
    stopped(&mut host, "eve");
    asking.wait().unwrap();
    goes_on(&host);
}

#[test]
fn twenty_thousand_messages_of_a_turn_are_a_thousand_at_most() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    assert_eq!(under(&host, "many").status, 0);
    let said = store(&installation, "SELECT count(*) FROM outbox WHERE chat = 'console:eve'");
    assert!((100..=1001).contains(&said), "{said} messages");
    goes_on(&host);
}

#[test]
fn a_flood_of_notes_is_answered_all_the_same_and_forges_no_line_of_the_log() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    let answer = under(&host, "progress");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "You said: still there?"), "{answer:?}");
    let log = host.log();
    assert!(
        log.contains("forged line") && !log.lines().any(|line| line.starts_with("forged line")),
        "a note begins a line"
    );
    assert!(!log.contains('\u{1b}'), "the log holds what a terminal would obey");
    let record = std::fs::read_to_string(installation.path("data/logs/longshore.jsonl")).unwrap();
    assert!((1..=20).contains(&record.matches("forged line").count()), "a flood of notes is a flood of lines");
    goes_on(&host);
}

#[test]
fn a_flood_without_a_line_is_not_heard_for_ever() {
    let image = Image::make();
    let installation = with(&image);
    let mut host = Host::start(&installation);
    attack(&installation, "flood");
    let mut asking = asked(&installation, "eve", "hello");
    host.wait_until("it is not heard any more", |host| host.log().contains("it is not heard any more"));
    super::goes_on(&host, &[]);
    stopped(&mut host, "eve");
    asking.wait().unwrap();
    goes_on(&host);
}

#[test]
fn a_session_with_a_hostile_name_is_not_kept() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    assert_eq!(under(&host, "sessions").status, 0);
    assert_eq!(
        store(
            &installation,
            "SELECT count(*) FROM sessions WHERE group_id = 'eve' AND (session LIKE '-%' OR length(session) > 256 OR session GLOB '*[^!-~]*' OR session = '')"
        ),
        0
    );
    goes_on(&host);
}

#[test]
fn numbers_that_a_runner_makes_up_are_counted_nowhere() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    let answer = under(&host, "usage");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "You said: still there?"), "{answer:?}");
    let usage = installation.longshore(&["usage", "eve", "--json"]);
    let text = String::from_utf8_lossy(&usage.stdout).into_owned();
    assert!(usage.status.success() && !text.contains("18446744073709551615"), "{usage:?}");
    goes_on(&host);
}

#[test]
fn the_words_of_a_failure_are_not_said_to_the_chat() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    let answer = under(&host, "failure");
    assert_eq!(answer.status, 1, "{answer:?}");
    for words in [MARK, "curl", "\u{1b}"] {
        assert!(!answer.stdout.contains(words) && !answer.stderr.contains(words), "{words}: {answer:?}");
    }
    nothing_was_said(&installation);
    let log = host.log();
    assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with(MARK)), "{log}");
    goes_on(&host);
}

#[test]
fn a_wait_until_the_end_of_days_is_given_up() {
    let image = Image::make();
    let installation = with(&image);
    let host = Host::start(&installation);
    let answer = under(&host, "for_ever");
    assert_eq!(answer.status, 1, "{answer:?}");
    nothing_was_said(&installation);
    goes_on(&host);
}

#[test]
fn the_last_words_of_a_container_forge_no_line_of_the_log() {
    let image = Image::make();
    let installation = with(&image);
    let mut host = Host::start(&installation);
    assert_eq!(under(&host, "stderr").status, 0);
    host.wait_until("its last words are in the log", |host| host.log().contains(MARK));
    let log = host.log();
    let forged = log.lines().find(|line| line.starts_with("2026-01-01T00:00:00") || line.starts_with(MARK));
    assert_eq!(forged, None, "a container wrote a line of its own into the log");
    assert!(!log.contains('\u{1b}') && !log.contains('\r'), "the log holds what a terminal would obey");
    assert!(holds(&installation, MARK).iter().all(|file| file.ends_with("host.log")));
    goes_on(&host);
}
