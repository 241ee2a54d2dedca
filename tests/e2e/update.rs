//! New releases of the CLIs: looked for in a registry of this machine, and taken only after a rehearsal.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use longshore_tests::host::HostOptions;
use longshore_tests::{Host, Installation, installation};

/// A registry that knows one version of everything, or answers nonsense.
fn registry(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/npm", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let known = ["GET /npm/@anthropic-ai%2fclaude-code/latest ", "GET /npm/@openai%2fcodex/latest "];
            let status = if known.iter().any(|known| first.starts_with(known)) { "200 OK" } else { "404 Not Found" };
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            );
        }
    });
    address
}

fn docker(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("docker")
        .args(arguments)
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn id_of(image: &str) -> String {
    docker(&["image", "inspect", "--format", "{{.Id}}", image], "")
}

/// Image names of one test; gone when dropped.
struct Names(String);

impl Names {
    fn new(test: &str) -> Self {
        Self(format!("longshore-test-update-{test}-{}", std::process::id()))
    }

    fn of(&self, tag: &str) -> String {
        format!("{}:{tag}", self.0)
    }

    /// The agent image with one instruction more.
    fn derived(&self, tag: &str, instruction: &str) -> String {
        let recipe = format!("FROM {}\nUSER root\nRUN {instruction}\nUSER node\n", installation::image());
        docker(&["build", "-q", "-t", &self.of(tag), "-"], &recipe);
        self.of(tag)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for tag in ["current", "previous", "broken", "good"] {
            let _ = Command::new("docker").args(["rmi", "-f", &self.of(tag)]).output();
        }
    }
}

fn run(installation: &Installation, registry: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = installation.command().env("NPM_CONFIG_REGISTRY", registry).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn the_versions_of_the_image_are_compared_with_those_of_the_registry() {
    let installation = Installation::new();
    let newer = registry(r#"{"name": "x", "version": "999.0.1", "dist": {}}"#);
    let (status, told) = run(&installation, &newer, &["update", "check"]);
    assert!(status == Some(0) && told.contains("999.0.1") && told.contains("`longshore update apply`"), "{told}");
    let (_, told) = run(&installation, &newer, &["update", "check", "--json"]);
    let releases: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&releases[0]["provider"], &releases[1]["is_newer"]), (&"claude".into(), &true.into()), "{releases:#}");
    let (status, told) = run(&installation, &registry(r#"{"version": "0.0.1"}"#), &["update", "apply"]);
    assert!(status == Some(0) && told.contains("has the newest versions"), "{told}");
    for (registry, wrong) in [
        (registry("<html>"), "does not tell the version of `@anthropic-ai/claude-code`"),
        ("http://127.0.0.1:1/npm".to_owned(), "does not answer"),
        (newer.replace("/npm", "/other"), "status 404"),
    ] {
        let (status, told) = run(&installation, &registry, &["update", "check"]);
        assert!(status == Some(1) && told.contains(wrong), "{told}");
    }
}

#[test]
fn an_image_whose_rehearsal_fails_changes_nothing_and_one_that_works_takes_over_a_running_host() {
    let (installation, names) = (Installation::new(), Names::new("apply"));
    let current = names.of("current");
    docker(&["tag", &installation::image(), &current], "");
    installation.env(&format!("CONTAINER_IMAGE={current}"));
    let old = id_of(&current);
    let broken =
        names.derived("broken", r#"printf '#!/bin/sh\necho out of order >&2\nexit 9\n' > "$(command -v codex)""#);
    let good = names.derived("good", "true");

    let mut host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    let (status, told) = run(&installation, "http://127.0.0.1:1", &["update", "apply", "--image", &broken]);
    assert!(
        status == Some(1) && told.contains("codex does not answer in it") && told.contains("stays as it was"),
        "{told}"
    );
    assert_eq!(id_of(&current), old);

    let before = host.containers();
    let (status, told) = run(&installation, "http://127.0.0.1:1", &["update", "apply", "--image", &good]);
    assert!(status == Some(0) && told.contains(&format!("kept as `{}`", names.of("previous"))), "{told}");
    assert_eq!((id_of(&current), id_of(&names.of("previous"))), (id_of(&good), old));
    host.wait_until("the container on the old image is retired", |host| host.log().contains("its image was replaced"));
    assert_eq!(host.chat("main", "hello again").status, 0);
    let after = host.containers();
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
    let image = docker(&["inspect", "--format", "{{.Image}}", &after[0]], "");
    assert_eq!(image, id_of(&good));
    assert!(
        installation
            .root()
            .join("data")
            .read_dir()
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with("rehearsal-") })
    );
}

#[test]
fn what_a_host_knows_of_newer_releases_is_in_its_status_and_told_by_the_doctor_unless_it_may_ask_nobody() {
    for (policy, is_told) in [("notify", true), ("never", false)] {
        let installation = Installation::new();
        installation.env(&format!("CLI_UPDATES={policy}\nNPM_CONFIG_REGISTRY=http://127.0.0.1:1"));
        let known = r#"{"newest": [{"provider": "codex", "version": "999.0.1"}]}"#;
        std::fs::write(installation.path("data/cli-updates.json"), known).unwrap();
        let options = HostOptions { without_rehearsal: true, ..HostOptions::default() };
        let _host = Host::start_with(&installation, &options);
        let told = |arguments: &[&str]| {
            String::from_utf8(installation.longshore(arguments).stdout).unwrap().contains("codex 999.0.1 is newer than")
        };
        assert_eq!(told(&["status"]), is_told, "{policy}");
        let report = installation.longshore(&["doctor", "--all", "--json"]).stdout;
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let commands = report["findings"].as_array().unwrap().iter().map(|found| &found["command"]);
        assert_eq!(commands.filter(|command| *command == "longshore update apply").count(), usize::from(is_told));
    }
}
