//! `longshore update`: newer releases of the CLIs in the agent image.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use longshore_protocol::ProviderKind;

use super::image::Display;
use super::table::table;
use super::{Ending, note, say};
use crate::app;
use crate::config::{BaseUrl, Config};
use crate::container::image::recipe::{Flavour, Recipe};
use crate::container::image::runner::{Runner, candidates};
use crate::container::image::{self, Freshness};
use crate::container::{ContainerRuntime, RuntimeError};
use crate::update::registry::newest;
use crate::update::rehearse::{Verdict, rehearse};
use crate::update::versions::{Release, package};

/// What a new image is called until it has been rehearsed.
const CANDIDATE: &str = "longshore-agent:candidate";

/// Arguments of `longshore update`.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(subcommand)]
    command: UpdateCommand,
    /// The npm registry that is asked [default: the one in `.env`, or npm's own]
    #[arg(long, global = true, env = "NPM_CONFIG_REGISTRY", hide_env_values = true, value_name = "URL")]
    registry: Option<BaseUrl>,
}

#[derive(Debug, Subcommand)]
enum UpdateCommand {
    /// Compare the versions in the agent image with the newest ones, and change nothing.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Build an image with the newest versions, rehearse a turn of each provider in it, and only then make it the agent image. A running host changes over within a minute, group by group.
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
struct ApplyArgs {
    /// Take this release of claude in place of the newest
    #[arg(long, value_name = "VERSION")]
    claude_version: Option<String>,
    /// Take this release of codex in place of the newest
    #[arg(long, value_name = "VERSION")]
    codex_version: Option<String>,
    /// Take this image, which is there, in place of building one
    #[arg(long, value_name = "NAME:TAG", conflicts_with_all = ["claude_version", "codex_version", "agent"])]
    image: Option<String>,
    /// The statically linked longshore-agent to put in [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

pub(super) async fn update(args: UpdateArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let config = Config::load(root).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("`.env` has problems: {}", problems.join("; "))
    })?;
    let tag = config.container_image;
    let registry = args.registry.or(config.updates.registry).unwrap_or_else(BaseUrl::npm);
    match args.command {
        UpdateCommand::Check { json } => check(&registry, &tag, json).await,
        UpdateCommand::Apply(apply) => match &apply.image {
            Some(image) => make_current(root, image, &tag).await,
            None => build(root, &registry, &tag, &apply).await,
        },
    }
}

/// The CLIs' releases: what the image has, and what there is.
async fn releases(registry: &BaseUrl, tag: &str) -> anyhow::Result<Vec<Release>> {
    let (claude, codex) = match super::engine().image(tag).await {
        Ok(info) => (info.claude, info.codex),
        Err(RuntimeError::ImageMissing { .. }) => (None, None),
        Err(error) => return Err(error.into()),
    };
    let mut releases = Vec::new();
    for (provider, installed) in [(ProviderKind::Claude, claude), (ProviderKind::Codex, codex)] {
        releases.push(Release::new(provider, installed, newest(registry, package(provider)).await?));
    }
    Ok(releases)
}

async fn check(registry: &BaseUrl, tag: &str, json: bool) -> anyhow::Result<Ending> {
    let releases = releases(registry, tag).await?;
    if json {
        say(&serde_json::to_string_pretty(&releases)?)?;
        return Ok(Ending::Done);
    }
    let rows: Vec<Vec<String>> = releases
        .iter()
        .map(|release| {
            let installed = release.installed.clone().unwrap_or_else(|| "-".to_owned());
            let told = if release.is_newer { "newer" } else { "up to date" };
            vec![release.provider.to_string(), installed, release.newest.clone(), told.to_owned()]
        })
        .collect();
    say(table(&["CLI", "IMAGE", "NEWEST", ""], &rows).trim_end())?;
    if releases.iter().any(|release| release.is_newer) {
        note(&format!(
            "`longshore update apply` builds an image with the newest, rehearses it, and puts it in the place of `{tag}`."
        ));
    }
    Ok(Ending::Done)
}

async fn build(root: &Path, registry: &BaseUrl, tag: &str, args: &ApplyArgs) -> anyhow::Result<Ending> {
    let mut wanted = [args.claude_version.clone(), args.codex_version.clone()];
    if wanted.iter().any(Option::is_none) {
        let releases = releases(registry, tag).await?;
        let chosen = wanted.iter().any(Option::is_some);
        if !chosen && releases.iter().all(|release| !release.is_newer) {
            say(&format!("`{tag}` has the newest versions"))?;
            return Ok(Ending::Done);
        }
        for (wanted, release) in wanted.iter_mut().zip(releases) {
            // What is not newer stays as it is, also where the registry is behind.
            let known = if release.is_newer { Some(release.newest) } else { release.installed };
            *wanted = wanted.take().or(known);
        }
    }
    let [claude, codex] = wanted;
    let runner = match &args.agent {
        Some(path) => Runner::load(path)?,
        None => Runner::find(&candidates(&std::env::current_exe().context("where this program is")?))?,
    };
    let flavour = if tag == Flavour::Browser.default_tag() { Flavour::Browser } else { Flavour::Agent };
    let recipe = Recipe::new(flavour, claude.as_deref(), codex.as_deref(), &runner)?;
    let docker = super::engine().client()?;
    let mut display = Display::new();
    let built =
        image::build(&docker, &recipe, &runner, CANDIDATE, Freshness::Reuse, &mut |progress| display.show(progress))
            .await;
    display.end();
    built.with_context(|| format!("no new image was made; `{tag}` is as it was"))?;
    make_current(root, CANDIDATE, tag).await
}

/// Rehearses an image and, if it works, gives it the agent image's name.
async fn make_current(root: &Path, candidate: &str, tag: &str) -> anyhow::Result<Ending> {
    let docker = super::engine().client()?;
    let old = image::id_of(&docker, tag).await?;
    let new = image::id_of(&docker, candidate).await?;
    let Some(new) = new else { bail!("there is no image `{candidate}`") };
    if old.as_ref() == Some(&new) {
        say(&format!("`{tag}` is that image already"))?;
        return Ok(Ending::Done);
    }
    note(&format!("rehearsing a turn of each provider in `{candidate}`"));
    let program = std::env::current_exe().context("where this program is")?;
    // By its id: what is rehearsed is what is named afterwards, whoever builds meanwhile.
    match rehearse(&program, &root.join("data"), &new)
        .await
        .context("no rehearsal was possible; nothing has changed")?
    {
        Verdict::Works => {}
        Verdict::Fails { provider, why } => {
            note(&format!("{provider} does not answer in it, so `{tag}` stays as it was:\n{why}"));
            return Ok(Ending::Failed);
        }
    }
    let kept = image::rename(&docker, &new, tag, old.as_deref()).await?;
    say(&format!("`{tag}` is the new image"))?;
    if let Some(kept) = kept {
        note(&format!("The one before is kept as `{kept}`: `longshore update apply --image {kept}` goes back to it."));
    }
    note("A running host changes over within a minute: each group's container as soon as it has nothing to do.");
    Ok(Ending::Done)
}
