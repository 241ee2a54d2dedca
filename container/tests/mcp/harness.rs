//! Speaks to the real binary, and plays the host.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use longshore_protocol::ipc::{Answer, Petition};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A group's mailbox.
pub(crate) struct Ipc(TempDir);

impl Ipc {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["messages", "tasks", "answers"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Everything that lies where the agent writes.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = ["messages", "tasks"].map(|name| fs::read_dir(self.path().join(name)).unwrap());
        files.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }
}

/// A running `longshore-agent mcp`.
pub(crate) struct Server {
    pub(crate) process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    calls: u64,
}

impl Server {
    /// One to which nothing was said yet.
    pub(crate) fn spawn(ipc: &Ipc, args: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_longshore-agent"))
            .arg("mcp")
            .args(args)
            .arg("--ipc")
            .arg(ipc.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nothing but the protocol may be on stdout.
                let _ = sender.send(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
            }
        });
        let stdin = process.stdin.take();
        Self { process, stdin, lines, calls: 0 }
    }

    /// One with which the conversation has begun.
    pub(crate) fn start(ipc: &Ipc, args: &[&str]) -> Self {
        let mut server = Self::spawn(ipc, args);
        let begun = server.request(
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}),
        );
        assert_eq!(begun["result"]["serverInfo"]["name"], "longshore", "{begun}");
        server.write(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        server
    }

    pub(crate) fn write(&mut self, line: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request; its id.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.calls += 1;
        let id = self.calls;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Value {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        let line = self.next();
        assert_eq!(line["id"], id, "{line}");
        line
    }

    pub(crate) fn tools(&mut self) -> Vec<Value> {
        self.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone()
    }

    /// Calls a tool, which says this.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Said {
        Said::of(&self.request("tools/call", json!({"name": tool, "arguments": arguments})))
    }

    /// Closes its stdin and waits until it has left; what it still said.
    pub(crate) fn leave(mut self) -> (i32, Vec<Value>) {
        self.stdin = None;
        let code = self.process.wait().unwrap().code().unwrap_or(-1);
        (code, self.lines.iter().collect())
    }
}

/// What a tool said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Done(String),
    Error(String),
}

impl Said {
    pub(crate) fn of(line: &Value) -> Self {
        let result = &line["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
        if result["isError"] == true { Self::Error(text) } else { Self::Done(text) }
    }

    pub(crate) fn done(self) -> String {
        match self {
            Self::Done(text) => text,
            Self::Error(text) => panic!("an error: {text}"),
        }
    }

    pub(crate) fn error(self) -> String {
        match self {
            Self::Error(text) => text,
            Self::Done(text) => panic!("no error: {text}"),
        }
    }
}

/// Plays the host: answers each petition.
pub(crate) struct Host {
    seen: Arc<Mutex<Vec<(String, Petition)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Answers by `answer`, which is called once for each file.
    pub(crate) fn start(ipc: &Ipc, answer: impl FnMut(&Petition) -> Answer + Send + 'static) -> Self {
        Self::start_in(ipc, &["messages", "tasks"], answer)
    }

    /// Looks into these folders only.
    pub(crate) fn start_in(
        ipc: &Ipc,
        folders: &'static [&'static str],
        mut answer: impl FnMut(&Petition) -> Answer + Send + 'static,
    ) -> Self {
        let root = ipc.path().to_owned();
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut known = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                for path in folders.iter().flat_map(|name| waiting(&root.join(name))) {
                    if !known.insert(path.clone()) {
                        continue;
                    }
                    // Whole at first sight, or this fails.
                    let petition = Petition::read(&fs::read(&path).unwrap()).unwrap();
                    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                    let reply = serde_json::to_vec(&answer(&petition)).unwrap();
                    all.lock().unwrap().push((name.clone(), petition));
                    let draft = root.join("answers").join(format!("{name}.tmp"));
                    fs::write(&draft, reply).unwrap();
                    fs::rename(draft, root.join("answers").join(name)).unwrap();
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// What was asked of it, with the names of the files.
    pub(crate) fn finish(mut self) -> Vec<(String, Petition)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn waiting(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    paths
}
