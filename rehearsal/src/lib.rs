//! A stand-in for both model APIs, scriptable from the message text, so that Longshore can be tried and tested with the
//! real CLIs and without an account: OpenAI's Responses API for `codex`, Anthropic's Messages API for `claude`.
//!
//! A person writes `#rehearse shell date` in the chat and the "model" runs that; [`script::VERBS`] lists what it can do.
//! Without a script it says back what it heard. It listens on loopback only and takes any credential but the words
//! `expired` and `wrong`, which are answered as the vendors answer such ones.
//!
//! [`script`], [`responses`] and [`messages`] are pure; [`server`] does the sending, sleeping, cutting and hanging.

pub mod answer;
pub mod endpoint;
pub mod messages;
pub mod prompt;
pub mod record;
pub mod responses;
pub mod script;
pub mod server;
pub mod token;

pub use record::RecordedRequest;
pub use server::Rehearsal;
