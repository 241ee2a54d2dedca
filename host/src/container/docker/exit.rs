//! How a container ended, told apart from an engine that went away.

use std::future::Future;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::ContainerStateStatusEnum as Status;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::super::{ContainerId, Exit, RuntimeError};
use super::failure::runtime_error;

/// A container whose output has ended has this long to be gone.
const LAST_BREATH: Duration = Duration::from_secs(5);
/// Between two looks at a container that runs on although the engine broke off.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Waits between the attempts to reach an engine that broke off: it may just be restarting.
const RECONNECT: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1000)];
/// What a killed process leaves (128 + SIGKILL).
const KILLED: i64 = 137;

/// A container as the engine sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Running,
    Ended(Exit),
    /// Removed, so it was killed before.
    Gone,
}

/// Waits for the container's end. `silent` says that its output has ended: then the streams are lost,
/// and a container that runs on nevertheless is of no use any more.
pub(super) async fn watch(docker: Docker, id: ContainerId, silent: CancellationToken) -> Result<Exit, RuntimeError> {
    loop {
        let waited = tokio::select! {
            code = wait(&docker, &id) => code,
            () = after(&silent, LAST_BREATH) => None,
        };
        match (look_again(&docker, &id).await, waited) {
            (Ok(Sight::Ended(exit)), code) => return Ok(Exit { code: code.unwrap_or(exit.code), ..exit }),
            (_, Some(code)) => return Ok(Exit { code, out_of_memory: false }),
            (Ok(Sight::Gone), None) => return Ok(Exit { code: KILLED, out_of_memory: false }),
            (Ok(Sight::Running), None) if silent.is_cancelled() => {
                return Err(RuntimeError::Unavailable("the streams of a running container broke off".to_owned()));
            }
            (Ok(Sight::Running), None) => tokio::time::sleep(LOOK_AGAIN).await,
            (Err(error), None) => return Err(error),
        }
    }
}

async fn after(silent: &CancellationToken, pause: Duration) {
    silent.cancelled().await;
    tokio::time::sleep(pause).await;
}

/// The exit status, or nothing if the engine broke off before it said one.
async fn wait(docker: &Docker, id: &ContainerId) -> Option<i64> {
    let answer = Box::pin(docker.wait_container(&id.0, None)).next().await?;
    match answer {
        Ok(answer) if answer.error.as_ref().is_none_or(|error| error.message.is_none()) => Some(answer.status_code),
        // Every status but 0 comes as an error; one with a text is about the waiting itself.
        Err(Error::DockerContainerWaitError { error, code }) if error.is_empty() => Some(code),
        other => {
            tracing::debug!(container = %id, ?other, "the engine stopped waiting for a container");
            None
        }
    }
}

async fn look_again(docker: &Docker, id: &ContainerId) -> Result<Sight, RuntimeError> {
    persist(|| look(docker, id)).await
}

/// Tries again while the engine does not answer, a little.
async fn persist<F: Future<Output = Result<Sight, RuntimeError>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<Sight, RuntimeError> {
    for pause in RECONNECT {
        match attempt().await {
            Err(RuntimeError::Unavailable(_)) => tokio::time::sleep(pause).await,
            answer => return answer,
        }
    }
    attempt().await
}

async fn look(docker: &Docker, id: &ContainerId) -> Result<Sight, RuntimeError> {
    let state = match docker.inspect_container(&id.0, None).await {
        Ok(found) => found.state.unwrap_or_default(),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(Sight::Gone),
        Err(error) => return Err(runtime_error(error)),
    };
    if matches!(state.status, Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING)) {
        return Ok(Sight::Running);
    }
    Ok(Sight::Ended(Exit { code: state.exit_code.unwrap_or(KILLED), out_of_memory: state.oom_killed.unwrap_or(false) }))
}
