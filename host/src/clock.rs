//! Where time comes in. Everything else is given a [`Clock`], so that tests can set it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// The longest single sleep on the system clock.
///
/// Sleeps count time that the machine was awake and know nothing of a clock that was set; looking
/// again this often keeps a due time from being missed by more.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// Tells the time. Cheap to clone; all clones tell the same.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(watch::Receiver<Timestamp>),
}

/// Moves a manual [`Clock`].
#[derive(Debug)]
pub struct Hands(watch::Sender<Timestamp>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until its hands are moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, Hands) {
        let (hands, face) = watch::channel(start);
        (Self(Source::Manual(face)), Hands(hands))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(face) => *face.borrow(),
        }
    }

    /// Returns once [`Clock::now`] has reached `until`; at once if it has already.
    ///
    /// On a manual clock whose hands are gone it returns only if the time had come.
    pub async fn sleep_until(&self, until: Timestamp) {
        match &self.0 {
            Source::System => loop {
                let left = until.duration_since(system_now());
                match Duration::try_from(left) {
                    Ok(left) if !left.is_zero() => tokio::time::sleep(left.min(LONGEST_NAP)).await,
                    _ => return,
                }
            },
            Source::Manual(face) => {
                let mut face = face.clone();
                if face.wait_for(|now| *now >= until).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Hands {
    /// Where they stand.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.0.send_modify(|now| *now = now.saturating_add(by).unwrap_or(Timestamp::MAX));
    }

    /// Sets the clock, forwards or back, as an operator may do.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where time comes in")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_their_time_has_come_and_not_before() {
        let (clock, hands) = Clock::manual(START);
        let until = START + SignedDuration::from_secs(60);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(until).await }
        });
        hands.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        hands.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.now(), until);
    }

    #[tokio::test]
    async fn a_time_in_the_past_is_not_waited_for() {
        let (manual, _hands) = Clock::manual(START);
        manual.sleep_until(Timestamp::MIN).await;
        Clock::system().sleep_until(START).await;
        let soon = Clock::system().now() + SignedDuration::from_millis(2);
        Clock::system().sleep_until(soon).await;
        assert!(Clock::system().now() >= soon);
    }

    #[test]
    fn hands_can_be_moved_to_the_end_of_time_and_set_back() {
        let (clock, hands) = Clock::manual(START);
        hands.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
        hands.set(START);
        assert_eq!(clock.now(), START);
    }
}
