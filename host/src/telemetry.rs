//! Logs: one line an event, to stderr or to a file. What people say is never in them.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::IsTerminal;
use std::sync::Mutex;

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};

/// Starts logging for the process. `RUST_LOG` in the environment wins over `level`.
pub fn start(level: LevelFilter, file: Option<File>) {
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let fields = format::debug_fn(field).delimited(" ");
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).fmt_fields(fields);
    // A second start in one process (tests) keeps the first.
    let _ = match file {
        Some(file) => builder.with_ansi(false).with_writer(Mutex::new(file)).try_init(),
        None => builder.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).try_init(),
    };
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
