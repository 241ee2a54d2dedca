//! `claude` between and during turns: one process that is kept as long as it fits the next turn.

use std::time::Duration;

use longshore_protocol::line::Line;
use longshore_protocol::{FailureKind, HostTools, ProviderKind, SessionId, TurnRequest};
use uuid::Uuid;

use super::{Context, Followed, Halt, follow, launch};
use crate::child::{Child, Heard};
use crate::emit::TurnEvents;
use crate::family::Whom;
use crate::provider::claude::{Claude, interrupt_line, speaks_out_of_turn};
use crate::provider::{End, Invocation, Provider};
use crate::{clock, memory};

/// How long an interrupted turn may take to end; 20 to 80 ms were seen.
const INTERRUPT_GRACE: Duration = Duration::from_secs(2);
/// How long an idle process may take to leave once its stdin is closed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Everything that a running process cannot take up any more.
#[derive(Debug, PartialEq, Eq)]
struct LaunchKey {
    model: Option<String>,
    prelude: String,
    tools: HostTools,
    memory: u64,
}

#[derive(Debug)]
struct Resident {
    child: Child,
    key: LaunchKey,
    session: Option<SessionId>,
    out_of_step: bool,
}

impl Resident {
    /// Takes what came since the last turn, and says whether the process can run this one.
    fn fits(&mut self, key: &LaunchKey, session: Option<&SessionId>) -> bool {
        while let Some(line) = self.child.next_now() {
            self.overhear(&line);
        }
        let continues = session.is_some() && session == self.session.as_ref();
        continues && self.key == *key && !self.out_of_step && self.child.exit().is_none()
    }

    fn overhear(&mut self, line: &Line) {
        self.out_of_step |= match line {
            Line::Complete(bytes) => speaks_out_of_turn(bytes),
            Line::TooLong { .. } => true,
        };
    }
}

/// How a turn went in one process.
enum Turned {
    Over(End),
    /// The process had left before it read the message; nothing has happened.
    Untaken(End),
}

/// The one `claude` process of the container, if it runs.
#[derive(Debug, Default)]
pub struct ClaudeRunner {
    resident: Option<Resident>,
}

impl ClaudeRunner {
    /// Runs a turn, in the running process if that fits, else in a new one.
    pub async fn run(
        &mut self,
        context: &Context,
        request: &TurnRequest,
        events: &mut TurnEvents,
        halt: &mut Halt,
    ) -> End {
        let key = LaunchKey {
            model: request.settings.model.clone(),
            prelude: request.prelude.clone(),
            tools: request.tools,
            memory: memory::fingerprint(&context.place.directory, &context.place.home),
        };
        if let Some(mut resident) = self.resident.take() {
            if resident.fits(&key, request.session.as_ref()) {
                let (fold, invocation) = prepare(context, request);
                match self.turn(resident, fold, invocation.stdin, context, events, halt).await {
                    Turned::Over(end) => return end,
                    // It died while nobody looked.
                    Turned::Untaken(_) => {}
                }
            } else {
                // It may still be writing its conversation down, which the next one reads.
                resident.child.close(CLOSE_GRACE).await;
            }
        }
        let (fold, invocation) = prepare(context, request);
        let child = match launch(&invocation, ProviderKind::Claude, request, context) {
            Ok(child) => child,
            Err(failure) => return End::Failed(failure),
        };
        let resident = Resident { child, key, session: request.session.clone(), out_of_step: false };
        match self.turn(resident, fold, invocation.stdin, context, events, halt).await {
            Turned::Over(end) | Turned::Untaken(end) => end,
        }
    }

    /// Reads what the process says between turns; resolves only when it has ended.
    pub async fn idle(&mut self) {
        let Some(resident) = &mut self.resident else { return std::future::pending().await };
        while let Heard::Line(line) = resident.child.next().await {
            resident.overhear(&line);
        }
        self.resident = None;
    }

    /// Ends the process.
    pub async fn close(&mut self) {
        if let Some(resident) = self.resident.take() {
            resident.child.close(CLOSE_GRACE).await;
        }
    }

    async fn turn(
        &mut self,
        mut resident: Resident,
        mut fold: Claude,
        message: String,
        context: &Context,
        events: &mut TurnEvents,
        halt: &mut Halt,
    ) -> Turned {
        resident.child.forget_errors();
        resident.child.say(message);
        match follow(&mut resident.child, &mut fold, events, halt).await {
            Followed::Ended(end) => {
                match &end {
                    // What it writes does not match what it was sent: it cannot be trusted with more.
                    End::Failed(failure) if failure.kind == FailureKind::InvalidEvent => resident.child.kill().await,
                    _ => self.keep(resident, &fold),
                }
                Turned::Over(end)
            }
            Followed::Exited(end) if fold.heard() => Turned::Over(end),
            Followed::Exited(end) => Turned::Untaken(end),
            Followed::Halted(why) => {
                events.mute();
                resident.child.say(interrupt_line());
                match follow(&mut resident.child, &mut fold, events, &mut Halt::grace(INTERRUPT_GRACE)).await {
                    Followed::Ended(_) => {
                        self.keep(resident, &fold);
                        context.family.end(Whom::Strays).await;
                    }
                    Followed::Exited(_) => context.family.end(Whom::Strays).await,
                    Followed::Halted(_) => {
                        // All at once: its tools are not in its group and would fall to the runner one by one.
                        context.family.end(Whom::Everyone).await;
                        resident.child.kill().await;
                    }
                }
                Turned::Over(halt.end(ProviderKind::Claude, why))
            }
        }
    }

    fn keep(&mut self, mut resident: Resident, fold: &Claude) {
        if let Some(session) = fold.session() {
            resident.session = Some(session.clone());
        }
        self.resident = Some(resident);
    }
}

fn prepare(context: &Context, request: &TurnRequest) -> (Claude, Invocation) {
    let name = || Uuid::new_v4().to_string();
    let fold = Claude::new(name(), name(), clock::unix_seconds());
    let invocation = fold.invocation(request, &context.place);
    (fold, invocation)
}
