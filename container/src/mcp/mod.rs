//! `longshore-agent mcp`: the tools by which the agent asks the host for something.
//!
//! A CLI starts it and speaks the Model Context Protocol over its stdin and stdout. Every tool but
//! `list_tasks` writes a [petition](longshore_protocol::ipc::Petition) and waits for the host's answer:
//! a tool says that something was done only when the host has said so. Arguments are checked before
//! anything is written. The host decides what is allowed; that a tool is not offered is a courtesy.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;

use crate::mailbox::Mailbox;

pub mod arguments;
pub mod schema;
pub mod tools;
pub mod words;

pub use self::tools::Tools;

/// The server's name, which the CLIs make part of each tool's name.
pub const SERVER: &str = "longshore";
/// How long a tool waits for the host, unless told otherwise.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Whose tools they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A group's.
    Group,
    /// The main group's, which has more of them.
    Main,
}

/// What the server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose tools they are.
    pub audience: Audience,
    /// The mailbox: holds `messages`, `tasks`, `answers` and `current_tasks.json`.
    pub ipc: PathBuf,
    /// How long a tool waits for the host.
    pub limit: Duration,
}

/// Serves on stdin and stdout until stdin ends.
///
/// # Errors
/// What came first was not the protocol's beginning, or stdout is closed.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let mailbox = Mailbox::new(options.ipc.clone(), options.limit);
    let tools = Tools::new(options.audience, mailbox, options.ipc.join("current_tasks.json"));
    let running = match tools.serve(rmcp::transport::stdio()).await {
        // Whoever started it went away without a word.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        begun => begun.context("the conversation did not begin")?,
    };
    running.waiting().await.context("the server broke off")?;
    Ok(())
}
