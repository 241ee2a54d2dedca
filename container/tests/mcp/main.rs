//! `longshore-agent mcp` as a CLI on one side and the host on the other see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

mod harness;
mod petitions;
mod protocol;
mod trouble;
