//! Longshore itself, as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use longshore::container::docker::DockerRuntime;
use longshore::container::installation::Installation as Folders;
use longshore::container::spec::{Limits, SpecInput};
use longshore::container::{ContainerRuntime, ContainerSpec, mounts};
use longshore_rehearsal::Rehearsal;
use longshore_tests::{Host, HostOptions, Installation};

use crate::table::Samples;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// From the create call to the first byte of output, with our own spec and nothing in it; in ms.
pub(crate) async fn container_floor(runs: usize) -> anyhow::Result<Samples> {
    let installation = Installation::new();
    let folders = Folders::of(installation.root())?;
    let group = "main".parse()?;
    mounts::prepare(&folders, &group)?;
    std::fs::create_dir_all(folders.broker_folder(&group))?;
    let mut spec = ContainerSpec::new(&SpecInput {
        installation: &folders,
        group: &group,
        access: mounts::FolderAccess::MAIN,
        generation: 0,
        image: "longshore-agent:latest",
        timezone: "UTC",
        placeholders: &[],
        additional_mounts: &[],
        limits: Limits::default(),
    });
    spec.command = Some(vec!["/bin/echo".into(), "up".into()]);
    let runtime = DockerRuntime::new(std::env::var("DOCKER_HOST").ok().as_deref());
    runtime.ping().await?;
    let mut samples = Vec::new();
    for _ in 0..runs {
        let begin = Instant::now();
        let mut attached = runtime.start(&spec).await?;
        attached.output.next().await.context("no output")??;
        samples.push(begin.elapsed().as_secs_f64() * 1000.0);
        runtime.remove(&attached.id).await?;
    }
    Ok(Samples::of(samples))
}

/// From the start of the process to an open control socket, in ms.
pub(crate) fn ready(runs: usize) -> anyhow::Result<Samples> {
    let installation = Installation::new();
    let mut samples = Vec::new();
    for _ in 0..runs {
        let socket = installation.path("data/host.sock");
        let begin = Instant::now();
        let mut child = installation
            .command()
            .args(["run", "--rehearsal"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        while UnixStream::connect(&socket).is_err() {
            ensure!(begin.elapsed() < PATIENCE, "the host is not ready");
            std::thread::sleep(Duration::from_micros(200));
        }
        samples.push(begin.elapsed().as_secs_f64() * 1000.0);
        child.kill()?;
        child.wait()?;
    }
    Ok(Samples::of(samples))
}

/// Resident memory of a host that has nothing to do, in MiB.
pub(crate) fn idle_rss_mebibytes() -> anyhow::Result<f64> {
    let installation = Installation::new();
    installation.env("ANTHROPIC_API_KEY=bench\nCODEX_API_KEY=bench");
    let host = Host::start_with(&installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() });
    std::thread::sleep(Duration::from_secs(3));
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kibibytes: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kibibytes / 1024.0)
}

/// What is said to what is heard, each time in a new container; in ms.
pub(crate) fn first_turn(group: &str, rehearsal: &Rehearsal, runs: usize) -> anyhow::Result<Samples> {
    let installation = installation(rehearsal);
    let mut samples = Vec::new();
    for run in 0..=runs {
        let host = Host::start_with(&installation, &options());
        // The engine has been looked at by then: what is measured is the turn, not the host's start.
        std::thread::sleep(Duration::from_millis(300));
        let sample = Talk::attach(&installation, group)?.turn()?;
        // The first one fills caches and makes the group's folders.
        if run > 0 {
            samples.push(sample);
        }
        host.stop();
    }
    Ok(Samples::of(samples))
}

/// What is said to what is heard in a warm container, in ms.
pub(crate) fn warm_turn(group: &str, rehearsal: &Rehearsal, runs: usize) -> anyhow::Result<Samples> {
    let installation = installation(rehearsal);
    let _host = Host::start_with(&installation, &options());
    let mut talk = Talk::attach(&installation, group)?;
    talk.turn()?;
    talk.turn()?;
    let mut samples = Vec::new();
    for _ in 0..runs {
        samples.push(talk.turn()?);
    }
    Ok(Samples::of(samples))
}

fn installation(rehearsal: &Rehearsal) -> Installation {
    let installation = Installation::new();
    installation.env(&format!(
        "ANTHROPIC_API_KEY=bench\nCODEX_API_KEY=bench\nANTHROPIC_BASE_URL={}\nOPENAI_BASE_URL={}",
        rehearsal.anthropic_base(),
        rehearsal.openai_base()
    ));
    installation
}

fn options() -> HostOptions {
    HostOptions { without_rehearsal: true, environment: vec![("RUST_LOG".into(), "info".into())] }
}

/// A conversation over the control socket.
struct Talk {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Talk {
    fn attach(installation: &Installation, group: &str) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(installation.path("data/host.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut talk = Self { reader: BufReader::new(stream.try_clone()?), writer: stream };
        talk.tell(&format!("{{\"type\":\"attach\",\"group\":\"{group}\"}}"))?;
        talk.until("attached")?;
        Ok(talk)
    }

    /// One turn: the time from saying to hearing; then waits for its end, which is not counted.
    fn turn(&mut self) -> anyhow::Result<f64> {
        let begin = Instant::now();
        self.tell("{\"type\":\"say\",\"text\":\"hello\"}")?;
        let text = self.until("text")?;
        let elapsed = begin.elapsed().as_secs_f64() * 1000.0;
        ensure!(text.contains("You said"), "not the echo: {text}");
        self.until("ended")?;
        Ok(elapsed)
    }

    fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        self.writer.write_all(line.as_bytes())?;
        Ok(self.writer.write_all(b"\n")?)
    }

    fn until(&mut self, kind: &str) -> anyhow::Result<String> {
        let wanted = format!("\"type\":\"{kind}\"");
        loop {
            let mut line = String::new();
            ensure!(self.reader.read_line(&mut line)? > 0, "the host has gone");
            ensure!(!line.contains("\"type\":\"error\""), "the host says {line}");
            if line.contains(&wanted) {
                return Ok(line);
            }
        }
    }
}
