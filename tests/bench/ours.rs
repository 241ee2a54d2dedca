//! Longshore itself, as a process of its own.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use longshore::container::docker::DockerRuntime;
use longshore::container::installation::Installation as Folders;
use longshore::container::spec::{Limits, SpecInput};
use longshore::container::{ContainerRuntime, ContainerSpec, mounts};
use longshore_rehearsal::Rehearsal;
use longshore_tests::{Host, HostOptions, Installation, Talk};

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
        image_id: "of the bench",
        timezone: "UTC",
        placeholders: &[],
        additional_mounts: &[],
        network: longshore::groups::Network::None,
        limits: Limits::default(),
        link: longshore::container::LinkKind::Socket,
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
    ready_of(&Installation::new(), runs)
}

/// The same, of an installation as it is.
pub(crate) fn ready_of(installation: &Installation, runs: usize) -> anyhow::Result<Samples> {
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
    rss_mebibytes(&Installation::new())
}

/// The same, of an installation as it is.
pub(crate) fn rss_mebibytes(installation: &Installation) -> anyhow::Result<f64> {
    installation.env("ANTHROPIC_API_KEY=bench\nCODEX_API_KEY=bench");
    let host = Host::start_with(installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() });
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

pub(crate) fn installation(rehearsal: &Rehearsal) -> Installation {
    let installation = Installation::new();
    installation.env(&format!(
        "ANTHROPIC_API_KEY=bench\nCODEX_API_KEY=bench\nANTHROPIC_BASE_URL={}\nOPENAI_BASE_URL={}",
        rehearsal.anthropic_base(),
        rehearsal.openai_base()
    ));
    installation
}

pub(crate) fn options() -> HostOptions {
    HostOptions {
        without_rehearsal: true,
        environment: vec![("RUST_LOG".into(), "info".into())],
        ..HostOptions::default()
    }
}
