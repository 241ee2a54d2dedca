//! How a turn ends. Pure.

use std::time::Duration;

use longshore_protocol::{Failure, FailureKind, TurnId};
use sha2::{Digest, Sha256};

/// How often a turn is tried at most, the first time included.
pub const MAX_ATTEMPTS: u32 = 5;
/// The wait after the first attempt; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait that people are not told about.
pub const LONGEST_SILENT_WAIT: Duration = Duration::from_secs(15 * 60);
/// The longest wait that a provider may ask for and get: a weekly limit and a day. Beyond it people are
/// told to come back themselves.
pub const LONGEST_WAIT: Duration = Duration::from_secs(8 * 24 * 3600);
/// By how much a wait is stretched at most, so that groups that failed together do not come back together:
/// by its fourth part, and by half a minute.
const SPREAD: (u32, Duration) = (4, Duration::from_secs(30));

/// What is to become of a turn that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It said what it had to say.
    Settled,
    /// It went well, and the agent chose to keep everything to itself.
    SettledSilently,
    /// Run it again after this time; counts as an attempt.
    Retry {
        /// Why it failed.
        failure: Failure,
        /// How long to wait.
        after: Duration,
    },
    /// As [`Verdict::Retry`], after a wait of hours: the chat is told, once.
    Postpone {
        /// Why it failed.
        failure: Failure,
        /// How long to wait.
        after: Duration,
    },
    /// Somebody stopped it.
    Stopped,
    /// The conversation can't be continued: forget its session and run the turn again at once.
    ///
    /// Not counted, and comes once at most: the next run has no session to forget.
    ForgetSession {
        /// Why it failed.
        failure: Failure,
    },
    /// It will not be tried again. The chat is told so in one sentence.
    GiveUp {
        /// Why it failed.
        failure: Failure,
        /// Whether it had a visible effect before.
        spoke: bool,
    },
}

/// How the runner says that a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Finished,
    /// Not.
    Failed(Failure),
}

/// What the agent said in a turn, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// No word.
    Nothing,
    /// Only to itself, in `<internal>`.
    Privately,
    /// Something that people saw.
    Aloud,
}

/// Which attempt at a turn this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// How many there may be; see [`MAX_ATTEMPTS`].
    pub most: u32,
    /// Whether it continues a session.
    pub continued: bool,
}

impl Attempt {
    /// The n-th attempt of [`MAX_ATTEMPTS`].
    #[must_use]
    pub fn new(number: u32, continued: bool) -> Self {
        Self { number, most: MAX_ATTEMPTS, continued }
    }
}

/// Decides what becomes of a turn.
#[must_use]
pub fn verdict(outcome: Outcome, said: Said, attempt: Attempt) -> Verdict {
    let failure = match (outcome, said) {
        (Outcome::Finished, Said::Aloud) => return Verdict::Settled,
        (Outcome::Finished, Said::Privately) => return Verdict::SettledSilently,
        (Outcome::Finished, Said::Nothing) => super::silence(),
        (Outcome::Failed(failure), _) => failure,
    };
    if said == Said::Aloud {
        return Verdict::GiveUp { failure, spoke: true };
    }
    // A conversation that has outgrown the model fails every turn, just as one that is gone does.
    if attempt.continued && matches!(failure.kind, FailureKind::StaleSession | FailureKind::Context) {
        return Verdict::ForgetSession { failure };
    }
    let after = wait(&failure, attempt.number);
    if !failure.kind.retryable() || attempt.number >= attempt.most || after > LONGEST_WAIT {
        Verdict::GiveUp { failure, spoke: false }
    } else if after > LONGEST_SILENT_WAIT {
        Verdict::Postpone { failure, after }
    } else {
        Verdict::Retry { failure, after }
    }
}

/// The wait with its jitter, decided by the turn and its attempt alone.
#[must_use]
pub fn spread(turn: &TurnId, attempt: u32, wait: Duration) -> Duration {
    let (part, most) = SPREAD;
    let hash = Sha256::new().chain_update(turn.as_str()).chain_update(attempt.to_le_bytes()).finalize();
    let share = hash.iter().take(2).fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    wait + (wait / part).min(most) * share / 0x1_0000
}

/// The provider's wish, and not less than 5 s, 10 s, 20 s … after the first, second, third attempt …
fn wait(failure: &Failure, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let own = FIRST_WAIT.saturating_mul(1 << doublings);
    own.max(failure.retry_after_seconds.map_or(Duration::ZERO, Duration::from_secs))
}
