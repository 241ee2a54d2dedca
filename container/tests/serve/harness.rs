//! Starts the real binary with stand-in CLIs on its `PATH`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays `claude`: keeps its launches in `$HOME/launches`, answers each message according to its prompt.
const CLAUDE: &str = r#"#!/bin/bash
echo "$*" >> "$HOME/launches"
for word; do case $word in
  --resume=*) session=${word#*=} ;;
  --session-id=*) session=${word#*=} ;;
  --append-system-prompt-file=*) cat "${word#*=}" > "$HOME/prelude" ;;
esac; done
[ "$session" = unknown ] && { echo "No conversation found with session ID: unknown" >&2; exit 1; }
init() { echo '{"type":"system","subtype":"init","session_id":"'$session'"}'; }
result() { echo '{"is_error":false,"result":"'"$1"'","usage":{"input_tokens":1,"output_tokens":2},"user_message_uuids":["'$uuid'"],"type":"result"}'; }
while IFS= read -r line; do
  case $line in *control_request*) [ "$deaf" ] || { deaf=; echo '{"is_error":true,"errors":["interrupted"],"type":"result"}'; }; continue ;; esac
  [[ $line =~ \"uuid\":\"([^\"]+)\" ]] && uuid=${BASH_REMATCH[1]}
  case $line in
    *'"content":"flood"'*) init; yes '{"type":"assistant","message":{"content":[{"type":"text","text":"flood"}]}}' | head -c 20000000; echo; head -c 100000000 /dev/zero; echo; head -c 20000000 /dev/zero >&2; result done ;;
    *'"content":"hang"'*) init ;;
    *'"content":"deaf"'*) deaf=1; init; setsid bash -c 'echo $$ >> $HOME/pids; sleep 1000; true' & (sleep 1000 & echo $! >> $HOME/pids); bash -c 'setsid bash -c "echo \$\$ >> $HOME/pids; sleep 1000; true" & wait' & echo $! >> $HOME/pids ;;
    *'"content":"die"'*) init; echo 'Error: Settings file not found: x' >&2; exit 1 ;;
    *'"content":"leave"'*) init; result bye; exit 0 ;;
    *'"content":"mutter"'*) init; both=$(result ok; init); cat <<< "$both" ;;
    *'"content":"noise"'*) echo 'not json'; echo '{"type":"never_seen"}'; echo '[]'; init; result ok ;;
    *) init; result "pid $$" ;;
  esac
done
"#;

/// Plays `codex`: the prompt is a script that it runs, after the words of its thread.
const CODEX: &str = r#"#!/bin/bash
echo "$*" >> "$HOME/launches"
thread=01a1fc6d-17f0-70d1-bc9a-1f565c9513ed
say() { echo '{"type":"item.completed","item":{"id":"i","type":"agent_message","text":"'"$1"'"}}'; }
over() { echo '{"type":"turn.completed","usage":{"input_tokens":'$1',"cached_input_tokens":0,"output_tokens":'$1'}}'; }
script=$(cat)
echo '{"type":"thread.started","thread_id":"'$thread'"}'
echo '{"type":"turn.started"}'
eval "$script"
"#;

/// A running `longshore-agent serve`.
pub(crate) struct Agent {
    pub(crate) process: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    root: TempDir,
}

impl Agent {
    /// One whose CLIs are the stand-ins; `ready` has been read.
    pub(crate) fn start() -> Self {
        Self::start_in(TempDir::new().unwrap())
    }

    /// One that finds what another left in its home.
    pub(crate) fn start_in(root: TempDir) -> Self {
        for (name, script) in [("claude", CLAUDE), ("codex", CODEX)] {
            let path = root.path().join("bin").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in ["home", "group", "tmp"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_longshore-agent"))
            .args(["serve", "--bridge-port", "0", "--directory"])
            .arg(root.path().join("group"))
            .env("HOME", root.path().join("home"))
            .env("TMPDIR", root.path().join("tmp"))
            .env("PATH", format!("{}:/usr/bin:/bin", root.path().join("bin").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let stdin = process.stdin.take();
        let mut agent = Self { process, stdin, events, root };
        let ready = agent.next().unwrap();
        assert_eq!((&ready["type"], &ready["protocol"]), (&json!("ready"), &json!(1)));
        agent
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn send(&mut self, turn: &str, fields: Value) {
        let mut line = json!({"type": "turn", "turn": turn, "provider": "claude", "time_limit_seconds": 60});
        for (name, value) in fields.as_object().unwrap() {
            line[name] = value.clone();
        }
        self.write(&line.to_string());
    }

    pub(crate) fn stop(&mut self, turn: &str) {
        self.write(&json!({"type": "stop", "turn": turn}).to_string());
    }

    /// The next event; `None` at the end of stdout.
    pub(crate) fn next(&mut self) -> Option<Value> {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => Some(event),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing was said for {PATIENCE:?}"),
        }
    }

    /// The events up to and with the terminal one of this turn, all of which must be its own.
    pub(crate) fn until_end(&mut self, turn: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.next().unwrap();
            assert_eq!(event["turn"], turn, "{event}");
            events.push(event);
            let kind = &events[events.len() - 1]["type"];
            if kind == "finished" || kind == "failed" {
                return events;
            }
        }
    }

    /// Runs a turn to its end.
    pub(crate) fn turn(&mut self, turn: &str, fields: Value) -> Vec<Value> {
        self.send(turn, fields);
        self.until_end(turn)
    }

    /// The command lines with which the stand-ins were started.
    pub(crate) fn launches(&self) -> Vec<String> {
        fs::read_to_string(self.home().join("launches")).unwrap().lines().map(str::to_owned).collect()
    }

    /// The processes that the stand-ins noted, once there are as many.
    pub(crate) fn noted_pids(&self, count: usize) -> Vec<i32> {
        let pids = || {
            let text = fs::read_to_string(self.home().join("pids")).unwrap_or_default();
            text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>()
        };
        eventually(|| pids().len() >= count);
        pids()
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the process to leave; every event that was not read comes too.
    pub(crate) fn leave(mut self) -> (i32, Vec<Value>, TempDir) {
        self.close_stdin();
        self.left()
    }

    /// The same for one that leaves by itself.
    pub(crate) fn left(mut self) -> (i32, Vec<Value>, TempDir) {
        let mut rest = Vec::new();
        while let Some(event) = self.next() {
            rest.push(event);
        }
        (self.process.wait().unwrap().code().unwrap_or(-1), rest, self.root)
    }
}

/// Waits until something is so.
pub(crate) fn eventually(mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "it did not come to be so");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process exists and has not died.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

/// The texts of a turn's messages.
pub(crate) fn said(events: &[Value]) -> Vec<&str> {
    events.iter().filter(|event| event["type"] == "message").map(|event| event["text"].as_str().unwrap()).collect()
}

/// The session that a turn named.
pub(crate) fn session(events: &[Value]) -> Value {
    events.iter().find(|event| event["type"] == "session").unwrap()["session"].clone()
}

/// The kind of a failed turn's failure; `finished` for one that did not fail.
pub(crate) fn end(events: &[Value]) -> &str {
    let last = events.last().unwrap();
    last["failure"]["kind"].as_str().unwrap_or(last["type"].as_str().unwrap())
}
