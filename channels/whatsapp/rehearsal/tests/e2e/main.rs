//! The real adapter as a child process, the test as its host, the fake server as WhatsApp, and another client
//! as a person: conversations, faults, ends.
#![expect(clippy::unwrap_used, reason = "in a test's own helpers a panic is the message")]

mod baileys;
mod chain;
mod ends;
mod faults;
mod linking;
mod offline;
mod rig;
mod shipped;
mod talk;
