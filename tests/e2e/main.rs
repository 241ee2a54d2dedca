//! End to end: one file per section of `docs/SPEC.md`, all in one binary.
//!
//! These tests need a container engine and the agent image; `make test` provides both. Without them
//! they fail: a test that does not run proves nothing.

mod allowlists;
mod architecture;
mod backup;
mod channels;
mod chaos;
mod chat;
mod choosing;
mod credentials;
mod delivery;
mod doctor;
mod egress;
mod engine;
mod faults;
mod groups;
mod guides;
mod import;
mod letters;
mod link;
mod login;
mod otlp;
mod redteam;
mod residents;
mod routing;
mod sealed;
mod security;
mod service;
mod setup;
mod stopping;
mod tasks;
mod top;
mod trace;
mod transcripts;
mod usage;
mod watching;
