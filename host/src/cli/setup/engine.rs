//! The engine and the agent image.

use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use super::terminal::confirm;
use super::{Asking, ImageWish};
use crate::cli::doctor::findings::advice;
use crate::cli::{engine, image, say};
use crate::container::image::pull::pull;
use crate::container::{ContainerRuntime, RuntimeError};

/// How long the engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The image that this program can make.
const USUAL: &str = "longshore-agent:latest";

/// The engine answers, or it is said what to do.
pub(super) async fn check(asking: Asking) -> anyhow::Result<()> {
    loop {
        let reason = match tokio::time::timeout(PATIENCE, engine().describe()).await {
            Ok(Ok(found)) => {
                let cgroup = found.cgroup.map(|version| format!(", cgroup v{version}")).unwrap_or_default();
                let rootless = if found.rootless { ", rootless" } else { "" };
                say(&format!("engine    {}{cgroup}{rootless}", found.name))?;
                if found.maps_users {
                    say("          it maps user ids: `longshore doctor` says what that means for the groups' folders")?;
                }
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the container engine does not answer: no reply in {} s", PATIENCE.as_secs()),
        };
        let (next, _) = advice(&reason);
        if asking == Asking::Nobody {
            bail!("{reason}; {next}");
        }
        say(&format!("engine    {reason}\n          {next}"))?;
        if !tokio::task::block_in_place(|| confirm("Try again?", true))? {
            bail!("{reason}");
        }
    }
}

/// The agent image is there: it was, or it is pulled or made. False when it is not, as was wished.
pub(super) async fn image(reference: &str, wish: ImageWish, asking: Asking) -> anyhow::Result<bool> {
    let runtime = engine();
    let problem = match runtime.image(reference).await {
        Ok(found) => {
            let version = |version: Option<String>| version.unwrap_or_else(|| "?".into());
            let (claude, codex) = (version(found.claude), version(found.codex));
            say(&format!("image     `{reference}` with claude {claude} and codex {codex}"))?;
            return Ok(true);
        }
        Err(error @ (RuntimeError::ImageMissing { .. } | RuntimeError::ImageProtocol { .. })) => error,
        Err(error) => return Err(error.into()),
    };
    let ours = reference == USUAL;
    let question = match ours {
        true => "Make the agent image now? It takes some minutes and 1 GB.",
        false => "Pull it now?",
    };
    say(&format!("image     {problem}"))?;
    let wanted = match (wish, asking) {
        (ImageWish::Keep, _) => false,
        (ImageWish::Make, _) | (ImageWish::Ask, Asking::Nobody) => true,
        (ImageWish::Ask, Asking::Person) => tokio::task::block_in_place(|| confirm(question, true))?,
    };
    if !wanted {
        return Ok(false);
    }
    if ours {
        image::build(image::BuildArgs::usual()).await?;
    } else {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        let pulled = pull(&runtime.client()?, reference, &mut |line| bar.set_message(line.to_owned())).await;
        bar.finish_and_clear();
        pulled.with_context(|| format!("`{reference}` cannot be pulled; correct `CONTAINER_IMAGE` in `.env`"))?;
    }
    runtime.image(reference).await.context("the image that is there now cannot be used")?;
    say(&format!("image     `{reference}` is there"))?;
    Ok(true)
}
