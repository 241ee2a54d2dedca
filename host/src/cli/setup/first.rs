//! The first message: a host for as long as it takes, and what it answers.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::chat::{ChatArgs, chat};
use crate::cli::{Ending, say};
use crate::control::client::Client;

/// The host's log, under the root.
const LOG: &str = "data/host.log";
/// How long a host may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END: Duration = Duration::from_secs(90);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(600);
/// How much of the log is shown when it ends early, in bytes.
const TAIL: i64 = 2000;

/// Says it to the group and shows the answer. A host that runs already is asked; else one is started for it.
pub(super) async fn message(root: &Path, group: &str, text: &str, rehearsal: bool) -> anyhow::Result<Ending> {
    let host = match Client::connect(root).await {
        Ok(_) => None,
        Err(_) => Some(Host::start(root, rehearsal).await?),
    };
    say(&format!("first     > {text}"))?;
    let args = ChatArgs::once(group.to_owned(), text.to_owned());
    let answered = tokio::time::timeout(ANSWER, chat(args, root)).await;
    if let Some(host) = host {
        host.stop()?;
    }
    answered.unwrap_or_else(|_| bail!("no answer in {} minutes; see `{LOG}`", ANSWER.as_secs() / 60))
}

/// A host of our own; ended when dropped.
struct Host(Child);

impl Host {
    async fn start(root: &Path, rehearsal: bool) -> anyhow::Result<Self> {
        let log = root.join(LOG);
        let open = File::options().create(true).append(true).open(&log);
        let open = open.with_context(|| format!("the log `{}` cannot be opened", log.display()))?;
        let program = std::env::current_exe().context("where this program is")?;
        let when = if rehearsal { "--rehearsal=always" } else { "--rehearsal=never" };
        let mut command = Command::new(program);
        command.arg("--root").arg(root).args(["run", when]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(open);
        let mut host = Self(command.spawn().context("a host cannot be started")?);
        let begin = Instant::now();
        while Client::connect(root).await.is_err() {
            if let Some(status) = host.0.try_wait()? {
                bail!("the host ended early ({status}):\n{}", tail(&log).unwrap_or_default());
            }
            if begin.elapsed() > READY {
                bail!("the host is not ready after {} s; see `{}`", READY.as_secs(), log.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(host)
    }

    /// As a service manager would: its warm container waits for the next host for a while.
    fn stop(mut self) -> anyhow::Result<()> {
        self.tell(Signal::TERM);
        let begin = Instant::now();
        while self.0.try_wait()?.is_none() {
            if begin.elapsed() > END {
                bail!("the host does not end; see `{LOG}`");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn tell(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.tell(Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
