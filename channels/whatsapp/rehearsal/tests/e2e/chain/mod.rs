//! Everything real but the wire and the models: a person on the fake server, the adapter, `longshore` with its
//! store, containers with the real CLIs, and the stand-in for both model APIs that `longshore` brings.
//!
//! It needs the host's binary, a container engine and the agent image, all of which `make test` provides. Without
//! them these tests fail: a test that does not run proves nothing.

mod faults;
mod talk;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use longshore_whatsapp_fake::PATIENCE;
use longshore_whatsapp_fake::person::Person;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;
use whatsapp_rust::prelude::*;

use crate::rig::{BOT, BOT_HIDDEN, GROUP, HANA, Rig};

/// The group that codex serves; [`GROUP`] has no `provider`, and claude serves it.
pub(crate) const WORK: &str = "120363000000000002@g.us";
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// What the host may take to end in order.
const END: Duration = Duration::from_secs(60);

/// The installation, with a linked adapter as its channel.
pub(crate) struct Chain {
    pub(crate) rig: Rig,
    root: TempDir,
    host: Option<Child>,
}

impl Chain {
    /// One group of phone numbers and one of hidden ids, each of two: the assistant and Hana, who is there. `is_hidden`
    /// says which is which. The host runs and is connected.
    pub(crate) async fn start(is_hidden: bool) -> Result<(Self, Person)> {
        let mut chain = Self::installed(is_hidden, "").await?;
        let hana = Person::join(&chain.rig.server, HANA).await?;
        chain.start_host()?;
        chain.connected().await?;
        Ok((chain, hana))
    }

    /// The same without Hana, and nothing runs yet. `before` is put before the adapter's command.
    pub(crate) async fn installed(is_hidden: bool, before: &str) -> Result<Self> {
        let rig = Rig::new(is_hidden).await?;
        rig.server.add_group(WORK.trim_end_matches("@g.us"), "Work", &[HANA, BOT], !is_hidden);
        rig.link().await?;
        let root = tempfile::Builder::new().prefix("longshore-whatsapp-").tempdir()?;
        let chain = Self { rig, root, host: None };
        let made = chain.longshore().arg("init").output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let adapter = chain.rig.command(&["--chat-gap", "0", "--per-minute", "60000"]);
        let words: Vec<_> = std::iter::once(adapter.as_std().get_program())
            .chain(adapter.as_std().get_args())
            .map(|word| word.to_string_lossy())
            .collect();
        let env = format!("CHANNELS=console,whatsapp\nCHANNEL_WHATSAPP=\"{before}{}\"\n", words.join(" "));
        std::fs::write(chain.path(".env"), env)?;
        std::fs::write(chain.path("data/registered_groups.json"), groups())?;
        Ok(chain)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// `longshore --root <here>`, with none of the tests' own environment.
    pub(crate) fn longshore(&self) -> Command {
        let mut command = Command::new(binary());
        command.env_clear();
        for name in ["PATH", "HOME", "DOCKER_HOST"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // A whole run of the tests can be made with another link, or another image.
        for (ours, theirs) in [("LONGSHORE_TEST_LINK", "BROKER_LINK"), ("LONGSHORE_TEST_IMAGE", "CONTAINER_IMAGE")] {
            command.envs(std::env::var_os(ours).map(|value| (theirs, value)));
        }
        // A container that waits for a next host would outlive its test.
        command.env("KEEP_WARM_SECONDS", "0").env("XDG_CONFIG_HOME", self.path(".config"));
        command.arg("--root").arg(self.root.path());
        command
    }

    /// Starts the host and waits until it takes commands.
    pub(crate) fn start_host(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.path("host.log"))?;
        let mut command = self.longshore();
        command.args(["run", "--rehearsal"]).env("RUST_LOG", "debug,hyper=info,bollard=info,hyper_util=info");
        let mut host = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let begin = Instant::now();
        while UnixStream::connect(self.path("data/host.sock")).is_err() {
            ensure!(host.try_wait()?.is_none(), "the host ended:\n{}", self.log());
            ensure!(begin.elapsed() < PATIENCE, "the host is not ready:\n{}", self.log());
            std::thread::sleep(LOOK);
        }
        self.host = Some(host);
        Ok(())
    }

    /// Waits until the adapter is connected and has introduced both groups.
    pub(crate) async fn connected(&self) -> Result<()> {
        let listed = "SELECT count(*) FROM chats WHERE channel = 'whatsapp' AND is_group";
        self.until("both groups are listed", || Ok(self.number(listed)? == 2 && self.rig.server.is_connected(BOT)))
            .await
    }

    /// Kills the host as a lack of memory would. The adapter loses its input and ends by itself.
    pub(crate) fn kill_host(&mut self) -> Result<()> {
        let mut host = self.host.take().context("no host runs")?;
        host.kill()?;
        host.wait()?;
        Ok(())
    }

    /// Kills the adapter in the same way.
    pub(crate) fn kill_adapter(&self) -> Result<()> {
        let host = self.host.as_ref().context("no host runs")?.id();
        let adapter = child_of(host, "longshore-whats").context("no adapter runs")?;
        Ok(kill_process(adapter, Signal::KILL)?)
    }

    /// Ends the host in order.
    pub(crate) fn stop_host(&mut self) -> Result<()> {
        let Some(mut host) = self.host.take() else { return Ok(()) };
        let pid = Pid::from_raw(host.id().try_into()?).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while host.try_wait()?.is_none() {
            if begin.elapsed() > END {
                host.kill()?;
                host.wait()?;
                bail!("the host did not stop");
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        while !holds()? {
            ensure!(begin.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}; the host's log:\n{}", self.log());
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("host.log")).unwrap_or_default()
    }

    fn store(&self) -> Result<Connection> {
        let store = Connection::open(self.path("data/longshore.db"))?;
        store.busy_timeout(PATIENCE)?;
        Ok(store)
    }

    /// One number from the host's store.
    pub(crate) fn number(&self, sql: &str) -> Result<i64> {
        self.store()?.query_row(sql, [], |row| row.get(0)).with_context(|| sql.to_owned())
    }

    /// How often each text was stored.
    pub(crate) fn heard(&self) -> Result<BTreeMap<String, usize>> {
        let mut heard = BTreeMap::new();
        let store = self.store()?;
        let mut texts = store.prepare("SELECT text FROM messages")?;
        for text in texts.query_map([], |row| row.get::<_, String>(0))? {
            *heard.entry(text?).or_default() += 1;
        }
        Ok(heard)
    }

    /// The ids of what the assistant said to people, in order. Its devices talk with each other, too.
    pub(crate) fn said_on_the_wire(&self) -> Vec<String> {
        let state = self.rig.server.state();
        let said = |to: &str| !to.starts_with(BOT) && !to.starts_with(BOT_HIDDEN);
        let wires = state.messages.iter().filter(|wire| wire.from.0 == BOT && said(&wire.to));
        wires.map(|wire| wire.id.clone()).collect()
    }

    /// Waits until everything is answered and sent, and then compares the host's books with the server's.
    pub(crate) async fn balances(&self) -> Result<()> {
        let open = "SELECT (SELECT count(*) FROM turns WHERE state IN ('waiting', 'running'))
            + (SELECT count(*) FROM outbox WHERE state = 'pending')
            + (SELECT count(*) FROM messages WHERE wakes AND seq > coalesce((SELECT settled_seq FROM cursors JOIN turns
               USING (group_id) WHERE turns.chat = messages.chat LIMIT 1), 0))";
        self.until("everything is answered and sent", || Ok(self.number(open)? == 0)).await?;
        ensure!(self.number("SELECT count(*) FROM outbox WHERE state != 'sent'")? == 0, "a reply was not sent");
        let twice = "SELECT count(*) - count(DISTINCT platform_id) FROM messages";
        ensure!(self.number(twice)? == 0, "a message has two rows");
        let store = self.store()?;
        let mut rows = store.prepare("SELECT message_id FROM outbox ORDER BY message_id")?;
        let rows: Vec<String> = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut wire = self.said_on_the_wire();
        wire.sort();
        // A message whose confirmation was lost is written again, as the same message.
        wire.dedup();
        ensure!(wire == rows, "the host sent {rows:?}, and on the wire were {wire:?}");
        Ok(())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the host's log:\n{}", self.log());
        }
        // Its containers end with it.
        let _ = self.stop_host();
    }
}

/// The main group is Hana's direct chat.
fn groups() -> String {
    let entry = |name: &str, folder: &str, more: &str| {
        format!(
            r#"{{"name": "{name}", "folder": "{folder}", "trigger": "@Andy", "added_at": "2026-01-01T00:00:00Z"{more}}}"#
        )
    };
    format!(
        "{{\n\"{HANA}@s.whatsapp.net\": {},\n\"{GROUP}\": {},\n\"{WORK}\": {}\n}}\n",
        entry("Hana", "main", r#", "isMain": true"#),
        entry("Family", "family", ""),
        entry("Work", "work", r#", "provider": "codex""#)
    )
}

/// The host's binary: the one that `LONGSHORE_BIN` names, else the one beside this test, where the workspaces share
/// a build directory, else the one in the other workspace's own.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LONGSHORE_BIN") {
        return path.into();
    }
    let this = std::env::current_exe().unwrap();
    let beside = this.ancestors().skip(1).map(|folder| folder.join("longshore"));
    let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target"));
    let elsewhere = ["debug", "release"].map(|profile| target.join(profile).join("longshore"));
    beside.chain(elsewhere).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "`longshore` is not built: run `make test`, or `cargo build -p longshore-host` in the main workspace \
             first, or name one in LONGSHORE_BIN"
        )
    })
}

/// The descendant of a process with this name.
fn child_of(parent: u32, name: &str) -> Option<Pid> {
    let mut found: Vec<(u32, u32, String)> = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // `PID (NAME) STATE PARENT …`, and the name may hold anything.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((before, after)) = stat.rsplit_once(')') else { continue };
        let Some(parent) = after.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()) else { continue };
        found.push((pid, parent, before.split_once('(')?.1.to_owned()));
    }
    let mut of = vec![parent];
    while let Some(parent) = of.pop() {
        for (pid, _, called) in found.iter().filter(|(_, of, _)| *of == parent) {
            if called == name {
                return Pid::from_raw((*pid).try_into().ok()?);
            }
            of.push(*pid);
        }
    }
    None
}

/// The text of what somebody read.
pub(crate) fn text(read: &InboundMessage) -> &str {
    read.message.text_content().unwrap_or_default()
}
