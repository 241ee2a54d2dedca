//! `longshore run`: the host.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::chat::{self, ChatArgs};
use super::{Ending, note};
use crate::app::{self, App, Options};
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::Operator;
use crate::stop::Stop;
use crate::supervisor::{Supervisor, supervised};
use crate::telemetry;

/// Where the log goes while a chat has the terminal, under the root.
const LOG: &str = "data/host.log";

/// Arguments of `longshore run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Let a stand-in answer instead of the models; `auto`: when .env has no credential.
    #[arg(long, value_name = "WHEN", num_args = 0..=1, default_value = "never", default_missing_value = "always")]
    rehearsal: When,
    /// Open a chat with this group in this terminal; the log goes to data/host.log, and the host ends with the chat.
    #[arg(long, value_name = "GROUP")]
    chat: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Always,
    Auto,
    Never,
}

pub(super) async fn run(args: RunArgs, root: PathBuf) -> anyhow::Result<Ending> {
    app::check(&root)?;
    let config = load(&root)?;
    let log = match &args.chat {
        Some(_) => Some(open_log(&root)?),
        None => None,
    };
    let telemetry = telemetry::start(&config.log, config.otlp_endpoint.as_ref(), log, &root);
    let ending = serve(args, config, root).await;
    telemetry.close().await;
    ending
}

async fn serve(args: RunArgs, config: Config, root: PathBuf) -> anyhow::Result<Ending> {
    for warning in &config.warnings {
        tracing::warn!(%warning, ".env");
    }
    let no_credentials = config.claude.credential.is_none() && config.codex.api_key.is_none();
    let rehearsal = match args.rehearsal {
        When::Always => true,
        When::Auto => no_credentials,
        When::Never => false,
    };
    if no_credentials && !rehearsal {
        tracing::warn!("no credential in .env: no model can be asked; add one, or use --rehearsal");
    }
    if rehearsal && args.chat.is_some() {
        note("Rehearsal: a stand-in answers, no model is asked. Put a credential into .env for the real thing.");
    }
    let runtime = Arc::new(super::engine());
    let options = Options {
        root: root.clone(),
        program: std::env::current_exe().context("where this program is")?,
        config,
        rehearsal,
        runtime,
        operator: Operator::of_environment(),
        clock: Clock::system(),
    };
    // Before anybody can know that the host is there, and stop it.
    let (stop, restart) = (Stop::new(), Stop::new());
    tokio::spawn(follow(Signals::listen()?, stop.clone(), restart.clone()));
    let app = App::start(options).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), root = %root.display(), "ready");
    tokio::spawn(supervised(Supervisor::of_environment(), app.life.clone()));
    let Some(group) = args.chat else {
        return app.run(stop, restart).await.map(|()| Ending::Done);
    };
    let host = tokio::spawn(app.run(stop.clone(), restart));
    let ending = chat::chat(ChatArgs::interactive(group), &root).await;
    stop.cancel();
    host.await.context("the host panicked")??;
    ending
}

fn load(root: &Path) -> anyhow::Result<Config> {
    match Config::load(root) {
        Ok(config) => Ok(config),
        Err(problems) => {
            for problem in &problems {
                note(&format!("longshore: {problem}"));
            }
            bail!("the settings cannot be used; correct `{}`", root.join(".env").display())
        }
    }
}

fn open_log(root: &Path) -> anyhow::Result<File> {
    let path = root.join(LOG);
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("the log `{}` cannot be opened; run `longshore init` first", path.display()))
}

/// What ends a host from outside.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be caught");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }
}

/// The first signal drains, the second kills. SIGTERM is what service managers send, to restart as well: another
/// host may come. Ctrl-C is a person's, who means the end.
async fn follow(mut signals: Signals, stop: Stop, restart: Stop) {
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => restart.cancel(),
        }
        if stop.is_cancelled() {
            tracing::warn!("second signal: ending at once; running turns are recovered at the next start");
            std::process::exit(130);
        }
        stop.cancel();
    }
}
