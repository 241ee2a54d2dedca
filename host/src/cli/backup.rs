//! `longshore backup` and `longshore restore`: copies of the database.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Ending, note, say};
use crate::app;
use crate::clock::Clock;
use crate::store;
use crate::store::backup::{self, Copied};

/// Arguments of `longshore backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where to; the file must not exist.
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

/// Arguments of `longshore restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file that `longshore backup` made.
    file: PathBuf,
}

pub(super) fn back_up(args: &BackupArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let copied = backup::back_up(&root.join(store::FILE), &args.file, args.force).context("no backup was made")?;
    say(&format!("backed up {} to {}", render(&copied), args.file.display()))?;
    note("not in it, to be kept as well: `.env`, `data/registered_groups.json`, `data/login/` and `groups/`");
    Ok(Ending::Done)
}

pub(super) fn restore(args: &RestoreArgs, root: &Path) -> anyhow::Result<Ending> {
    // Held until the end: no host and no other command writes meanwhile.
    let _lock = app::lock(root)?;
    let database = root.join(store::FILE);
    let restored = backup::restore(&args.file, &database, Clock::system().now()).context("nothing was restored")?;
    say(&format!("restored {} from {}", render(&restored.copied), args.file.display()))?;
    if restored.is_older {
        say("it is of an older release: the next `longshore run` brings it up to date")?;
    }
    if let Some(previous) = restored.previous {
        say(&format!("the database that was there before is kept as {}", previous.display()))?;
    }
    Ok(Ending::Done)
}

fn render(copied: &Copied) -> String {
    let Copied { bytes, messages, schema } = copied;
    let mib = *bytes as f64 / f64::from(1 << 20);
    format!("{messages} messages (schema {schema}, {mib:.1} MiB)")
}
