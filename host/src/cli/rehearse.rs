//! `longshore rehearse`: the stand-in for both model APIs, alone.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use longshore_rehearsal::Rehearsal;

use super::{Ending, say};

/// Arguments of `longshore rehearse`.
#[derive(Debug, Args)]
pub(super) struct RehearseArgs {
    /// Where to listen; a loopback address.
    #[arg(long, default_value = "127.0.0.1:7410", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

pub(super) async fn rehearse(args: &RehearseArgs) -> anyhow::Result<Ending> {
    let rehearsal =
        Rehearsal::start(args.listen).await.with_context(|| format!("cannot listen on `{}`", args.listen))?;
    say(&format!(
        "Standing in for both model APIs; no model is asked.\n\n  ANTHROPIC_BASE_URL={}\n  OPENAI_BASE_URL={}\n\nCtrl-C ends it.",
        rehearsal.anthropic_base(),
        rehearsal.openai_base()
    ))?;
    tokio::signal::ctrl_c().await?;
    rehearsal.stop().await;
    Ok(Ending::Done)
}
