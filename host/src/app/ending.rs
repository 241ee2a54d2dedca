//! The way of a host from its readiness to its end: who is told to stop, and in which order.

use super::tasks::death;
use super::{App, CLOSE, DELIVERY, SETTLE};
use crate::stop::Stop;

impl App {
    /// Runs until `until` is told to stop or a task dies, then lets running turns end and closes. If
    /// `restart` was told, too, warm containers are left to the next host.
    ///
    /// # Errors
    /// Names the task that died.
    pub async fn run(mut self, until: Stop, restart: Stop) -> anyhow::Result<()> {
        let died = tokio::select! {
            () = until.cancelled() => None,
            Some(ended) = self.tasks.join_next() => Some(death(ended)),
            ended = &mut self.dispatch => return Err(death(ended.map(|result| ("dispatch", result)))),
        };
        tracing::info!("stopping: running turns may end");
        self.drain.cancel();
        if tokio::time::timeout(self.drain_limit, &mut self.dispatch).await.is_err() {
            tracing::warn!("turns still run; they are recovered at the next start");
            self.dispatch.abort();
        }
        if died.is_none() {
            self.part().await;
        }
        self.stop.cancel();
        let close = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE, close).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
        let next_host = restart.is_cancelled() && !self.keep_warm.is_zero();
        self.residents.close(next_host.then_some(self.keep_warm)).await;
        // What fails is in the log.
        let _ = self.meter.write().await;
        if let Some(login) = &self.login
            && tokio::time::timeout(SETTLE, login.settle()).await.is_err()
        {
            tracing::error!("a refresh of the ChatGPT login did not end; run `longshore login codex` if it is refused");
        }
        if let Some(rehearsal) = self.rehearsal.take() {
            rehearsal.stop().await;
        }
        tracing::info!("stopped");
        died.map_or(Ok(()), Err)
    }

    /// What the last turns said leaves while the channels are still there.
    async fn part(&mut self) {
        self.parting.cancel();
        let left = async {
            while let Some(ended) = self.tasks.join_next().await {
                if matches!(ended, Ok((DELIVERY, _))) {
                    break;
                }
            }
        };
        if tokio::time::timeout(CLOSE, left).await.is_err() {
            tracing::warn!("not everything could be sent; the rest is sent after the next start");
        }
    }
}
