//! One CLI process: its own group, its output read at once, its end noticed.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use std::os::unix::process::ExitStatusExt;

use longshore_protocol::line::{Line, LineBuffer};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cgroup;
use crate::family::Family;
use crate::provider::{Exit, Invocation};

/// Bytes of stderr that are kept for a failure's text.
const TAIL_BYTES: usize = 8 * 1024;
/// Bytes read at a time; the lines of so much travel together.
const CHUNK: usize = 64 * 1024;
/// How long output may still come after the process has ended and its group was killed.
const DRAIN: Duration = Duration::from_millis(500);
/// How long a killed process may take to be gone.
const REAP: Duration = Duration::from_secs(5);

/// What comes from a process.
#[derive(Debug)]
pub enum Heard {
    /// A line of its stdout.
    Line(Line),
    /// Its end, after the last line.
    Exited(Exit),
}

/// A running process and its pipes.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    stdin: Option<mpsc::Sender<Vec<u8>>>,
    output: Option<mpsc::Receiver<Vec<Line>>>,
    pending: VecDeque<Line>,
    errors: Arc<Mutex<VecDeque<u8>>>,
    status: watch::Receiver<Option<ExitStatus>>,
    drain_until: Option<Instant>,
    oom_kills: Option<u64>,
}

impl Child {
    /// Starts what the invocation names, in `directory`; its `stdin` is not written.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(invocation: &Invocation, directory: &Path, family: &Arc<Family>) -> io::Result<Self> {
        let mut command = Command::new(invocation.program);
        command.args(&invocation.args).envs(&invocation.env).current_dir(directory);
        for name in invocation.unset {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let oom_kills = cgroup::oom_kills();
        let (mut process, pid) = family.spawn(&mut command)?;
        let (stdin, words) = mpsc::channel(4);
        let (lines, output) = mpsc::channel(2);
        let (ended, status) = watch::channel(None);
        let errors = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(pipe) = process.stdin.take() {
            tokio::spawn(write_words(pipe, words));
        }
        if let Some(pipe) = process.stdout.take() {
            tokio::spawn(read_lines(pipe, lines));
        }
        if let Some(pipe) = process.stderr.take() {
            tokio::spawn(read_errors(pipe, Arc::clone(&errors)));
        }
        let family = Arc::clone(family);
        tokio::spawn(async move {
            let status = process.wait().await;
            family.forget(pid);
            // An error means that the process is no child any more: it has ended, how is not known.
            ended.send_replace(Some(status.unwrap_or_default()));
        });
        Ok(Self {
            pid,
            stdin: Some(stdin),
            output: Some(output),
            pending: VecDeque::new(),
            errors,
            status,
            drain_until: None,
            oom_kills,
        })
    }

    /// Writes to its stdin, in the background; a process that does not read loses it.
    pub fn say(&self, words: impl Into<Vec<u8>>) {
        if let Some(stdin) = &self.stdin {
            let _ = stdin.try_send(words.into());
        }
    }

    /// Closes its stdin once everything said is written.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        let status = (*self.status.borrow())?;
        Some(match status.signal() {
            Some(9) if self.oom_kills < cgroup::oom_kills() => Exit::OutOfMemory,
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(status.code().unwrap_or(-1)),
        })
    }

    /// The next line, or its end; may be called again after it was dropped half-way.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Heard::Line(line);
            }
            let exit = self.exit();
            if exit.is_some() && self.drain_until.is_none() {
                // What is left of its group keeps the pipe open and belongs to nobody.
                self.signal_group(Signal::KILL);
                self.drain_until = Some(Instant::now() + DRAIN);
            }
            if let (Some(exit), Some(until)) = (exit, self.drain_until)
                && (self.output.is_none() || until <= Instant::now())
            {
                return Heard::Exited(exit);
            }
            let until = self.drain_until.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                batch = receive(&mut self.output) => match batch {
                    Some(lines) => self.pending = lines.into(),
                    None => self.output = None,
                },
                _ = self.status.changed(), if exit.is_none() => {}
                () = sleep_until(until), if exit.is_some() => {}
            }
        }
    }

    /// The next line that is there already.
    pub fn next_now(&mut self) -> Option<Line> {
        if self.pending.is_empty() {
            self.pending = self.output.as_mut()?.try_recv().ok()?.into();
        }
        self.pending.pop_front()
    }

    /// The last of its stderr.
    #[must_use]
    pub fn errors(&self) -> String {
        let mut tail = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(tail.make_contiguous()).into_owned()
    }

    /// Forgets its stderr so far: a later failure is not explained by it.
    pub fn forget_errors(&self) {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks it to break off.
    pub fn interrupt(&self) {
        if self.exit().is_none() {
            let _ = kill_process(self.pid, Signal::INT);
        }
    }

    /// Kills it and its group, and waits until it is reaped.
    pub async fn kill(mut self) {
        self.signal_group(Signal::KILL);
        let _ = timeout(REAP, self.status.wait_for(Option::is_some)).await;
    }

    /// Lets it end by closing its stdin; kills it when `grace` has passed.
    pub async fn close(mut self, grace: Duration) {
        self.hang_up();
        let ended = async { while !matches!(self.next().await, Heard::Exited(_)) {} };
        let _ = timeout(grace, ended).await;
        self.kill().await;
    }

    fn signal_group(&self, signal: Signal) {
        // No such group: everybody in it has ended.
        let _ = kill_process_group(self.pid, signal);
    }
}

async fn receive(output: &mut Option<mpsc::Receiver<Vec<Line>>>) -> Option<Vec<Line>> {
    match output {
        Some(output) => output.recv().await,
        None => std::future::pending().await,
    }
}

async fn write_words(mut pipe: ChildStdin, mut words: mpsc::Receiver<Vec<u8>>) {
    while let Some(words) = words.recv().await {
        // A process that closed its stdin tells why by its output or its end.
        if pipe.write_all(&words).await.is_err() {
            return;
        }
    }
}

async fn read_lines(mut pipe: impl AsyncRead + Unpin, lines: mpsc::Sender<Vec<Line>>) {
    let mut buffer = LineBuffer::default();
    let mut chunk = vec![0; CHUNK];
    while let Ok(bytes @ 1..) = pipe.read(&mut chunk).await {
        let complete = buffer.push(&chunk[..bytes]);
        if !complete.is_empty() && lines.send(complete).await.is_err() {
            return;
        }
    }
    if let Some(last) = buffer.finish() {
        let _ = lines.send(vec![last]).await;
    }
}

async fn read_errors(mut pipe: impl AsyncRead + Unpin, tail: Arc<Mutex<VecDeque<u8>>>) {
    let mut chunk = vec![0; TAIL_BYTES];
    while let Ok(bytes @ 1..) = pipe.read(&mut chunk).await {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = (tail.len() + bytes).saturating_sub(TAIL_BYTES).min(tail.len());
        tail.drain(..surplus);
        tail.extend(&chunk[..bytes]);
    }
}
