//! The WhatsApp channel: a child process of the host that speaks adapter lines on stdin and stdout.
//!
//! What comes in: [`hook`] takes a message from the platform, [`map`] turns it into a line, and the platform
//! is told that it was received once the host has acknowledged the line. What goes out: a `send` line waits in
//! [`outbox`] for its turn by [`pace`], leaves as [`markup`] under the host's own message id, and is answered
//! when the server has confirmed it. [`serve`] joins both; [`link`] and [`account`] are for the operator.
//!
//! One account has one folder, and one process at a time uses it ([`data`]).

pub mod account;
mod cli;
pub mod data;
mod dial;
pub mod hook;
pub mod host;
pub mod link;
pub mod map;
pub mod markup;
pub mod news;
pub mod outbox;
pub mod pace;
pub mod recent;
pub mod serve;
pub mod session;
pub mod typing;

pub use self::cli::main;
