//! Newer releases of the CLIs, and who hears of them: the whole host, with a registry of this machine.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use longshore::app::{App, Options};
use longshore::clock::{Clock, Hands};
use longshore::config::Config;
use longshore::control::client::Client;
use longshore::control::{Request, Response, Status};
use longshore::operator::Operator;
use longshore::stop::Stop;
use longshore_protocol::{PROTOCOL_VERSION, ProviderKind};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::says;
use super::theatre::{Actors, Theatre};

const START: i64 = 1_800_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A registry with a newer claude, and the codex of the image.
struct Registry {
    address: String,
    asked: Arc<AtomicUsize>,
    served: JoinHandle<()>,
}

impl Registry {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let served = tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let mut lines = BufReader::new(&mut connection).lines();
                let first = lines.next_line().await.unwrap().unwrap_or_default();
                while lines.next_line().await.is_ok_and(|line| line.is_some_and(|line| !line.is_empty())) {}
                let version = if first.contains("claude-code") { "2.1.10" } else { "0.169.0" };
                let body = format!(r#"{{"version": "{version}"}}"#);
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { address, asked, served }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A host, with a clock of its own.
struct Running {
    root: TempDir,
    hands: Hands,
    stop: Stop,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(root: TempDir, at: Timestamp, policy: &str, registry: &Registry, rehearsal: bool) -> Self {
        let path = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(path.join("data")).unwrap();
        std::fs::write(path.join("data/registered_groups.json"), "{}").unwrap();
        let settings = [("CLI_UPDATES", policy), ("NPM_CONFIG_REGISTRY", &registry.address)];
        let settings: BTreeMap<String, String> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (clock, hands) = Clock::manual(at);
        let actors = Actors {
            root: path.clone(),
            protocol: PROTOCOL_VERSION,
            otherwise: Arc::new(says("never")),
            scripts: std::sync::Mutex::default(),
            requests: std::sync::Mutex::default(),
            started: std::sync::Mutex::default(),
        };
        let app = App::start(Options {
            config: Config::parse(&settings).unwrap(),
            rehearsal,
            program: path.join("program"),
            runtime: Arc::new(Theatre(Arc::new(actors))),
            operator: Operator::at(path.clone(), None),
            clock,
            root: path,
        })
        .await
        .unwrap();
        let stop = Stop::new();
        let ended = tokio::spawn(app.run(stop.clone(), Stop::new()));
        Self { root, hands, stop, ended }
    }

    async fn status(&self) -> Box<Status> {
        let mut client = Client::connect(self.root.path()).await.unwrap();
        client.send(&Request::Status).await.unwrap();
        match client.next().await.unwrap() {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Ends it, and returns its folder and its time.
    async fn end(self) -> (TempDir, Timestamp) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
        (self.root, self.hands.now())
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not in 20 s");
}

/// For what must not happen: longer than it would take.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_newer_release_is_told_of_and_nobody_is_asked_twice_in_a_day_or_after_a_restart() {
    let registry = Registry::new().await;
    let start = Timestamp::from_second(START).unwrap();
    let host = Running::start(tempfile::tempdir().unwrap(), start, "notify", &registry, false).await;
    host.hands.advance(4 * MINUTE);
    a_while().await;
    assert_eq!((registry.asked(), host.status().await.cli_updates.len()), (0, 0), "not in the first minutes");
    host.hands.advance(12 * MINUTE);
    until("the release is told of", async || host.status().await.cli_updates.len() == 1).await;
    let told = host.status().await.cli_updates.remove(0);
    assert_eq!((told.provider, told.installed.as_deref()), (ProviderKind::Claude, Some("2.1.9")));
    assert_eq!((told.newest.as_str(), registry.asked()), ("2.1.10", 2));
    host.hands.advance(23 * HOUR);
    a_while().await;
    assert_eq!(registry.asked(), 2);
    let (root, now) = host.end().await;

    let host = Running::start(root, now, "notify", &registry, false).await;
    assert_eq!(host.status().await.cli_updates, [told], "known from the start");
    host.hands.advance(16 * MINUTE);
    a_while().await;
    assert_eq!(registry.asked(), 2);
    host.hands.advance(3 * HOUR);
    until("it is asked a day later", async || registry.asked() == 4).await;
    let (root, now) = host.end().await;

    let host = Running::start(root, now, "never", &registry, false).await;
    assert_eq!(host.status().await.cli_updates, []);
    host.end().await;
}

#[tokio::test]
async fn with_auto_a_newer_release_is_taken_by_a_process_of_its_own_and_one_that_fails_is_tried_for_three_days() {
    let registry = Registry::new().await;
    let root = tempfile::tempdir().unwrap();
    let (program, calls) = (root.path().join("program"), root.path().join("calls"));
    let script =
        format!("#!/bin/sh\necho \"$*\" >> {}\necho 'codex does not answer in it' >&2\nexit 1\n", calls.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let start = Timestamp::from_second(START).unwrap();
    let host = Running::start(root, start, "auto", &registry, false).await;
    let called = || std::fs::read_to_string(&calls).unwrap_or_default().lines().count();
    host.hands.advance(16 * MINUTE);
    for day in 1..=3 {
        until("it is tried", async || called() == day).await;
        let printed = host.root.path().join("data/cli-update.log");
        until("what it printed is kept", async || std::fs::read(&printed).is_ok_and(|log| !log.is_empty())).await;
        host.hands.advance(27 * HOUR);
    }
    until("the registry is asked once more", async || registry.asked() == 8).await;
    a_while().await;
    assert_eq!(called(), 3);
    assert_eq!(host.status().await.cli_updates.len(), 1, "the operator is told of it all the same");
    let asked = format!("--root {} update apply", host.root.path().canonicalize().unwrap().display());
    assert!(std::fs::read_to_string(&calls).unwrap().lines().all(|line| line == asked));
    host.end().await;
}

#[tokio::test]
async fn never_and_a_rehearsal_ask_nobody() {
    let start = Timestamp::from_second(START).unwrap();
    for (policy, rehearsal) in [("never", false), ("notify", true), ("auto", true)] {
        let registry = Registry::new().await;
        let host = Running::start(tempfile::tempdir().unwrap(), start, policy, &registry, rehearsal).await;
        host.hands.advance(16 * MINUTE);
        a_while().await;
        host.hands.advance(48 * HOUR);
        a_while().await;
        assert_eq!((registry.asked(), host.status().await.cli_updates.len()), (0, 0), "{policy} {rehearsal}");
        let (root, _) = host.end().await;
        assert!(!root.path().join("data/cli-updates.json").exists());
    }
}

#[tokio::test]
async fn a_registry_that_is_away_does_no_harm() {
    let registry = Registry::new().await;
    registry.served.abort();
    until("nobody listens", async || registry.served.is_finished()).await;
    let start = Timestamp::from_second(START).unwrap();
    let host = Running::start(tempfile::tempdir().unwrap(), start, "notify", &registry, false).await;
    host.hands.advance(16 * MINUTE);
    let file = host.root.path().join("data/cli-updates.json");
    until("it was asked", async || file.exists()).await;
    a_while().await;
    assert_eq!(host.status().await.cli_updates, []);
    host.end().await;
}
