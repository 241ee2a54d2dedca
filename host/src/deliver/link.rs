//! A channel's link to its platform over time. Pure.

use jiff::{SignedDuration, Timestamp};
use longshore_protocol::channel::LinkState;

/// A channel that was not up for longer than this may have missed something.
const GAP: SignedDuration = SignedDuration::from_secs(60);
/// A link that was up for less than this was not: an adapter is up when it is ready, and tells only then
/// that its platform is not.
const STEADY: SignedDuration = SignedDuration::from_secs(10);

/// A channel's link to its platform, as it last reported it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The state; `None` before the first report.
    pub state: Option<LinkState>,
    /// One sentence for the operator.
    pub detail: Option<String>,
    /// Since when it is not up; `None` while it is, and before the first report.
    pub down_since: Option<Timestamp>,
    /// The last time that it was not up for long. That the host itself was down is none.
    pub last_gap: Option<Gap>,
    /// Since when it is up, and since when it had not been before.
    up: Option<(Timestamp, Option<Timestamp>)>,
    /// Whether this host has ever seen it up.
    was_up: bool,
}

/// A time during which a channel was not up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Gap {
    /// How long it was.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.until.duration_since(self.from).as_secs()
    }
}

impl Link {
    /// The channel reports its link; gives the gap that ends with that.
    pub fn report(&mut self, state: LinkState, detail: Option<String>, now: Timestamp) -> Option<Gap> {
        (self.state, self.detail) = (Some(state), detail);
        if state != LinkState::Up {
            if self.down_since.is_none() {
                let hardly_up = self.up.filter(|(since, _)| now.duration_since(*since) < STEADY);
                self.down_since = hardly_up.and_then(|(_, before)| before).or(Some(now));
            }
            self.up = None;
            return None;
        }
        if self.up.is_some() {
            return None;
        }
        let down_since = self.down_since.take().filter(|_| self.was_up);
        (self.up, self.was_up) = (Some((now, down_since)), true);
        let gap = down_since.map(|from| Gap { from, until: now });
        let gap = gap.filter(|gap| gap.until.duration_since(gap.from) > GAP);
        self.last_gap = gap.or(self.last_gap);
        gap
    }
}

#[cfg(test)]
mod tests {
    use LinkState::{Down, NeedQr, Up};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn gaps(reports: &[(i64, LinkState)]) -> (Vec<(i64, i64)>, Link) {
        let mut link = Link::default();
        let reported = |gap: Gap| (gap.from.as_second(), gap.until.as_second());
        let gaps = reports.iter().filter_map(|(time, state)| link.report(*state, None, at(*time)).map(reported));
        (gaps.collect(), link)
    }

    #[test]
    fn a_channel_that_comes_up_again_after_more_than_a_minute_leaves_a_gap() {
        for (reports, expected) in [
            (&[(0, Up), (100, Down), (161, Up)][..], &[(100, 161)][..]),
            (&[(0, Up), (100, Down), (160, Up)], &[]),
            (&[(0, Up), (100, Down), (130, NeedQr), (150, Down), (200, Up)], &[(100, 200)]),
            (&[(0, Up), (100, Up), (200, Up)], &[]),
            // Nobody can say since when it was not up before the host saw it.
            (&[(0, Down), (600, Up)], &[]),
            (&[(0, NeedQr), (600, Up), (700, Down), (800, Up)], &[(700, 800)]),
            // The clock was set back.
            (&[(1000, Up), (1100, Down), (500, Up)], &[]),
            // It was ready and not connected: the gap goes on.
            (&[(0, Up), (100, Down), (170, Up), (171, Down), (300, Up)], &[(100, 170), (100, 300)]),
            (&[(0, Up), (100, Down), (130, Up), (131, Down), (170, Up)], &[(100, 170)]),
            (&[(0, Up), (100, Down), (130, Up), (145, Down), (180, Up)], &[]),
        ] {
            assert_eq!(gaps(reports).0, expected, "{reports:?}");
        }
    }

    #[test]
    fn a_link_tells_since_when_it_is_down_and_what_it_missed_last() {
        let (_, link) = gaps(&[(0, Up), (100, Down), (300, Up), (400, NeedQr), (410, Down)]);
        assert_eq!((link.state, link.down_since), (Some(Down), Some(at(400))));
        assert_eq!(link.last_gap.map(|gap| gap.seconds()), Some(200));
        assert_eq!(gaps(&[(0, Down), (5, Up)]).1.down_since, None);
    }
}
