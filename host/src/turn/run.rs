//! Running a turn: the only code that talks to a container.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;
use longshore_protocol::{Failure, FailureKind, GroupId, RunnerCommand, RunnerEvent, TurnRequest, Usage};
use tokio::sync::watch;
use tracing::Instrument;

use super::fold::{Attempt, Effect, Outcome, Said, TurnFold, Verdict, verdict};
use super::recover::recover;
use super::stops::{Stoppable, Stops};
use super::tally::{Noted, Tally};
use crate::broker::access::SignIn;
use crate::clock::Clock;
use crate::container::RuntimeError;
use crate::container::resident::{Resident, Residents};
use crate::deliver::Outbound;
use crate::groups::Group;
use crate::groups::watch::Snapshot;
use crate::ipc::snapshot::Snapshots;
use crate::ipc::watch::Mailroom;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::queue::dispatch::{GroupSlot, Work};
use crate::queue::state::Next;
use crate::schedule::Changed;
use crate::store::turns::{Begin, BeginTurn, BegunTurn, EndTurn, Subject};
use crate::store::{Store, StoreError};

/// How much longer than its time limit a turn may take before its container is killed: the runner
/// enforces the limit itself and needs a moment to end the provider.
const LIMIT_GRACE: Duration = Duration::from_secs(30);
/// How long the end of a turn waits for the answers to what the turn asked for.
pub(super) const SETTLE: Duration = Duration::from_secs(5);
/// How long a runner may take to end a turn that somebody stopped, before its container is killed.
const STOP_GRACE: Duration = Duration::from_secs(15);

/// What a turn is run with.
pub struct TurnRunner {
    /// The store.
    pub store: Store,
    /// The containers.
    pub residents: Arc<Residents>,
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// The way to the channels.
    pub outbound: Outbound,
    /// Memory files.
    pub memory: Memory,
    /// The time.
    pub clock: Clock,
    /// The assistant's name.
    pub assistant: String,
    /// The time zone for groups that name none.
    pub time_zone: TimeZone,
    /// How many messages a prompt holds at most.
    pub max_messages: usize,
    /// A turn's time limit for groups that set none.
    pub time_limit: Duration,
    /// How long a runner may give no sign of life in a turn.
    pub stall_limit: Duration,
    /// The running turns, for those who may stop them.
    pub stops: Stops,
    /// The Codex model for groups that name none.
    pub codex_model: Option<String>,
    /// The files by which agents ask for something.
    pub mailroom: Mailroom,
    /// What the agents see of their tasks.
    pub snapshots: Snapshots,
    /// Told when a task changes.
    pub tasks_changed: Changed,
    /// Told how turns go.
    pub metrics: Metrics,
    /// How often in a row the engine did not answer.
    pub engine_refusals: std::sync::atomic::AtomicU32,
}

impl Work for Arc<TurnRunner> {
    fn run(&self, slot: GroupSlot) -> BoxFuture<'static, ()> {
        let runner = self.clone();
        Box::pin(async move {
            let next = match runner.look(&slot).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(group = %slot.group(), %error, "a turn could not be recorded; trying again");
                    Next::After(runner.later(Duration::from_secs(5)))
                }
            };
            slot.finish(next);
        })
    }

    fn panicked(&self, group: GroupId) -> BoxFuture<'static, ()> {
        let runner = self.clone();
        Box::pin(async move {
            if let Err(error) = recover(&runner, Some(&group)).await {
                tracing::error!(%group, %error, "a turn that panicked could not be closed");
            }
        })
    }

    fn waiting(&self) -> BoxFuture<'static, Vec<GroupId>> {
        let runner = self.clone();
        Box::pin(async move {
            let groups = runner.groups.borrow().groups.clone();
            let pairs = groups.iter().map(|group| (group.id.clone(), group.chat.clone())).collect();
            runner.store.groups_with_work(pairs).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the store could not say what waits");
                Vec::new()
            })
        })
    }

    fn load(&self, running: usize, waiting: usize) {
        self.metrics.queue(running, waiting);
    }
}

impl TurnRunner {
    /// Runs what waits for the group, if anything does.
    async fn look(&self, slot: &GroupSlot) -> Result<Next, StoreError> {
        // A turn keeps the configuration that it starts with.
        let Some(group) = self.groups.borrow().groups.by_id(slot.group()).cloned() else {
            return Ok(Next::Idle);
        };
        let begin = BeginTurn {
            group: group.id.clone(),
            chat: group.chat.clone(),
            provider: group.provider,
            max_messages: self.max_messages,
        };
        let mut stoppable = self.stops.enter(slot.group());
        // The slot proves that no turn of the group runs: a row that says so was left by a store that failed.
        recover(self, Some(slot.group())).await?;
        match self.store.begin_turn(begin, self.clock.now()).await? {
            Begin::Nothing => {
                self.residents.prewarm(slot, &group).await;
                Ok(Next::Idle)
            }
            Begin::Stopped => {
                self.outbound.look();
                Ok(Next::More)
            }
            Begin::NotBefore(at) => Ok(Next::After(at)),
            // An edit came while the turn began, perhaps before its newest message: the turn is for the new group.
            Begin::Turn(turn) if !self.is_current(&group) => {
                let failure = Failure::new("host", FailureKind::Internal, "the group changed as the turn began");
                let end = EndTurn::Retry { failure, at: None, counted: false, forget_session: false };
                self.store.end_turn(turn.id, end, self.clock.now()).await?;
                Ok(Next::More)
            }
            Begin::Turn(turn) => {
                if turn.attempt == 1 {
                    self.metrics.turn_begins(turn.since, self.clock.now());
                }
                let span = tracing::info_span!(
                    "turn", turn = %turn.id, group = %group.id, provider = %group.provider, attempt = turn.attempt,
                    outcome = tracing::field::Empty, code = tracing::field::Empty
                );
                self.run_turn(slot, &group, &turn, &mut stoppable).instrument(span).await
            }
        }
    }

    fn is_current(&self, group: &Group) -> bool {
        self.groups.borrow().groups.by_id(&group.id).is_some_and(|now| now.generation == group.generation)
    }

    async fn run_turn(
        &self,
        slot: &GroupSlot,
        group: &Group,
        turn: &BegunTurn,
        stoppable: &mut Stoppable,
    ) -> Result<Next, StoreError> {
        let messages = match &turn.subject {
            Subject::Messages { messages, omitted } => messages.len() as u64 + omitted,
            Subject::Task(_) => 0,
        };
        tracing::debug!(step = "slot", messages, after_ms = millis(slot.held()), "a turn begins");
        let within_budget = self.residents.within_budget(group).await;
        let allowed = within_budget.and_then(|()| self.residents.sign_in(group));
        let sign_in = match allowed {
            Ok(sign_in) => sign_in,
            Err(failure) => {
                let verdict = verdict(Outcome::Failed(failure), Said::Nothing, attempt_of(turn));
                return self.end(group, turn, verdict, 0).await;
            }
        };
        let started = Instant::now();
        self.outbound.typing(&group.chat, true).await;
        let result = self.attempt(slot, group, turn, sign_in, stoppable).await;
        self.outbound.typing(&group.chat, false).await;
        let (verdict, resident) = match result {
            Ok(ended) => ended?,
            Err(error) => return self.not_started(group, turn, &error).await,
        };
        self.engine_refusals.store(0, std::sync::atomic::Ordering::Relaxed);
        self.metrics.turn_took(group.provider, started.elapsed());
        let next = self.end(group, turn, verdict, millis(started.elapsed())).await?;
        if let Some(resident) = resident {
            self.residents.put_back(slot, resident);
        }
        // The configuration may have changed during the turn, which kept the one that it started with.
        let groups = self.groups.borrow().groups.clone();
        self.residents.retire_outdated(&groups).await;
        Ok(next)
    }

    /// Runs the turn in the group's container, and gives that back if it can serve the next turn.
    /// The outer error says that there is no container.
    async fn attempt(
        &self,
        slot: &GroupSlot,
        group: &Group,
        turn: &BegunTurn,
        sign_in: SignIn,
        stoppable: &mut Stoppable,
    ) -> Result<Result<(Verdict, Option<Resident>), StoreError>, RuntimeError> {
        let request = self.request(group, turn, sign_in);
        let mut resident = self.container(slot, group, sign_in).await?;
        // Its folder may have been made just now.
        self.snapshots.mark(&group.id);
        let mut fold = TurnFold::new(turn.id.clone(), attempt_of(turn));
        if turn.task().is_some() {
            // Nobody asked just now, so nobody waits for a word.
            fold.may_be_silent();
        }
        let limit = Duration::from_secs(request.time_limit_seconds) + LIMIT_GRACE;
        let converse = self.converse(&mut resident, &mut fold, group, turn, request, stoppable);
        let ended = match tokio::time::timeout(limit, converse).await {
            Ok(ended) => ended,
            Err(_) => {
                Ok(Err(Failure::new("container", FailureKind::Timeout, "the runner did not end the turn in time")))
            }
        };
        Ok(match ended {
            Ok(Ok(verdict)) => Ok((verdict, Some(resident))),
            Ok(Err(failure)) => {
                self.residents.retire(resident).await;
                match self.hear_petitions(&mut fold, group, turn).await {
                    Ok(()) => Ok((fold.lost(failure), None)),
                    Err(error) => Err(error),
                }
            }
            Err(error) => {
                self.residents.retire(resident).await;
                Err(error)
            }
        })
    }

    /// The group's container, warm or new.
    async fn container(&self, slot: &GroupSlot, group: &Group, sign_in: SignIn) -> Result<Resident, RuntimeError> {
        let span = tracing::info_span!("container", container = tracing::field::Empty, start = tracing::field::Empty);
        let begun = Instant::now();
        async {
            let resident = self.residents.acquire(slot, group, sign_in).await?;
            let start = if resident.was_warm() { "warm" } else { "cold" };
            tracing::Span::current().record("container", tracing::field::display(resident.id())).record("start", start);
            tracing::debug!(step = "container", elapsed_ms = millis(begun.elapsed()), "the container is there");
            Ok(resident)
        }
        .instrument(span)
        .await
    }

    /// Hands the turn to the runner and follows it to its end. The inner error is that of a container
    /// that cannot serve another turn.
    async fn converse(
        &self,
        resident: &mut Resident,
        fold: &mut TurnFold,
        group: &Group,
        turn: &BegunTurn,
        request: TurnRequest,
        stoppable: &mut Stoppable,
    ) -> Result<Result<Verdict, Failure>, StoreError> {
        if let Err(failure) = resident.command(&RunnerCommand::Turn(Box::new(request))).await {
            return Ok(Err(failure));
        }
        let (mut stopping, mut tally, begun) = (false, Tally::default(), Instant::now());
        loop {
            let patience = if stopping { STOP_GRACE } else { self.stall_limit };
            let event = tokio::select! {
                () = stoppable.asked(turn.settled), if !stopping => {
                    tracing::info!("somebody stops the turn");
                    stopping = true;
                    fold.stop();
                    match resident.command(&RunnerCommand::Stop { turn: turn.id.clone() }).await {
                        Ok(()) => continue,
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
                event = resident.event() => event,
                () = tokio::time::sleep(patience) => return Ok(Err(stalled(patience))),
            };
            let event = match event {
                Ok(RunnerEvent::Ready { agent_version, .. }) => {
                    let elapsed_ms = millis(begun.elapsed());
                    tracing::debug!(step = "runner", elapsed_ms, release = agent_version, "the runner is ready");
                    continue;
                }
                Ok(event) => event,
                Err(failure) => return Ok(Err(failure)),
            };
            if matches!(event, RunnerEvent::Finished { .. } | RunnerEvent::Failed { .. }) {
                let (Tally { texts, characters, tools, troubles }, elapsed_ms) = (tally, millis(begun.elapsed()));
                tracing::debug!(step = "agent", elapsed_ms, texts, characters, tools, troubles, "the agent is done");
                self.hear_petitions(fold, group, turn).await?;
            }
            for effect in fold.handle(event) {
                if tally.texts == 0 && matches!(effect, Effect::Say(_)) {
                    self.metrics.first_text(group.provider, begun.elapsed());
                }
                note(&effect, &mut tally, begun);
                if let Some(verdict) = self.act(effect, group, turn).await? {
                    return Ok(Ok(verdict));
                }
            }
        }
    }

    /// What the turn asked for by files is done before the turn is over, and counts as a visible effect.
    async fn hear_petitions(&self, fold: &mut TurnFold, group: &Group, turn: &BegunTurn) -> Result<(), StoreError> {
        self.mailroom.settle(&group.id, SETTLE).await;
        if self.store.turn_said(turn.id.clone()).await? {
            fold.acted();
        }
        Ok(())
    }

    /// Does what an event asks for; gives the verdict when the turn is over.
    async fn act(&self, effect: Effect, group: &Group, turn: &BegunTurn) -> Result<Option<Verdict>, StoreError> {
        let now = self.clock.now();
        match effect {
            Effect::Say(text) => {
                let pieces = self.pieces(group, &text).await;
                self.store.say(turn.id.clone(), group.chat.clone(), None, pieces, now).await?;
                self.outbound.look_at(&group.chat);
            }
            // The conversation of an isolated run ends with it.
            Effect::Session(_) if turn.is_isolated() => {}
            Effect::Session(session) => {
                self.store.remember_session(group.id.clone(), group.provider, session, now).await?;
            }
            Effect::Usage(usage) => self.store.add_usage(turn.id.clone(), usage).await?,
            Effect::Note(_) => {}
            Effect::End(verdict) => return Ok(Some(verdict)),
        }
        Ok(None)
    }
}

/// Logs what an event asks for, without anybody's words.
fn note(effect: &Effect, tally: &mut Tally, begun: Instant) {
    let elapsed_ms = millis(begun.elapsed());
    match effect {
        Effect::Say(text) => {
            if tally.text(text) {
                tracing::debug!(step = "text", elapsed_ms, "the agent speaks");
            }
        }
        Effect::Session(_) => tracing::debug!(step = "session", elapsed_ms, "the provider named the conversation"),
        Effect::Usage(Usage { input_tokens: input, cached_input_tokens: cached, output_tokens: output }) => {
            tracing::debug!(step = "usage", input, cached, output, "tokens, as the runner counts them");
        }
        Effect::Note(note) => match tally.note(note) {
            Noted::Trouble => tracing::debug!(step = "trouble", note, "the provider has trouble"),
            // A runner may say what it likes, people's words among it.
            Noted::Tool | Noted::Other => tracing::trace!(note, "progress"),
        },
        Effect::End(_) => {}
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A turn within its time limit of which nothing has been heard for too long.
fn stalled(limit: Duration) -> Failure {
    let failure = Failure::new("container", FailureKind::Timeout, format!("no sign of life for {} s", limit.as_secs()));
    Failure { code: "CONTAINER_STALLED".to_owned(), ..failure }
}

pub(super) fn attempt_of(turn: &BegunTurn) -> Attempt {
    Attempt::new(turn.attempt, turn.conversation().is_some())
}
