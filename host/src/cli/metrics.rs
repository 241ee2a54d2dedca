//! `longshore metrics`: what the running host counts.

use std::path::Path;

use anyhow::bail;

use super::{Ending, say};
use crate::control::client::Client;
use crate::control::{Request, Response};

/// Prints the same text as `GET /metrics`.
pub(super) async fn metrics(root: &Path) -> anyhow::Result<Ending> {
    let mut client = Client::connect(root).await?;
    client.send(&Request::Metrics).await?;
    match client.next().await? {
        Response::Metrics { text } => say(text.trim_end())?,
        Response::Error { message } => bail!("{message}"),
        other => bail!("the host answered {other:?}"),
    }
    Ok(Ending::Done)
}
