//! `longshore stop`: ends what a group's agent is doing.

use std::path::Path;

use anyhow::bail;
use clap::Args;

use super::{Ending, say};
use crate::control::client::Client;
use crate::control::{Request, Response, Stopped};

/// Arguments of `longshore stop`.
#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// The group's folder or name.
    group: String,
}

pub(super) async fn stop(args: StopArgs, root: &Path) -> anyhow::Result<Ending> {
    let mut client = Client::connect(root).await?;
    client.send(&Request::Stop { group: args.group.clone() }).await?;
    let stopped = match client.next().await? {
        Response::Stopped { stopped } => stopped,
        Response::Error { message } => bail!("{message}"),
        other => bail!("the host answered {other:?}"),
    };
    match stopped {
        Stopped::Running => say(&format!("The turn of `{}` is stopping; its chat is told.", args.group))?,
        Stopped::Waiting => say(&format!("What waited in `{}` is stopped; its chat was told.", args.group))?,
        Stopped::Nothing => {
            say(&format!("Nothing runs or waits in `{}`.", args.group))?;
            return Ok(Ending::Failed);
        }
    }
    Ok(Ending::Done)
}
