//! The outbox, through the running host or, where none runs, in the store.

use std::path::Path;

use anyhow::bail;

use crate::app;
use crate::cli::registered::registered;
use crate::clock::Clock;
use crate::control::client::Client;
use crate::control::{Request, Response};
use crate::deliver::desk::{OutboxCommand, OutboxDesk, OutboxReply};
use crate::store::{self, Store};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The running host: delivery knows of it.
    Host,
    /// This command, in the store: the next host knows of it.
    Store,
}

/// Has it done, by whoever can.
pub(super) async fn ask(root: &Path, command: OutboxCommand) -> anyhow::Result<(OutboxReply, By)> {
    if let Ok(mut client) = Client::connect(root).await {
        return Ok((ask_host(&mut client, command).await?, By::Host));
    }
    // Held until the end: a host that starts meanwhile waits for nothing and says why.
    let _lock = app::lock(root)?;
    let groups = registered(root)?.groups;
    let store = Store::open(&root.join(store::FILE))?;
    let desk = OutboxDesk { store, groups: groups.into(), outbound: None, now: Clock::system().now() };
    let served = desk.serve(command).await.map_err(anyhow::Error::msg)?;
    Ok((served.reply, By::Store))
}

/// Has it done by the host.
pub(super) async fn ask_host(client: &mut Client, command: OutboxCommand) -> anyhow::Result<OutboxReply> {
    client.send(&Request::Outbox { command }).await?;
    match client.next().await? {
        Response::Outbox { reply } => Ok(reply),
        Response::Error { message } => bail!(message),
        _ => bail!("the host answered something else; is it of another release?"),
    }
}
