//! Containers that are played by scripts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use longshore::container::{
    Attached, ContainerId, ContainerRuntime, ContainerSpec, Existing, Exit, ImageInfo, Output, Piped, Place, Process,
    RuntimeError,
};
use longshore_protocol::{Failure, FailureKind, RunnerCommand, RunnerEvent, TurnRequest};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{mpsc, oneshot};

/// What a scripted container does next.
pub(crate) enum Line {
    /// Writes an event.
    Event(RunnerEvent),
    /// Writes this.
    Raw(String),
    /// Drops a file into its `tasks` folder.
    Asks(String, String),
    /// Does nothing for so long.
    Pause(Duration),
    /// Works until it is told to stop, and says that it has.
    UntilStopped,
    /// Ends.
    Die { code: i64, out_of_memory: bool },
}

pub(crate) type Script = Arc<dyn Fn(&TurnRequest) -> Vec<Line> + Send + Sync>;

pub(crate) struct Actors {
    pub(crate) root: PathBuf,
    pub(crate) protocol: u32,
    pub(crate) otherwise: Script,
    pub(crate) scripts: Mutex<HashMap<usize, Script>>,
    pub(crate) requests: Mutex<Vec<TurnRequest>>,
    pub(crate) started: Mutex<usize>,
}

/// An engine whose containers are scripts.
pub(crate) struct Theatre(pub(crate) Arc<Actors>);

#[async_trait]
impl ContainerRuntime for Theatre {
    async fn ping(&self) -> Result<String, RuntimeError> {
        Ok("a stage".into())
    }

    async fn image(&self, reference: &str) -> Result<ImageInfo, RuntimeError> {
        let image = reference.to_owned();
        match reference {
            "missing" => return Err(RuntimeError::ImageMissing { image }),
            "foreign" => return Err(RuntimeError::ImageProtocol { image, found: "none".into(), expected: 1 }),
            _ => {}
        }
        Ok(ImageInfo { id: "stage".into(), claude: Some("2.1.9".into()), codex: Some("0.169.0".into()) })
    }

    async fn start(&self, _spec: &ContainerSpec) -> Result<Attached, RuntimeError> {
        let number = {
            let mut started = self.0.started.lock().unwrap();
            *started += 1;
            *started
        };
        let (stdin, commands) = tokio::io::duplex(64 * 1024);
        let (writes, output) = mpsc::channel::<Bytes>(16);
        let (ended, exit) = oneshot::channel();
        tokio::spawn(play(self.0.clone(), commands, writes, ended));
        let output = futures_util::stream::unfold(output, |mut output| async {
            let piece = output.recv().await?;
            Some((Ok(Output::Stdout(piece)), output))
        });
        Ok(Attached {
            id: ContainerId(format!("stage-{number}")),
            stdin: Box::pin(stdin),
            output: output.boxed(),
            exit: Box::pin(async { Ok(exit.await.unwrap_or(Exit { code: 0, out_of_memory: false })) }),
        })
    }

    async fn attach(&self, _id: &ContainerId) -> Result<Attached, RuntimeError> {
        Err(RuntimeError::Unavailable("the play is over".into()))
    }

    async fn exec(&self, id: &ContainerId, _process: &Process) -> Result<Piped, RuntimeError> {
        Err(RuntimeError::Refused(format!("`{id}` has no processes")))
    }

    async fn place(&self) -> Result<Place, RuntimeError> {
        Ok(Place::Here)
    }

    async fn memory_of(&self, _id: &ContainerId) -> Result<u64, RuntimeError> {
        Ok(100 * 1024 * 1024)
    }

    async fn memory_total(&self) -> Result<u64, RuntimeError> {
        Ok(1024 * 1024 * 1024)
    }

    async fn remove(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn list(&self, _root_hash: &str) -> Result<Vec<Existing>, RuntimeError> {
        Ok(Vec::new())
    }
}

async fn play(
    actors: Arc<Actors>,
    commands: tokio::io::DuplexStream,
    writes: mpsc::Sender<Bytes>,
    ended: oneshot::Sender<Exit>,
) {
    let ready = RunnerEvent::Ready { protocol: actors.protocol, agent_version: "stage".into(), running: None };
    let line = |event: &RunnerEvent| Bytes::from(serde_json::to_string(event).unwrap() + "\n");
    let _ = writes.send(line(&ready)).await;
    let mut lines = BufReader::new(commands).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let RunnerCommand::Turn(request) = serde_json::from_str(&text).unwrap() else { continue };
        let script = {
            let mut requests = actors.requests.lock().unwrap();
            let script = actors.scripts.lock().unwrap().get(&requests.len()).cloned();
            requests.push((*request).clone());
            script.unwrap_or_else(|| actors.otherwise.clone())
        };
        for step in script(&request) {
            match step {
                Line::Event(event) => drop(writes.send(line(&event)).await),
                Line::Raw(text) => drop(writes.send(Bytes::from(text + "\n")).await),
                Line::Asks(name, text) => {
                    let folder = actors.root.join("data/ipc/family/tasks");
                    let unfinished = folder.join(format!("{name}.json.tmp"));
                    std::fs::write(&unfinished, text).unwrap();
                    std::fs::rename(unfinished, folder.join(format!("{name}.json"))).unwrap();
                }
                Line::UntilStopped => {
                    let stopped = lines.next_line().await.unwrap().unwrap();
                    let stop = RunnerCommand::Stop { turn: request.turn.clone() };
                    assert_eq!(serde_json::from_str::<RunnerCommand>(&stopped).unwrap(), stop);
                    let failure = Failure::new("claude", FailureKind::Stopped, "stopped");
                    drop(writes.send(line(&RunnerEvent::Failed { turn: request.turn.clone(), failure })).await);
                }
                Line::Pause(time) => tokio::time::sleep(time).await,
                Line::Die { code, out_of_memory } => {
                    let _ = ended.send(Exit { code, out_of_memory });
                    return;
                }
            }
        }
    }
}
