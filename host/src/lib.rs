//! The Longshore host: routes chat messages to agents in containers and their answers back.
//!
//! Modules stand in the order in which data flows. `docs/ARCHITECTURE.md` is the map.

pub mod app;
pub mod broker;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod container;
pub mod control;
pub mod deliver;
pub mod follow;
pub mod groups;
pub mod import;
pub mod intake;
pub mod ipc;
pub mod memory;
pub mod metrics;
pub mod operator;
pub mod phrases;
pub mod queue;
pub mod record;
pub mod reload;
pub mod route;
pub mod schedule;
pub mod senders;
pub mod socket;
pub mod stop;
pub mod store;
pub mod strict;
pub mod supervisor;
pub mod telemetry;
pub mod trace;
pub mod transcript;
pub mod turn;
pub mod upkeep;
pub mod usage;
