//! What a failed run leads to. Pure.

/// So many failures in a row pause a task.
pub const PAUSE_AFTER: u32 = 5;

/// What a failed run leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The chat is told.
    Tell,
    /// The chat has been told; the run log has it.
    Quiet,
    /// The task is paused and the chat is told.
    Pause,
}

/// What a failed run leads to after `failures` others in a row.
#[must_use]
pub fn after_failure(failures: u32) -> AfterFailure {
    match failures {
        0 => AfterFailure::Tell,
        failures if failures + 1 < PAUSE_AFTER => AfterFailure::Quiet,
        _ => AfterFailure::Pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chat_is_told_at_the_first_failure_and_when_the_task_is_paused() {
        use AfterFailure::{Pause, Quiet, Tell};
        assert_eq!([0, 1, 2, 3, 4, 5].map(after_failure), [Tell, Quiet, Quiet, Quiet, Pause, Pause]);
    }
}
