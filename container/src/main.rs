//! `longshore-agent`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use longshore_agent::link;
use longshore_agent::mcp::{self, Audience};
use longshore_agent::serve::{self, Broker, Options};
use longshore_protocol::paths;

/// The agent runner inside a group's container.
#[derive(Parser)]
#[command(name = "longshore-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run turns: one JSON command a line on stdin, one JSON event a line on stdout.
    Serve {
        /// Loopback port that leads to the broker; 0 takes any free one.
        #[arg(long, hide = true, default_value_t = paths::BRIDGE_PORT)]
        bridge_port: u16,
        /// The broker's socket.
        #[arg(long, hide = true, default_value = paths::BROKER_SOCKET)]
        broker_socket: PathBuf,
        /// Reach the broker by a link under this name, in place of its socket.
        #[arg(long, hide = true)]
        link: Option<String>,
        /// The agent's working directory.
        #[arg(long, hide = true, default_value = paths::GROUP)]
        directory: PathBuf,
    },
    /// Carry the runner's connections to the host on stdin and stdout.
    Link {
        /// The name under which the runner waits.
        #[arg(hide = true, default_value = link::NAME)]
        name: String,
    },
    /// Give the agent the host's tools: the Model Context Protocol on stdin and stdout.
    Mcp {
        /// Offer what only the main group may do, too.
        #[arg(long)]
        main: bool,
        /// The mailbox.
        #[arg(long, hide = true, default_value = paths::IPC)]
        ipc: PathBuf,
        /// How long a tool waits for the host's answer.
        #[arg(long, hide = true, default_value_t = mcp::ANSWER_LIMIT.as_secs())]
        answer_limit_seconds: u64,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Serve { bridge_port, broker_socket, link, directory } => {
            // In the container's environment, which outlives every host.
            let told = std::env::var_os(paths::LINK_VARIABLE).is_some_and(|value| value == paths::LINK_EXEC);
            let link = link.or_else(|| told.then(|| link::NAME.to_owned()));
            let broker = link.map_or(Broker::Socket(broker_socket), Broker::Link);
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            let home = home.map_or_else(|| PathBuf::from(paths::HOME), PathBuf::from);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let served = runtime.block_on(serve::serve(Options { bridge_port, broker, directory, home }));
            // A blocking file operation that hangs must not hold up the end.
            runtime.shutdown_background();
            served
        }
        Command::Link { name } => Ok(link::join(&name)?),
        Command::Mcp { main, ipc, answer_limit_seconds } => {
            let audience = if main { Audience::Main } else { Audience::Group };
            let limit = Duration::from_secs(answer_limit_seconds);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let served = runtime.block_on(mcp::serve(mcp::Options { audience, ipc, limit }));
            // A shared folder that hangs must not hold up the end.
            runtime.shutdown_background();
            served
        }
    }
}
