//! `longshore-agent serve` as the host sees it, with scripts in the place of the CLIs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

mod claude;
mod codex;
mod harness;
mod lines;
mod link;
mod processes;
