//! An engine whose containers are tasks that speak the runner's lines.
//!
//! Each turn is answered at once with one message. Words in the last message change that: `#slow 200`
//! waits so many ms first, `#fail` fails for good, `#silent` says nothing, `#two` says two things.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use longshore::container::{
    Attached, ContainerId, ContainerRuntime, ContainerSpec, Existing, Exit, ImageInfo, Output, Piped, Place, Process,
    RuntimeError,
};
use longshore_protocol::{Failure, FailureKind, PROTOCOL_VERSION, RunnerCommand, RunnerEvent, TurnRequest};
use longshore_rehearsal::prompt;
use longshore_tests::platform::nanoseconds;
use longshore_tests::script::tags;
use longshore_tests::stub::Trace;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};
use tokio::sync::mpsc;

/// What a pipe to a container holds, as Linux has it.
const PIPE: usize = 64 * 1024;
const LINES: usize = 16;

/// The engine.
pub(crate) struct Stub {
    started: AtomicUsize,
    trace: Option<Arc<Mutex<File>>>,
}

impl Stub {
    pub(crate) fn new(trace: Option<&Path>) -> std::io::Result<Self> {
        let trace = trace.map(|path| File::options().create(true).append(true).open(path)).transpose()?;
        Ok(Self { started: AtomicUsize::new(0), trace: trace.map(|file| Arc::new(Mutex::new(file))) })
    }
}

#[async_trait]
impl ContainerRuntime for Stub {
    async fn ping(&self) -> Result<String, RuntimeError> {
        Ok("stub".into())
    }

    async fn image(&self, _reference: &str) -> Result<ImageInfo, RuntimeError> {
        Ok(ImageInfo { id: "stub".into(), claude: None, codex: None })
    }

    async fn start(&self, _spec: &ContainerSpec) -> Result<Attached, RuntimeError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let (stdin, commands) = tokio::io::duplex(PIPE);
        let (writes, output) = mpsc::channel::<Bytes>(LINES);
        let runner = Runner { writes, trace: self.trace.clone() };
        let ended = tokio::spawn(runner.serve(commands));
        let output = futures_util::stream::unfold(output, |mut output| async {
            let piece = output.recv().await?;
            Some((Ok(Output::Stdout(piece)), output))
        });
        Ok(Attached {
            id: ContainerId(format!("stub-{number}")),
            stdin: Box::pin(stdin),
            output: output.boxed(),
            exit: Box::pin(async {
                let _ = ended.await;
                Ok(Exit { code: 0, out_of_memory: false })
            }),
        })
    }

    async fn remove(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attached, RuntimeError> {
        Err(RuntimeError::Refused(format!("`{id}` ended with its host")))
    }

    async fn exec(&self, id: &ContainerId, _process: &Process) -> Result<Piped, RuntimeError> {
        Err(RuntimeError::Refused(format!("`{id}` has no processes")))
    }

    async fn place(&self) -> Result<Place, RuntimeError> {
        Ok(Place::Here)
    }

    async fn memory_of(&self, _id: &ContainerId) -> Result<u64, RuntimeError> {
        Ok(1024 * 1024)
    }

    async fn memory_total(&self) -> Result<u64, RuntimeError> {
        Ok(1024 * 1024 * 1024)
    }

    async fn list(&self, _root_hash: &str) -> Result<Vec<Existing>, RuntimeError> {
        Ok(Vec::new())
    }
}

struct Runner {
    writes: mpsc::Sender<Bytes>,
    trace: Option<Arc<Mutex<File>>>,
}

impl Runner {
    /// Until its stdin is closed, which is when the host lets go of it.
    async fn serve(self, commands: DuplexStream) {
        self.write(&RunnerEvent::Ready { protocol: PROTOCOL_VERSION, agent_version: "stub".into(), running: None })
            .await;
        let mut lines = BufReader::new(commands).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let at = nanoseconds();
            if let Ok(RunnerCommand::Turn(request)) = serde_json::from_str(&line) {
                self.turn(*request, at).await;
            }
        }
    }

    async fn turn(&self, request: TurnRequest, at: u64) {
        let said = prompt::texts(&request.prompt);
        self.note(&said.iter().flat_map(|text| tags(text)).map(|tag| Trace::Handed { tag: tag.to_owned(), at }));
        let last = said.last().map_or("", String::as_str);
        let words: Vec<&str> = last.split_whitespace().collect();
        let turn = request.turn;
        if let Some(at) = words.iter().position(|word| *word == "#slow") {
            let wait = words.get(at + 1).and_then(|word| word.parse().ok()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        if words.contains(&"#fail") {
            let failure = Failure::new("stub", FailureKind::Config, "told to fail");
            return self.write(&RunnerEvent::Failed { turn, failure }).await;
        }
        if !words.contains(&"#silent") {
            let tag = tags(last).last().copied().unwrap_or_default().to_owned();
            let mut texts = vec![format!("You said {tag}.")];
            if words.contains(&"#two") {
                texts.push(format!("And {tag} again."));
            }
            for text in texts {
                self.note(&std::iter::once(Trace::Output { text: text.clone(), at: nanoseconds() }));
                self.write(&RunnerEvent::Message { turn: turn.clone(), text }).await;
            }
        }
        self.write(&RunnerEvent::Finished { turn }).await;
    }

    async fn write(&self, event: &RunnerEvent) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        // A host that does not listen any more has let go of this container.
        let _ = self.writes.send(line.into()).await;
    }

    fn note(&self, lines: &(impl Iterator<Item = Trace> + Clone)) {
        let Some(file) = &self.trace else { return };
        let mut bytes = Vec::new();
        for line in lines.clone() {
            if serde_json::to_writer(&mut bytes, &line).is_ok() {
                bytes.push(b'\n');
            }
        }
        let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes);
    }
}
