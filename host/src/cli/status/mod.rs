//! `longshore status`: how an installation is, with a host or without one.

mod down;
pub(super) mod page;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use self::page::page;
use super::paint::Paint;
use super::{Ending, print, say};
use crate::app;
use crate::clock::Clock;
use crate::control::activity::HostState;
use crate::control::client::Client;
use crate::control::{Request, Response, Status};

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `longshore status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: &StatusArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let status = look(root).await;
    if args.json {
        say(&serde_json::to_string_pretty(&status)?)?;
    } else {
        let text = page(&status, root, Clock::system().now(), Paint::of_stdout());
        print(text.trim_end())?;
    }
    Ok(match status.state {
        HostState::Running => Ending::Done,
        HostState::Silent => Ending::Failed,
        HostState::Down => Ending::Down,
    })
}

/// How the installation is: what its host says, or else what its files do.
pub(super) async fn look(root: &Path) -> Status {
    match tokio::time::timeout(PATIENCE, ask(root)).await {
        Ok(Ok(status)) => *status,
        Ok(Err(Unanswered::Nobody)) => down::look(root, None).await,
        Ok(Err(Unanswered::Problem(problem))) => down::look(root, Some(problem)).await,
        Err(_) => down::look(root, Some(format!("it gave no answer in {} s", PATIENCE.as_secs()))).await,
    }
}

/// Why a host did not answer.
enum Unanswered {
    /// There is none.
    Nobody,
    /// There is something.
    Problem(String),
}

async fn ask(root: &Path) -> Result<Box<Status>, Unanswered> {
    let Ok(mut client) = Client::connect(root).await else {
        // Whoever holds the lock is a host, or a command that changes the store for a moment.
        return Err(match app::lock(root) {
            Ok(_) => Unanswered::Nobody,
            Err(_) => Unanswered::Problem("it has no control socket, or starts or stops just now".into()),
        });
    };
    let problem = |error: anyhow::Error| Unanswered::Problem(format!("{error:#}"));
    client.send(&Request::Status).await.map_err(problem)?;
    match client.next().await.map_err(problem)? {
        Response::Status(status) => Ok(status),
        Response::Error { message } => Err(Unanswered::Problem(message)),
        _ => Err(Unanswered::Problem("it answered something else; is it of another release?".into())),
    }
}

pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}
