//! From a stored message to the first instruction in a cold container, in a host of this process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use async_trait::async_trait;
use futures_util::StreamExt;
use longshore::app::{App, Options};
use longshore::clock::Clock;
use longshore::config::Config;
use longshore::container::docker::DockerRuntime;
use longshore::container::{
    Attached, ContainerId, ContainerRuntime, ContainerSpec, Existing, ImageInfo, Output, Piped, Place, Process,
    RuntimeError,
};
use longshore::operator::Operator;
use longshore::stop::Stop;
use longshore_tests::{Installation, Talk};

use crate::table::Samples;

/// How long a host has for its first look at the engine before it is measured.
const SETTLE: Duration = Duration::from_millis(500);

/// The real engine, with a watch on what containers say first.
struct Watched {
    engine: DockerRuntime,
    first_word: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl ContainerRuntime for Watched {
    async fn ping(&self) -> Result<String, RuntimeError> {
        self.engine.ping().await
    }

    async fn image(&self, reference: &str) -> Result<ImageInfo, RuntimeError> {
        self.engine.image(reference).await
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<Attached, RuntimeError> {
        let attached = self.engine.start(spec).await?;
        let first_word = self.first_word.clone();
        let output = attached.output.inspect(move |piece| {
            if let (Ok(Output::Stdout(_)), Ok(mut first)) = (piece, first_word.lock()) {
                first.get_or_insert_with(Instant::now);
            }
        });
        Ok(Attached { output: output.boxed(), ..attached })
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attached, RuntimeError> {
        self.engine.attach(id).await
    }

    async fn exec(&self, id: &ContainerId, process: &Process) -> Result<Piped, RuntimeError> {
        self.engine.exec(id, process).await
    }

    async fn place(&self) -> Result<Place, RuntimeError> {
        self.engine.place().await
    }

    async fn memory_of(&self, id: &ContainerId) -> Result<u64, RuntimeError> {
        self.engine.memory_of(id).await
    }

    async fn memory_total(&self) -> Result<u64, RuntimeError> {
        self.engine.memory_total().await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.engine.remove(id).await
    }

    async fn list(&self, root_hash: &str) -> Result<Vec<Existing>, RuntimeError> {
        self.engine.list(root_hash).await
    }
}

/// The first instruction is the runner's `ready` line; stored is when the message's commit was answered.
pub async fn first_instruction(runs: usize) -> anyhow::Result<Samples> {
    let mut samples = Vec::new();
    for _ in 0..runs {
        samples.push(once().await?);
    }
    Ok(Samples::of(samples))
}

async fn once() -> anyhow::Result<f64> {
    let installation = Installation::new();
    let config = Config::load(installation.root()).map_err(|problems| anyhow!("{problems:?}"))?;
    let first_word = Arc::default();
    let engine = DockerRuntime::new(std::env::var("DOCKER_HOST").ok().as_deref());
    let runtime = Arc::new(Watched { engine, first_word: Arc::clone(&first_word) });
    let root = installation.root().to_owned();
    let app = App::start(Options {
        root,
        program: std::env::current_exe()?,
        config,
        rehearsal: true,
        runtime,
        operator: Operator::of_environment(),
        clock: Clock::system(),
    })
    .await?;
    let stop = Stop::new();
    let host = tokio::spawn(app.run(stop.clone(), Stop::new()));
    tokio::time::sleep(SETTLE).await;
    let stored = tokio::task::spawn_blocking(move || {
        let mut talk = Talk::attach(&installation, "main")?;
        talk.say("hello")?;
        let stored = Instant::now();
        talk.until("ended")?;
        anyhow::Ok((stored, installation))
    });
    let (stored, _installation) = stored.await??;
    stop.cancel();
    host.await??;
    let first = first_word.lock().map_err(|_| anyhow!("a watch broke"))?.context("no container spoke")?;
    ensure!(first > stored, "a container spoke before the message was stored");
    Ok(first.duration_since(stored).as_secs_f64() * 1000.0)
}
