//! Runs one turn: a process on one side, a pure provider in the middle, events on the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use longshore_protocol::line::Line;
use longshore_protocol::{Failure, FailureKind, ProviderKind, TurnRequest};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::child::{Child, Heard};
use crate::emit::TurnEvents;
use crate::family::Family;
use crate::provider::{End, Invocation, Place, Provider, Step};

pub mod claude;
pub mod codex;
pub mod totals;

/// Longest time limit that is counted; a clock cannot hold every `u64` of seconds.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// What every turn needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where the CLIs run.
    pub place: Place,
    /// The processes below the runner.
    pub family: Arc<Family>,
}

/// Why a turn is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Somebody asked.
    Stopped,
    /// Its time is over.
    TimeLimit,
}

/// The two things that halt a turn.
#[derive(Debug)]
pub struct Halt {
    stop: watch::Receiver<bool>,
    deadline: Instant,
    limit_seconds: u64,
}

impl Halt {
    /// Halts when `stop` turns true or after so many seconds from now.
    #[must_use]
    pub fn new(stop: watch::Receiver<bool>, limit_seconds: u64) -> Self {
        let deadline = Instant::now() + Duration::from_secs(limit_seconds).min(LONGEST);
        Self { stop, deadline, limit_seconds }
    }

    /// A grace period that nothing but time ends.
    fn grace(period: Duration) -> Self {
        let (_, stop) = watch::channel(false);
        Self { stop, deadline: Instant::now() + period, limit_seconds: 0 }
    }

    async fn wait(&mut self) -> Why {
        let stopped = async {
            if self.stop.wait_for(|stop| *stop).await.is_err() {
                // Nobody is left who could stop it.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stopped => Why::Stopped,
            () = tokio::time::sleep_until(self.deadline) => Why::TimeLimit,
        }
    }

    fn end(&self, provider: ProviderKind, why: Why) -> End {
        let (kind, text) = match why {
            Why::Stopped => (FailureKind::Stopped, "stopped".to_owned()),
            Why::TimeLimit => {
                (FailureKind::Timeout, format!("the time limit of {} seconds passed", self.limit_seconds))
            }
        };
        End::Failed(Failure::new(provider.as_str(), kind, text))
    }
}

/// How following a process came to an end.
#[derive(Debug)]
enum Followed {
    /// The turn ended; the process lives.
    Ended(End),
    /// The process ended, and the turn with it.
    Exited(End),
    /// The turn is to be halted; the process lives.
    Halted(Why),
}

/// Follows a process until the turn or the process ends, or the turn is halted.
async fn follow(
    child: &mut Child,
    provider: &mut (impl Provider + Send),
    events: &mut TurnEvents,
    halt: &mut Halt,
) -> Followed {
    loop {
        let heard = tokio::select! {
            biased;
            why = halt.wait() => return Followed::Halted(why),
            heard = child.next() => heard,
        };
        match heard {
            Heard::Line(line) => {
                let steps = match line {
                    Line::Complete(bytes) => provider.read_line(&bytes),
                    Line::TooLong { bytes } => provider.lost_line(bytes),
                };
                if let Some(end) = tell(steps, events).await {
                    return Followed::Ended(end);
                }
            }
            Heard::Exited(exit) => {
                let end = tell(provider.finish(exit, &child.errors()), events).await;
                return Followed::Exited(end.unwrap_or_else(|| {
                    End::Failed(Failure::new(
                        "container",
                        FailureKind::Internal,
                        "the provider did not say how it ended",
                    ))
                }));
            }
        }
    }
}

async fn tell(steps: Vec<Step>, events: &mut TurnEvents) -> Option<End> {
    let mut end = None;
    for step in steps {
        match step {
            Step::Ended(how) => end = Some(how),
            step => events.send(step).await,
        }
    }
    end
}

/// Writes the invocation's files and starts it.
fn launch(
    invocation: &Invocation,
    provider: ProviderKind,
    request: &TurnRequest,
    context: &Context,
) -> Result<Child, Failure> {
    let fail = |kind, text: String| Failure::new(provider.as_str(), kind, text);
    for (path, text) in &invocation.files {
        write_private(path, text)
            .map_err(|error| fail(FailureKind::Config, format!("cannot write `{}`: {error}", path.display())))?;
    }
    Child::spawn(invocation, &context.place.directory, &context.family).map_err(|error| {
        let program = invocation.program;
        match error.kind() {
            io::ErrorKind::NotFound if !context.place.directory.is_dir() => {
                fail(FailureKind::Config, format!("`{}` is no directory", context.place.directory.display()))
            }
            io::ErrorKind::NotFound => fail(FailureKind::Config, format!("`{program}` is not installed")),
            io::ErrorKind::PermissionDenied => {
                fail(FailureKind::Config, format!("`{program}` may not be run: {error}"))
            }
            io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => {
                let turn = &request.turn;
                fail(FailureKind::InvalidOptions, format!("`{program}` cannot take the settings of `{turn}`: {error}"))
            }
            _ => fail(FailureKind::Internal, format!("`{program}` did not start: {error}")),
        }
    })
}

fn write_private(path: &std::path::Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
