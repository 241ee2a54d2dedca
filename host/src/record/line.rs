//! One line of the record. Pure.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields by name, in the order in which they were written.
pub type Fields = Map<String, Value>;

/// Something that happened. Readers take no offence at fields that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in UTC with microseconds.
    #[serde(with = "instant")]
    pub time: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// The module that says it.
    #[serde(default)]
    pub target: String,
    /// What happened.
    #[serde(default)]
    pub message: String,
    /// What it is about. `step` marks a step of a message's way, which `longshore trace` shows.
    #[serde(default)]
    pub fields: Fields,
    /// What it happened in, the outermost first.
    #[serde(default)]
    pub spans: Vec<LogSpan>,
}

/// Something that takes time and in which other things happen: a turn, a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogSpan {
    /// Its kind: `channel`, `turn`, `container`, `deliver`, `petition`, `schedule` or `reload`.
    pub name: String,
    /// What it is about.
    #[serde(default)]
    pub fields: Fields,
}

/// How much a line matters, in falling order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is broken and somebody has to look.
    Error,
    /// Something went wrong and is seen to.
    Warn,
    /// What an operator likes to know.
    Info,
    /// Each step.
    Debug,
    /// More than is kept; never in the record.
    Trace,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

impl LogLine {
    /// A field of the line, or else of the innermost span that has it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).or_else(|| self.spans.iter().rev().find_map(|span| span.fields.get(name)))
    }

    /// The same as text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.field(name).map(text)
    }

    /// The same as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.field(name).and_then(Value::as_i64)
    }
}

/// A value as people read it.
#[must_use]
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{time:.6}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        std::borrow::Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"time":"2026-01-31T12:00:00.123456Z","level":"info","target":"longshore::turn","message":"turn settled","fields":{"elapsed_ms":812},"spans":[{"name":"turn","fields":{"turn":"t1","group":"family"}}]}"#;

    #[test]
    fn a_line_is_written_as_it_was_read() {
        let line: LogLine = serde_json::from_str(LINE).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), LINE);
        assert_eq!((line.text("group").as_deref(), line.number("elapsed_ms")), (Some("family"), Some(812)));
    }

    #[test]
    fn what_a_later_release_adds_is_no_mistake() {
        let line: LogLine =
            serde_json::from_str(r#"{"time":"2026-01-31T12:00:00Z","level":"warn","new":[1]}"#).unwrap();
        assert_eq!((line.level, line.message.as_str()), (Level::Warn, ""));
    }

    proptest! {
        #[test]
        fn whatever_is_said_stays_on_one_line(message: String, field: String) {
            let mut line: LogLine = serde_json::from_str(LINE).unwrap();
            line.message = message;
            line.fields.insert("said".into(), field.into());
            let written = serde_json::to_string(&line).unwrap();
            prop_assert!(!written.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<LogLine>(&written).unwrap(), line);
        }
    }
}
