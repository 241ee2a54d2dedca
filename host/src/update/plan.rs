//! When the registry is asked for newer releases, and of which an operator is told. Pure.

use jiff::{SignedDuration, Timestamp};
use longshore_protocol::ProviderKind;
use serde::{Deserialize, Serialize};

use super::versions::Release;
use crate::schedule::plan::jitter;

/// From the start to the first question: a host that is started again and again asks nothing.
const FIRST: SignedDuration = SignedDuration::from_mins(5);
/// By how much the first is delayed at most, in seconds.
const FIRST_SPREAD: u32 = 10 * 60;
/// From one question to the next.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// By how much that is delayed at most, in seconds: not all hosts ask at the same time of the day.
const DAILY_SPREAD: u32 = 2 * 60 * 60;

/// How often the same releases are tried, a day apart: a build may fail for want of a network.
const TRIES: u32 = 3;

/// A CLI's newest release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Whose.
    pub provider: ProviderKind,
    /// Its version in the registry.
    pub version: String,
}

/// What is remembered from one question to the next, and from one host to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// When the registry was asked last, whether it answered or not. RFC 3339.
    pub asked_at: Option<String>,
    /// What it answered last.
    pub newest: Vec<Newest>,
    /// Of which the log has told.
    pub told: Vec<Newest>,
    /// Which were tried last.
    pub tried: Vec<Newest>,
    /// How often.
    pub tries: u32,
}

impl Remembered {
    /// When to ask next, for a host that began at `start`. `installation` tells it from others.
    #[must_use]
    pub fn next(&self, start: Timestamp, now: Timestamp, installation: &str) -> Timestamp {
        let after = |from: Timestamp, span: SignedDuration, spread: u32| {
            let next = from.saturating_add(span).unwrap_or(Timestamp::MAX);
            next.saturating_add(jitter(installation, from, spread)).unwrap_or(Timestamp::MAX)
        };
        let first = after(start, FIRST, FIRST_SPREAD);
        // A time that is still to come was written before the clock was set back.
        let asked = self.asked_at.as_deref().and_then(|at| at.parse().ok()).filter(|asked| *asked <= now);
        asked.map_or(first, |asked| first.max(after(asked, DAILY, DAILY_SPREAD)))
    }

    /// Keeps an answer in the place of the provider's last one.
    pub fn keep(&mut self, newest: Newest) {
        put(&mut self.newest, newest);
    }

    /// The releases that the log has not told of; from now on it has.
    pub fn untold(&mut self, releases: &[Release]) -> Vec<Release> {
        let mut untold = Vec::new();
        for release in releases.iter().filter(|release| release.is_newer) {
            let newest = Newest { provider: release.provider, version: release.newest.clone() };
            if !self.told.contains(&newest) {
                put(&mut self.told, newest);
                untold.push(release.clone());
            }
        }
        untold
    }

    /// Whether to try these releases now; if so, that is counted. What has failed three times is left until there
    /// is another release.
    pub fn tries(&mut self, releases: &[Release]) -> bool {
        let wanted: Vec<Newest> = releases
            .iter()
            .filter(|release| release.is_newer)
            .map(|release| Newest { provider: release.provider, version: release.newest.clone() })
            .collect();
        if wanted.is_empty() {
            return false;
        }
        if self.tried != wanted {
            (self.tried, self.tries) = (wanted, 0);
        }
        self.tries = self.tries.saturating_add(1);
        self.tries <= TRIES
    }
}

fn put(all: &mut Vec<Newest>, newest: Newest) {
    all.retain(|known| known.provider != newest.provider);
    all.push(newest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_asked_minutes_after_the_start_and_not_twice_in_a_day() {
        let start: Timestamp = "2026-02-01T12:00:00Z".parse().unwrap();
        // Hours from the start: when it was asked last, what time it is now, and between which the next question is.
        for (asked, now, from, until) in [
            (None, 0.0, 0.08, 0.26),
            (Some(-1.0), 0.0, 23.0, 25.0),
            (Some(-23.95), 0.0, 0.05, 2.3),
            (Some(-24.0 * 30.0), 0.0, 0.08, 0.26),
            (Some(0.2), 0.2, 24.2, 26.2),
            // The clock was set back.
            (Some(24.0 * 400.0), 0.0, 0.08, 0.26),
        ] {
            #[expect(clippy::cast_possible_truncation, reason = "small numbers of a table")]
            let at = |hours: f64| start + SignedDuration::from_secs((hours * 3600.0) as i64);
            let remembered = Remembered { asked_at: asked.map(|asked| at(asked).to_string()), ..Remembered::default() };
            for installation in ["/srv/a", "/srv/b", "/home/ada/longshore"] {
                let next = remembered.next(start, at(now), installation);
                assert!(at(from) <= next && next <= at(until), "{asked:?} {installation}: {next}");
            }
        }
        let broken = Remembered { asked_at: Some("yesterday".into()), ..Remembered::default() };
        assert_eq!(broken.next(start, start, "a"), Remembered::default().next(start, start, "a"));
        assert_ne!(broken.next(start, start, "a"), broken.next(start, start, "b"), "not all at once");
    }

    #[test]
    fn each_newer_release_is_told_once() {
        let release = |provider, newest: &str| Release::new(provider, Some("2.0.0".into()), newest.into());
        let (claude, codex) = (ProviderKind::Claude, ProviderKind::Codex);
        let mut remembered = Remembered::default();
        for (releases, told) in [
            (vec![release(claude, "2.0.0"), release(codex, "1.0.0")], 0),
            (vec![release(claude, "2.0.1"), release(codex, "1.0.0")], 1),
            (vec![release(claude, "2.0.1"), release(codex, "2.1.0")], 1),
            (vec![release(claude, "2.0.1"), release(codex, "2.1.0")], 0),
            (vec![release(claude, "2.0.2"), release(codex, "2.1.1")], 2),
        ] {
            assert_eq!(remembered.untold(&releases).len(), told, "{releases:?}");
        }
        assert_eq!(remembered.told.len(), 2);
    }

    #[test]
    fn a_release_is_tried_three_times_and_then_left_until_there_is_another() {
        let release = |newest: &str| Release::new(ProviderKind::Claude, Some("2.0.0".into()), newest.into());
        let mut remembered = Remembered::default();
        for (newest, is_tried) in [
            ("2.0.0", false),
            ("2.0.1", true),
            ("2.0.1", true),
            ("2.0.0", false),
            ("2.0.1", true),
            ("2.0.1", false),
            ("2.0.1", false),
            ("2.0.2", true),
        ] {
            assert_eq!(remembered.tries(&[release(newest)]), is_tried, "{newest}");
        }
    }
}
