//! Logs: one line an event, to stderr or to a file. What people say is never in them.

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Starts logging for the process. `RUST_LOG` in the environment wins over `level`.
pub fn start(level: LevelFilter, file: Option<File>) {
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    // A second start in one process (tests) keeps the first.
    let _ = match file {
        Some(file) => builder.with_ansi(false).with_writer(Mutex::new(file)).try_init(),
        None => builder.with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).try_init(),
    };
}
