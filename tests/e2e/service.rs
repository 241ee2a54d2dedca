//! The host as a service: what its supervisor is told, and the files that make it one.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use longshore_tests::{Host, HostOptions, Installation};

/// A supervisor: each datagram that it has heard so far. It reads all the time, as they do: a kernel keeps few.
struct Ear {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    fn new(installation: &Installation) -> Self {
        let socket = UnixDatagram::bind(installation.path("notify")).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = heard.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(size) = socket.recv(&mut buffer) {
                into.lock().unwrap().push(String::from_utf8(buffer[..size].to_vec()).unwrap());
            }
        });
        Self { heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn count(&self, line: &str) -> usize {
        self.heard().iter().filter(|told| told.lines().any(|told| told == line)).count()
    }

    fn wait_for(&self, line: &str, times: usize) {
        let begin = Instant::now();
        while self.count(line) < times {
            assert!(begin.elapsed() < Duration::from_secs(60), "{times} times `{line}`: {:#?}", self.heard());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_supervisor_hears_that_the_host_is_ready_alive_and_ending() {
    let installation = Installation::new();
    let ear = Ear::new(&installation);
    let options = HostOptions {
        environment: vec![
            ("NOTIFY_SOCKET".to_owned(), installation.path("notify").display().to_string()),
            ("WATCHDOG_USEC".to_owned(), "300000".to_owned()),
        ],
        ..HostOptions::default()
    };
    let host = Host::start_with(&installation, &options);
    ear.wait_for("READY=1", 1);
    assert_eq!(ear.heard()[0], "READY=1\nSTATUS=serving 2 groups");
    ear.wait_for("WATCHDOG=1", 4);
    assert_eq!(host.chat("main", "hello").status, 0, "it works while it tells of itself");
    assert_eq!(ear.count("STOPPING=1"), 0);
    assert_eq!(host.stop(), Some(0));
    ear.wait_for("STOPPING=1", 1);
    let heard = ear.heard();
    assert!(heard.last().is_some_and(|last| last.starts_with("STOPPING=1")), "the last thing that is told: {heard:#?}");
    assert_eq!(ear.count("READY=1"), 1);
}

#[test]
fn without_a_supervisor_and_with_one_that_is_gone_the_host_serves() {
    let installation = Installation::new();
    let options = HostOptions {
        environment: vec![
            ("NOTIFY_SOCKET".to_owned(), installation.path("nobody").display().to_string()),
            ("WATCHDOG_USEC".to_owned(), "100000".to_owned()),
        ],
        ..HostOptions::default()
    };
    let host = Host::start_with(&installation, &options);
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.stop(), Some(0));
}

fn run(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    // No session bus: as on a machine, or in a shell, without the user's service manager.
    let output = installation.command().env("HOME", installation.root()).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_service_that_cannot_be_started_is_written_and_says_what_is_left_to_do() {
    let installation = Installation::new();
    let unit = installation.path(".config/systemd/user/longshore.service");
    let (status, told) = run(&installation, &["service", "install"]);
    assert!(status == Some(1) && told.contains(&format!("wrote  {}", unit.display())), "{told}");
    assert!(
        told.contains("cannot be reached") && told.contains("  systemctl --user enable --now longshore.service"),
        "{told}"
    );
    let text = std::fs::read_to_string(&unit).unwrap();
    assert!(
        text.contains("Type=notify") && text.contains(&format!("--root \"{}\" run", installation.root().display())),
        "{text}"
    );
    let (_, told) = run(&installation, &["service", "install"]);
    assert!(told.contains("kept "), "{told}");
    let (status, told) = run(&installation, &["service", "status"]);
    assert!(status == Some(1) && told.contains("installed: ") && told.contains("cannot be asked"), "{told}");
    // Another installation's file is not taken.
    std::fs::write(&unit, text.replace(&*installation.root().to_string_lossy(), "/srv/other")).unwrap();
    let (status, told) = run(&installation, &["service", "install"]);
    assert!(status == Some(1) && told.contains("another installation's"), "{told}");
    std::fs::write(&unit, "[Unit]\n").unwrap();
    for command in ["install", "uninstall"] {
        let (status, told) = run(&installation, &["service", command]);
        assert!(status == Some(1) && told.contains("not ours"), "{told}");
    }
    std::fs::write(&unit, text).unwrap();
    let (_, told) = run(&installation, &["service", "uninstall"]);
    assert!(told.contains("removed") && !unit.exists(), "{told}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let installation = Installation::new();
    let (status, unit) = run(&installation, &["service", "install", "--print", "--systemd"]);
    assert_eq!(status, Some(0), "{unit}");
    let file = installation.path("longshore.service");
    std::fs::write(&file, &unit).unwrap();
    match Command::new("systemd-analyze")
        .args(["verify", "--user"])
        .arg(&file)
        .env("XDG_RUNTIME_DIR", installation.root())
        .output()
    {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stderr);
            let about: Vec<&str> = told.lines().filter(|line| line.contains("longshore.service")).collect();
            assert!(about.is_empty(), "{about:#?}");
        }
        Err(error) => eprintln!("SKIPPED: systemd-analyze: {error}"),
    }
}
