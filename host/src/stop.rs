//! Stopping is an argument: whoever runs for long is given a [`Stop`] and ends when it says so.

/// Tells a task to end. Cloned into every long-running task; never awaited twice for two reasons.
pub type Stop = tokio_util::sync::CancellationToken;
