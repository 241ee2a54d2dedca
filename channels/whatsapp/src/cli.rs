//! The command line.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::data::Data;
use crate::link::LinkArgs;
use crate::pace::Limits;
use crate::serve::{Settings, serve};
use crate::session::Endpoint;
use crate::{account, link};

/// What is logged unless `RUST_LOG` says otherwise. The library's own log is for its authors.
const LOG: &str = "error,longshore_whatsapp=info";

/// The WhatsApp channel of Longshore. Without a command it speaks adapter lines with the host that started it.
#[derive(Debug, Parser)]
#[command(name = "longshore-whatsapp", version, propagate_version = true)]
struct Cli {
    /// The account's folder: its keys and what was said lately.
    #[arg(long, global = true, env = "LONGSHORE_DATA", default_value = "data/whatsapp", value_name = "DIR")]
    data: PathBuf,
    /// The least time between two messages of one chat, in milliseconds.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    chat_gap: u64,
    /// The most messages in a minute, over all chats.
    #[arg(long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=600_000))]
    per_minute: u32,
    #[cfg(feature = "rehearsal")]
    #[command(flatten)]
    rehearsal: Rehearsal,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where a rehearsal's server is. This build does not check who the server is, so it talks to none but one
/// on this machine.
#[cfg(feature = "rehearsal")]
#[derive(Debug, clap::Args)]
struct Rehearsal {
    /// `ws://127.0.0.1:PORT/ws/chat`
    #[arg(long, global = true, hide = true, required = false)]
    server: Option<String>,
    /// What to call ourselves.
    #[arg(long, global = true, hide = true, default_value = "2,3000,1023000000")]
    wa_version: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Link a WhatsApp account, by a QR code or a code to type on the phone.
    Link(LinkArgs),
    /// Show which account is linked.
    Status,
    /// List the groups that the account is in.
    Groups(account::GroupsArgs),
    /// Remove the link, here and on the phone.
    Unlink,
}

/// How long what still runs beside may take to end.
const END: Duration = Duration::from_millis(200);

/// Parses the arguments and does what they say. Exit status: 0 done, 1 failed, 2 wrong arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // The host adds its own.
        .without_time()
        .init();
    let done = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let done = runtime.block_on(cli.run());
        // A read of stdin cannot be interrupted, and is not waited for.
        runtime.shutdown_timeout(END);
        done
    });
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "longshore-whatsapp: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<ExitCode> {
        use anyhow::Context as _;
        let endpoint = self.endpoint()?;
        let data =
            Data::open(&self.data).with_context(|| format!("the folder `{}` cannot be used", self.data.display()))?;
        let limits = Limits { chat_gap: Duration::from_millis(self.chat_gap), per_minute: self.per_minute };
        match self.command {
            None => {
                let channel = std::env::var("LONGSHORE_CHANNEL").unwrap_or_else(|_| "whatsapp".to_owned());
                return serve(Settings { channel, endpoint, limits }, data).await;
            }
            Some(Command::Link(args)) => link::link(args, &endpoint, &data).await?,
            Some(Command::Status) => account::status(&data)?,
            Some(Command::Groups(args)) => account::groups(args, &endpoint, &data).await?,
            Some(Command::Unlink) => account::unlink(&endpoint, &data).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    #[cfg(not(feature = "rehearsal"))]
    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        Ok(Endpoint::Platform)
    }

    #[cfg(feature = "rehearsal")]
    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let url = self.rehearsal.server.clone().filter(|url| is_local(url));
        let Some(url) = url else {
            anyhow::bail!("this build is for rehearsals: it needs `--server ws://127.0.0.1:PORT/ws/chat`");
        };
        let numbers: Vec<u32> = self.rehearsal.wa_version.split(',').filter_map(|number| number.parse().ok()).collect();
        let [first, second, third] = numbers[..] else { anyhow::bail!("`--wa-version` is not `2,3000,N`") };
        Ok(Endpoint::Rehearsal { url, version: (first, second, third) })
    }
}

/// Whether an address is on this machine, whatever follows the host's name.
#[cfg(feature = "rehearsal")]
fn is_local(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("ws://127.0.0.1:") else { return false };
    let port = rest.split('/').next().unwrap_or_default();
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[cfg(feature = "rehearsal")]
    #[test]
    fn a_rehearsal_never_leaves_the_machine() {
        assert!(is_local("ws://127.0.0.1:4000/ws/chat"));
        for url in [
            "wss://web.whatsapp.com/ws/chat",
            "ws://127.0.0.1:4000@web.whatsapp.com/",
            "ws://127.0.0.1:@web.whatsapp.com/",
            "ws://127.0.0.1.example.com:80/",
            "ws://localhost:1/",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
