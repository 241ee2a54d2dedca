//! Logs: one line an event, to stderr or to a file, and as JSON to the record (`crate::record`). What people say
//! is never in them.

mod fields;
mod file;
mod floods;
mod lines;
mod otlp;

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::file::Queue;
use self::lines::Lines;
use self::otlp::Otlp;
use crate::clock::Clock;
use crate::config::{BaseUrl, LogSettings};
use crate::record;

/// Where the process logs to; what is not written yet is written when it is dropped.
#[must_use]
pub struct Telemetry {
    queue: Option<Queue>,
    otlp: Option<Otlp>,
}

impl Telemetry {
    /// Sends the last spans, if that goes in a moment.
    pub async fn close(self) {
        if let Some(otlp) = &self.otlp {
            otlp.flush().await;
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.end();
        }
    }
}

/// Starts logging for the process: to `terminal`, or else to stderr, and to the record of the installation.
/// `RUST_LOG` in the environment wins over the level of the former. A record that cannot be opened stops nothing.
/// Spans go to `collector`, if one is named; then there has to be a tokio runtime.
pub fn start(settings: &LogSettings, collector: Option<&BaseUrl>, terminal: Option<File>, root: &Path) -> Telemetry {
    let filter = EnvFilter::builder().with_default_directive(settings.level.into()).from_env_lossy();
    let fields = format::debug_fn(field).delimited(" ");
    let shown = tracing_subscriber::fmt::layer().with_target(false).fmt_fields(fields);
    let shown: Box<dyn Layer<Registry> + Send + Sync> = match terminal {
        Some(file) => shown.with_ansi(false).with_writer(Mutex::new(file)).with_filter(filter).boxed(),
        None => {
            let colour = std::io::stderr().is_terminal();
            shown.with_ansi(colour).with_writer(std::io::stderr).with_filter(filter).boxed()
        }
    };
    let mut layers = vec![shown];
    let mut queue = None;
    let mut refused = None;
    if settings.record_level != LevelFilter::OFF {
        match Queue::open(&root.join(record::FOLDER), settings.record_bytes, lines::lost) {
            Ok(opened) => {
                let lines = Lines { queue: opened.clone(), clock: Clock::system(), floods: Mutex::default() };
                layers.push(lines.with_filter(recorded(settings.record_level)).boxed());
                queue = Some(opened);
            }
            Err(error) => refused = Some(error),
        }
    }
    let otlp = collector.map(otlp::start);
    let mut unsent = None;
    let otlp = match otlp {
        Some(Ok((spans, otlp))) => {
            layers.push(spans.with_filter(recorded(LevelFilter::DEBUG)).boxed());
            Some(otlp)
        }
        Some(Err(error)) => {
            unsent = Some(error);
            None
        }
        None => None,
    };
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    if let Some(error) = refused {
        tracing::warn!(%error, folder = record::FOLDER, "no record is kept: its files cannot be written");
    }
    if let Some(error) = unsent {
        tracing::warn!(error, "no spans are sent: the collector cannot be used");
    }
    Telemetry { queue, otlp }
}

/// Ours up to `level`; of others what is wrong.
fn recorded(level: LevelFilter) -> Targets {
    let ours = ["longshore", "longshore_link", "longshore_protocol", "longshore_rehearsal", "adapter"];
    ours.into_iter()
        .fold(Targets::new().with_default(level.min(LevelFilter::WARN)), |all, target| all.with_target(target, level))
}

/// One field, on one line whatever is in it: what a container says of itself must not look like an event of
/// ours, nor order a terminal about.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{field}=")?;
    }
    write!(OneLine(writer), "{value:?}")
}

/// Writes control characters as Rust writes them.
struct OneLine<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            control if control.is_control() => write!(self.0, "{}", control.escape_default()),
            plain => self.0.write_char(plain),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_logged_stays_on_its_line() {
        let mut line = String::new();
        let said = "x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{9b}2J \"ü\"";
        write!(OneLine(&mut line), "{said}").unwrap();
        assert_eq!(line, r#"x\n2026-01-01T00:00:00Z ERROR forged\r\u{1b}[2J\u{9b}2J "ü""#);
    }
}
