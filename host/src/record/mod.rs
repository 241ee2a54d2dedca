//! The record of what happened: the host's own lines under `data/logs/`, one JSON object a line.
//!
//! `telemetry` writes them; `longshore logs` and `longshore trace` read them, with a host beside or without. What
//! people say is never in them.

pub mod line;
pub mod read;
pub mod select;

use std::path::{Path, PathBuf};

/// The folder of the lines, under an installation's root.
pub const FOLDER: &str = "data/logs";
/// The file that is written to. Those before it are `longshore.jsonl.1`, the newest, `.2` and so on.
pub const FILE: &str = "longshore.jsonl";
/// How many files there are at most, the one that is written to included.
pub const FILES: u64 = 8;

/// The n-th file of a folder, 0 being the one that is written to.
#[must_use]
pub fn file(folder: &Path, number: u64) -> PathBuf {
    folder.join(if number == 0 { FILE.to_owned() } else { format!("{FILE}.{number}") })
}
