//! Which lines somebody wants to see. Pure.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::line::{Level, LogLine};

/// Lines that somebody wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Of this group.
    pub group: Option<String>,
    /// Of the turns whose id begins so.
    pub turn: Option<String>,
    /// That matter at least so much.
    pub level: Level,
    /// Not older than this.
    pub since: Option<Timestamp>,
}

impl Select {
    /// Whether the line is one of them.
    #[must_use]
    pub fn takes(&self, line: &LogLine) -> bool {
        let of = |name: &str, takes: &dyn Fn(&str) -> bool| line.text(name).is_some_and(|text| takes(&text));
        line.level <= self.level
            && self.since.is_none_or(|since| line.time >= since)
            && self.group.as_deref().is_none_or(|group| of("group", &|text| text == group))
            && self.turn.as_deref().is_none_or(|turn| of("turn", &|text| text.starts_with(turn)))
    }
}

/// The time that somebody means: `90s`, `2h 30m` or `1d` ago, `14:30` today, `2026-01-31 14:30` or an instant.
///
/// # Errors
/// Says what can be written.
pub fn since(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    let here = now.to_zoned(zone.clone());
    let ago = || text.parse::<Span>().ok().and_then(|span| here.checked_sub(span.abs()).ok());
    let local = |time: DateTime| time.to_zoned(zone.clone()).ok();
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let time = text.parse::<Time>().ok().map(|time| here.date().to_datetime(time));
        // A time reads a date as well, and forgets it.
        let zoned = ago().or_else(|| text.parse::<DateTime>().ok().or(time).and_then(local));
        zoned.map(|zoned| zoned.timestamp())
    });
    at.ok_or_else(|| format!("`{text}` is no time: write for example `10m`, `2h 30m`, `14:30` or `2026-01-31 14:30`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_meant_as_people_write_it() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, at) in [
            ("90s", "2026-01-31T11:58:30Z"),
            ("2h 30m", "2026-01-31T09:30:00Z"),
            ("1d", "2026-01-30T12:00:00Z"),
            ("10 minutes", "2026-01-31T11:50:00Z"),
            ("12:30", "2026-01-31T11:30:00Z"),
            ("2026-01-30 14:30", "2026-01-30T13:30:00Z"),
            ("2026-01-30", "2026-01-29T23:00:00Z"),
            ("2026-01-30T14:30:00Z", "2026-01-30T14:30:00Z"),
        ] {
            assert_eq!(since(text, now, &zone), Ok(at.parse().unwrap()), "{text}");
        }
        for text in ["", "yesterday", "99999999999999y", "25:00"] {
            assert!(since(text, now, &zone).is_err(), "{text}");
        }
    }

    #[test]
    fn a_line_is_taken_by_its_own_fields_or_those_of_its_spans() {
        let line: LogLine = serde_json::from_str(
            r#"{"time":"2026-01-31T12:00:00Z","level":"info","fields":{"group":"family"},
                "spans":[{"name":"turn","fields":{"turn":"abc","group":"other"}}]}"#,
        )
        .unwrap();
        let all = Select { group: None, turn: None, level: Level::Info, since: None };
        let takes = |select: Select| select.takes(&line);
        assert!(takes(all.clone()));
        assert!(!takes(Select { level: Level::Warn, ..all.clone() }));
        for (group, turn, taken) in [
            (Some("family"), None, true),
            (Some("other"), None, false),
            (None, Some("ab"), true),
            (None, Some("b"), false),
            (Some("family"), Some("abc"), true),
        ] {
            let select = Select { group: group.map(Into::into), turn: turn.map(Into::into), ..all.clone() };
            assert_eq!(takes(select), taken, "{group:?} {turn:?}");
        }
        let since = |text: &str| Select { since: Some(text.parse().unwrap()), ..all.clone() };
        assert!(takes(since("2026-01-31T12:00:00Z")) && !takes(since("2026-01-31T12:00:01Z")));
    }
}
