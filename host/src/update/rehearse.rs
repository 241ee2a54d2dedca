//! One turn for each provider in a container of an image, before anybody relies on it: by a host of its own,
//! in a folder of its own, with the stand-in for the models.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use longshore_protocol::ProviderKind;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::control::client::Client;

/// How long the host may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a turn may take.
const TURN_LIMIT: Duration = Duration::from_secs(180);
/// How long the host may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);
/// The groups that `longshore init` makes.
const GROUPS: [(&str, ProviderKind); 2] = [("main", ProviderKind::Claude), ("coder", ProviderKind::Codex)];
/// How much of what a turn printed is told.
const TOLD: usize = 2000;

/// What a rehearsal came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Both providers answered.
    Works,
    /// One did not, and why.
    Fails {
        /// Which.
        provider: ProviderKind,
        /// What was printed instead of an answer.
        why: String,
    },
}

/// Rehearses with `program`, which is this one, in a new folder under `place`, which the engine sees.
///
/// # Errors
/// When there could be no rehearsal, whatever the image is like.
pub async fn rehearse(program: &Path, place: &Path, image: &str) -> anyhow::Result<Verdict> {
    let home = tempfile::Builder::new().prefix("rehearsal-").tempdir_in(place).context("no folder for a rehearsal")?;
    let root = home.path();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.arg("--root").arg(root).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.env("CONTAINER_IMAGE", image).env("CHANNELS", "console").env("KEEP_WARM_SECONDS", "0");
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command
    };
    let made = command(&["init"]).output().await.context("`longshore init` cannot be run")?;
    if !made.status.success() {
        bail!("`longshore init` failed: {}", told(&made.stderr));
    }
    let log = File::create(root.join("host.log")).context("no log for a rehearsal")?;
    let mut host = command(&["run", "--rehearsal"]).stdout(Stdio::null()).stderr(log).spawn()?;
    let verdict = turns(&mut host, root, &command).await;
    end(host).await;
    verdict
}

async fn turns(host: &mut Child, root: &Path, command: &impl Fn(&[&str]) -> Command) -> anyhow::Result<Verdict> {
    let begin = Instant::now();
    while Client::connect(root).await.is_err() {
        if let Some(status) = host.try_wait()? {
            let log = std::fs::read(root.join("host.log")).unwrap_or_default();
            bail!("the rehearsal's host ended with {status}: {}", told(&log));
        }
        if begin.elapsed() > READY_LIMIT {
            bail!("the rehearsal's host is not ready after {} s", READY_LIMIT.as_secs());
        }
        sleep(Duration::from_millis(50)).await;
    }
    for (group, provider) in GROUPS {
        let said = timeout(TURN_LIMIT, command(&["chat", group, "--once", "hello"]).output()).await;
        let why = match said {
            Err(_) => format!("no answer within {} s", TURN_LIMIT.as_secs()),
            Ok(output) => {
                let output = output?;
                let has_answered = output.status.success() && !output.stdout.trim_ascii().is_empty();
                if has_answered {
                    continue;
                }
                told(&[output.stdout, output.stderr].concat())
            }
        };
        return Ok(Verdict::Fails { provider, why });
    }
    Ok(Verdict::Works)
}

/// Lets the host end well, so that its containers go with it.
async fn end(mut host: Child) {
    if let Some(pid) = host.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // One that has ended needs no signal.
        let _ = kill_process(pid, Signal::INT);
    }
    if timeout(END_LIMIT, host.wait()).await.is_err() {
        let _ = host.kill().await;
    }
}

fn told(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(TOLD);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).trim().to_owned()
}
