//! The host's tasks: each has a name, and none may end by itself.

/// What the end of a task means while the host runs.
pub(super) fn death(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow::anyhow!("the task `{name}` ended by itself"),
        Ok((name, Err(error))) => error.context(format!("the task `{name}` failed")),
        Err(error) => anyhow::Error::new(error).context("a task panicked"),
    }
}

/// A task with its name.
pub(super) async fn named(
    name: &'static str,
    task: impl Future<Output = anyhow::Result<()>>,
) -> (&'static str, anyhow::Result<()>) {
    (name, task.await)
}

/// A task that cannot fail.
pub(super) async fn ok(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}
