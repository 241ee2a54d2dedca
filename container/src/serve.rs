//! The turn loop: commands in, one turn at a time, events out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use longshore_protocol::{PROTOCOL_VERSION, ProviderKind, RunnerEvent, TurnId, TurnRequest};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bridge::{Bridge, Way};
use crate::commands;
use crate::emit::{self, Emitter, TurnEvents};
use crate::family::{Family, Whom};
use crate::link::Links;
use crate::provider::{End, Place, Step};
use crate::queue::{Action, Input, TurnQueue};
use crate::run::claude::ClaudeRunner;
use crate::run::{self, Context, Halt};

/// The longest time that a runner waits for the next host, in seconds: a day.
const LONGEST_LINGER: u64 = 24 * 3600;
/// Rest between two sweeps for dead orphans.
const REAP_REST: Duration = Duration::from_millis(200);

/// Where the runner runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Loopback port that leads to the broker; 0 takes any free one.
    pub bridge_port: u16,
    /// How that port leads there.
    pub broker: Broker,
    /// The agent's working directory.
    pub directory: PathBuf,
    /// The home directory of the container's user.
    pub home: PathBuf,
}

/// How the broker is reached.
#[derive(Debug, Clone)]
pub enum Broker {
    /// By its socket.
    Socket(PathBuf),
    /// By a link to the runner's socket of this abstract name.
    Link(String),
}

/// Serves until stdin closes, stdout breaks or a signal asks to leave.
///
/// # Errors
/// The bridge's port is taken, or signals cannot be received.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let way = match options.broker {
        Broker::Socket(socket) => Way::Socket(socket),
        Broker::Link(name) => Way::Link(Links::listen(&name).context("cannot listen for a link")?),
    };
    let bridge = Bridge::bind(options.bridge_port, way)
        .await
        .with_context(|| format!("cannot listen on loopback port {}", options.bridge_port))?;
    let scratch = std::env::temp_dir().join(format!("longshore-agent-{}", Uuid::new_v4()));
    let place = Place {
        directory: options.directory,
        home: options.home,
        scratch: scratch.clone(),
        bridge_port: bridge.port()?,
    };
    tokio::spawn(bridge.run());
    let family = Arc::new(Family::gather());
    reap_orphans(Arc::clone(&family))?;
    let (emitter, writer) = emit::stdout();
    let inputs = inputs(emitter.clone())?;
    say_ready(&emitter, None).await;
    let mut runner = Runner {
        context: Context { place, family: Arc::clone(&family) },
        emitter,
        queue: TurnQueue::default(),
        inputs,
        claude: ClaudeRunner::default(),
        leave_at: None,
    };
    runner.serve().await;
    runner.claude.close().await;
    family.end(Whom::Everyone).await;
    // It is made by the first launch that needs it.
    let _ = std::fs::remove_dir_all(&scratch);
    drop(runner);
    // The task that reads commands still has to let go of the writer, on this very thread.
    tokio::task::spawn_blocking(|| writer.join()).await.context("the writer cannot be waited for")?;
    Ok(())
}

/// Reaps orphans as they die.
fn reap_orphans(family: Arc<Family>) -> anyhow::Result<()> {
    let mut deaths = signal(SignalKind::child())?;
    tokio::spawn(async move {
        while deaths.recv().await.is_some() {
            tokio::time::sleep(REAP_REST).await;
            family.reap();
        }
    });
    Ok(())
}

/// Commands from stdin; the first signal and a broken stdout end them, a second signal ends all.
fn inputs(emitter: Emitter) -> anyhow::Result<mpsc::Receiver<Input>> {
    let mut commands = commands::stdin();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let input = tokio::select! {
                input = commands.recv() => input.unwrap_or(Input::Closed),
                _ = term.recv() => Input::Closed,
                _ = int.recv() => Input::Closed,
                () = emitter.closed() => Input::Closed,
                // The runner leaves by itself.
                () = sender.closed() => break,
            };
            let last = input == Input::Closed;
            if sender.send(input).await.is_err() || last {
                break;
            }
        }
        // Dropping the emitter lets the writer end.
        drop(emitter);
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        std::process::exit(143);
    });
    Ok(receiver)
}

enum Next {
    Wait,
    Linger(Duration),
    Run(Box<TurnRequest>),
    Leave,
}

struct Runner {
    context: Context,
    emitter: Emitter,
    queue: TurnQueue,
    inputs: mpsc::Receiver<Input>,
    claude: ClaudeRunner,
    /// When the runner leaves unless a host comes before.
    leave_at: Option<Instant>,
}

impl Runner {
    async fn serve(&mut self) {
        loop {
            let input = tokio::select! {
                input = self.inputs.recv() => input.unwrap_or(Input::Closed),
                () = self.claude.idle() => continue,
                () = until(self.leave_at) => Input::Closed,
            };
            self.leave_at = None;
            let mut actions = self.queue.handle(input);
            loop {
                match act(actions, &self.emitter).await {
                    Next::Wait => break,
                    Next::Leave => return,
                    Next::Linger(time) => {
                        self.leave_at = Some(Instant::now() + time);
                        break;
                    }
                    Next::Run(request) => actions = self.run(&request).await,
                }
            }
        }
    }

    /// Runs a turn to its terminal event.
    async fn run(&mut self, request: &TurnRequest) -> Vec<Action> {
        let (stop, stopped) = watch::channel(false);
        let mut halt = Halt::new(stopped, request.time_limit_seconds);
        let mut events = TurnEvents::new(self.emitter.clone(), request.turn.clone());
        let (context, claude) = (&self.context, &mut self.claude);
        let turn = async {
            match request.provider {
                ProviderKind::Claude => claude.run(context, request, &mut events, &mut halt).await,
                ProviderKind::Codex => run::codex::run(context, request, &mut events, &mut halt).await,
            }
        };
        tokio::pin!(turn);
        let mut open = true;
        let end: End = loop {
            let input = tokio::select! {
                end = &mut turn => break end,
                input = self.inputs.recv(), if open => input,
            };
            open = input.is_some();
            for action in self.queue.handle(input.unwrap_or(Input::Closed)) {
                match action {
                    Action::StopRunning => {
                        stop.send_replace(true);
                    }
                    other => drop(act(vec![other], &self.emitter).await),
                }
            }
        };
        self.emitter.send(&Step::Ended(end).event(&request.turn)).await;
        self.queue.handle(Input::TurnEnded)
    }
}

async fn say_ready(emitter: &Emitter, running: Option<TurnId>) {
    let agent_version = env!("CARGO_PKG_VERSION").to_owned();
    emitter.send(&RunnerEvent::Ready { protocol: PROTOCOL_VERSION, agent_version, running }).await;
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Does what needs no turn, and says what comes next.
async fn act(actions: Vec<Action>, emitter: &Emitter) -> Next {
    let mut next = Next::Wait;
    for action in actions {
        match action {
            Action::Start(request) => next = Next::Run(request),
            Action::Leave => next = Next::Leave,
            Action::Fail(turn, failure) => emitter.send(&RunnerEvent::Failed { turn, failure }).await,
            Action::SayReady { running } => say_ready(emitter, running).await,
            Action::Linger(seconds) => next = Next::Linger(Duration::from_secs(seconds.min(LONGEST_LINGER))),
            Action::Complain(text) => eprintln!("longshore-agent: {text}"),
            // No turn runs here.
            Action::StopRunning => {}
        }
    }
    next
}
