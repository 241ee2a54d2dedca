//! What the adapter costs, for `make bench`: `whatsapp-figures ROOT HOST`, with an installation and the program that
//! serves it with stub containers. Prints a JSON object a line: a figure, and its samples.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a panic is the message, and stdout the result")]

#[path = "../tests/e2e/rig.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod rig;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use longshore_protocol::channel::LinkState;
use longshore_whatsapp_fake::PATIENCE;
use longshore_whatsapp_fake::person::Person;
use serde_json::json;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use whatsapp_rust::Jid;

use crate::rig::{BOT, GROUP, HANA, Host, Rig};

/// Somebody whose bare client answers at once, and the group of the two.
const KAI: &str = "15550003333";
const KAI_HIDDEN: &str = "100000000000003";
const ECHO: &str = "120363000000000002@g.us";

const STARTS: usize = 9;
const MESSAGES: usize = 200;
const WARM_UP: usize = 10;
const REPLIES: usize = 100;
/// Between an answer and the next message: as long as the turn that it ended may take to be settled.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (root, host) = arguments.next().zip(arguments.next()).context("which installation and which host?")?;
    let (rig, hana) = Rig::linked(true).await?;
    figure("start", &starts(&rig).await?);
    figure("memory", &[memory(&rig, &hana).await?]);
    figure("floor", &floor(&rig, &hana).await?);
    figure("reply", &replies(&rig, &hana, &root, &host).await?);
    Ok(())
}

fn figure(name: &str, samples: &[f64]) {
    println!("{}", json!({ "figure": name, "samples": samples }));
}

/// From the start of the process to a connection by an existing link, in ms.
async fn starts(rig: &Rig) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let mut host = rig.start().await?;
        host.state(LinkState::Up).await?;
        samples.push(milliseconds(begin));
        host.stop().await?;
    }
    Ok(samples)
}

/// Resident memory after a conversation, in MiB.
async fn memory(rig: &Rig, hana: &Person) -> Result<f64> {
    let mut host = rig.up().await?;
    for number in 0..MESSAGES {
        hana.client.send_text(&rig.group(), format!("message {number}")).await?;
        host.message().await?;
        host.sends(GROUP, &format!("answer {number}"), None).await?;
        hana.reads().await?;
    }
    let memory = resident(&host)?;
    host.stop().await?;
    Ok(memory)
}

fn resident(host: &Host) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.child.id().context("it has ended")?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no figure")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kibibytes / 1024.0)
}

/// From a person's word to the answer that they read, when the same library without adapter and host gives it; in
/// ms. Both ends' encryption and the server are in it.
async fn floor(rig: &Rig, hana: &Person) -> Result<Vec<f64>> {
    rig.server.add_account(KAI, KAI_HIDDEN, "Kai")?;
    rig.server.add_group("120363000000000002", "Echo", &[HANA, KAI], true);
    let kai = Person::join(&rig.server, KAI).await?;
    let group: Jid = ECHO.parse()?;
    let answering = tokio::spawn({
        let group = group.clone();
        async move { while kai.reads().await.is_ok() && kai.client.send_text(&group, "hello").await.is_ok() {} }
    });
    let samples = answers(hana, &group).await;
    answering.abort();
    samples
}

/// From a person's word to the answer that they read, by way of the adapter and the host, whose agent answers at
/// once; in ms. The person's own encryption and the server are in it.
async fn replies(rig: &Rig, hana: &Person, root: &std::path::Path, host: &std::path::Path) -> Result<Vec<f64>> {
    let adapter = rig.command(&["--chat-gap", "0", "--per-minute", "60000"]);
    let words: Vec<_> = std::iter::once(adapter.as_std().get_program())
        .chain(adapter.as_std().get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    let env = format!("CHANNELS=whatsapp\nCHANNEL_WHATSAPP=\"{}\"\nANTHROPIC_API_KEY=stub\n", words.join(" "));
    std::fs::write(root.join(".env"), env)?;
    let entry = json!({ "name": "Family", "folder": "family", "added_at": "x", "requiresTrigger": false });
    std::fs::write(root.join("data/registered_groups.json"), json!({ GROUP: entry }).to_string())?;
    let mut host = start(root, host)?;
    let begin = Instant::now();
    while !rig.server.is_connected(BOT) {
        ensure!(host.try_wait()?.is_none(), "the host ended; see `{}`", root.join("host.log").display());
        ensure!(begin.elapsed() < PATIENCE, "the host does not connect");
        sleep(PAUSE).await;
    }
    let samples = answers(hana, &rig.group()).await?;
    let pid = host.id().context("the host ended")?;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.try_into()?).unwrap(),
        rustix::process::Signal::TERM,
    )?;
    host.wait().await?;
    Ok(samples)
}

/// Talks, and reads an answer to each word.
async fn answers(person: &Person, group: &Jid) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    for number in 0..WARM_UP + REPLIES {
        let begin = Instant::now();
        person.client.send_text(group, format!("hello k{number}")).await?;
        person.reads().await?;
        if number >= WARM_UP {
            samples.push(milliseconds(begin));
        }
        sleep(PAUSE).await;
    }
    Ok(samples)
}

fn start(root: &std::path::Path, host: &std::path::Path) -> Result<Child> {
    let log = std::fs::File::create(root.join("host.log"))?;
    let mut command = Command::new(host);
    command.arg(root).env_clear().env("RUST_LOG", "warn").env("XDG_CONFIG_HOME", root.join(".config"));
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    Ok(command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
}

fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}
