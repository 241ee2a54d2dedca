//! What the control socket does about the outbox.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::server::{Control, LOOK};
use super::{Response, RowView};
use crate::deliver::desk::{OutboxCommand, OutboxDesk, OutboxReply};

/// How many rows one client follows at once: the pieces of one text.
const MOST_ROWS: usize = 1000;

impl Control {
    /// Does what an operator asks for, and lets delivery know.
    pub(super) async fn outbox(&self, command: OutboxCommand) -> Result<OutboxReply, String> {
        let groups = self.groups.borrow().groups.clone();
        let (store, now) = (self.store.clone(), self.clock.now());
        let served = OutboxDesk { store, groups, outbound: Some(&self.outbound), now }.serve(command).await?;
        for chat in &served.touched {
            self.outbound.look_at(chat);
        }
        Ok(served.reply)
    }
}

/// Tells what becomes of rows, whenever that changes, until all of them have come to their end.
pub(super) async fn follow(control: Arc<Control>, mut rows: Vec<i64>, answers: mpsc::Sender<Response>) {
    rows.truncate(MOST_ROWS);
    let mut moved = control.outbound.moved();
    let mut told = None;
    loop {
        moved.mark_unchanged();
        let response = match control.store.row_states(rows.clone()).await {
            Ok(states) => {
                let rows = states.into_iter().map(|row| RowView {
                    id: row.id,
                    state: row.state.unwrap_or_else(|| "forgotten".into()),
                    attempts: row.attempts,
                    error: row.error,
                });
                Response::Delivery { rows: rows.collect() }
            }
            Err(error) => Response::Error { message: error.to_string() },
        };
        let over = match &response {
            Response::Delivery { rows } => rows.iter().all(|row| row.state != "pending"),
            _ => true,
        };
        if told.as_ref() != Some(&response) {
            told = Some(response.clone());
            if answers.send(response).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
        // Ends early when the host stops; the next look then fails and says so.
        let _ = tokio::time::timeout(LOOK, moved.changed()).await;
    }
}
