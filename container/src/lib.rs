//! `longshore-agent`: runs turns inside a group's container.
//!
//! The host writes one [`RunnerCommand`](longshore_protocol::RunnerCommand) a line and reads one
//! [`RunnerEvent`](longshore_protocol::RunnerEvent) a line. Invariants: `ready` is the first line, a turn
//! has exactly one terminal event, only [`emit`] writes stdout, whatever a CLI prints is read at once and
//! held in bounded memory, and no process outlives a stopped turn.
//!
//! Started as [`mcp`] it is another program, the server that gives the agent the host's tools; and as
//! [`link`] a third, which the host starts to reach the runner's bridge.

pub mod bridge;
pub mod cgroup;
pub mod child;
pub mod clock;
pub mod commands;
pub mod emit;
pub mod family;
pub mod link;
pub mod mailbox;
pub mod mcp;
pub mod memory;
pub mod provider;
pub mod queue;
pub mod regular;
pub mod run;
pub mod serve;
