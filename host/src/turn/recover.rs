//! Turns that a host left running when it died, or that panicked.

use std::time::Duration;

use longshore_protocol::{Failure, FailureKind, GroupId, ProviderKind};

use super::fold::MAX_ATTEMPTS;
use super::run::{SETTLE, TurnRunner};
use crate::phrases;
use crate::store::StoreError;
use crate::store::turns::EndTurn;

/// How long an engine may take to say what the last host left. One that does not answer runs nothing either.
const ENGINE_LIMIT: Duration = Duration::from_secs(10);

/// Closes turns that are marked running and do not run: one that said nothing is tried again, one
/// that spoke is over, and the chat is told that the answer may be incomplete.
///
/// # Errors
/// What the store says.
pub async fn recover(runner: &TurnRunner, group: Option<&GroupId>) -> Result<usize, StoreError> {
    let interrupted = runner.store.interrupted_turns(group.cloned()).await?;
    if !interrupted.is_empty() {
        // A container that the last host left may still be at it, and would go on to ask for things.
        let looked = tokio::time::timeout(ENGINE_LIMIT, runner.residents.ready_engine()).await;
        if !matches!(looked, Ok(Ok(()))) {
            tracing::debug!("the containers of the last host cannot be looked at now");
        }
    }
    for turn in &interrupted {
        // What it asked for by files and was not answered is done now, as part of it: otherwise it would be
        // tried again and ask a second time.
        runner.mailroom.settle(&turn.group, SETTLE).await;
        let said = turn.said || runner.store.turn_said(turn.id.clone()).await?;
        let failure = Failure::new("host", FailureKind::Internal, "the host ended during the turn");
        let end = if said {
            EndTurn::GaveUp { failure, notice: vec![phrases::INTERRUPTED.to_owned()], pause_task: false }
        } else if turn.attempt >= MAX_ATTEMPTS {
            // What ends the host each time must not do so for ever.
            let sentence = phrases::failure(&failure, ProviderKind::default(), false);
            EndTurn::GaveUp { failure, notice: vec![sentence], pause_task: false }
        } else {
            EndTurn::Retry { failure, at: None, counted: true, forget_session: false }
        };
        tracing::warn!(step = "retry", turn = %turn.id, group = %turn.group, said, attempt = turn.attempt, "an interrupted turn was recovered");
        runner.store.end_turn(turn.id.clone(), end, runner.clock.now()).await?;
    }
    Ok(interrupted.len())
}
