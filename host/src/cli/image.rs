//! `longshore image`: makes the image that agents run in.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::note;
use crate::container::image::progress::Progress;
use crate::container::image::recipe::{Flavour, Recipe};
use crate::container::image::runner::{Runner, candidates};
use crate::container::image::{self, Freshness, Outcome};

/// Arguments of `longshore image build`.
#[derive(Debug, Clone, Args)]
pub(super) struct BuildArgs {
    /// Put Chromium in as well
    #[arg(long)]
    browser: bool,
    /// Name of the image [default: longshore-agent:latest, or longshore-agent:browser]
    #[arg(long, value_name = "NAME:TAG")]
    tag: Option<String>,
    /// Take this release of claude in place of the pinned one
    #[arg(long, value_name = "VERSION")]
    claude_version: Option<String>,
    /// Take this release of codex in place of the pinned one
    #[arg(long, value_name = "VERSION")]
    codex_version: Option<String>,
    /// The statically linked longshore-agent to put in [default: the one beside this program]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Make every layer anew, with the system's latest updates
    #[arg(long)]
    no_cache: bool,
}

impl BuildArgs {
    /// The image that is made without any arguments.
    pub(super) fn usual() -> Self {
        Self { browser: false, tag: None, claude_version: None, codex_version: None, agent: None, no_cache: false }
    }
}

/// Makes the image unless it is there and current; says on stderr what happens.
///
/// # Errors
/// Whatever keeps it from being made, with what to do about it.
pub(super) async fn build(args: BuildArgs) -> anyhow::Result<()> {
    let runner = match &args.agent {
        Some(path) => Runner::load(path)?,
        None => Runner::find(&candidates(&std::env::current_exe().context("where this program is")?))?,
    };
    let flavour = if args.browser { Flavour::Browser } else { Flavour::Agent };
    let recipe = Recipe::new(flavour, args.claude_version.as_deref(), args.codex_version.as_deref(), &runner)?;
    let tag = args.tag.as_deref().unwrap_or(flavour.default_tag());
    let freshness = if args.no_cache { Freshness::Anew } else { Freshness::Reuse };

    let docker = super::engine().client()?;
    let mut display = Display::new();
    let built = image::build(&docker, &recipe, &runner, tag, freshness, &mut |progress| display.show(progress)).await;
    display.end();
    match built.with_context(|| format!("the image `{tag}` is not made"))? {
        Outcome::Current => note(&format!("image `{tag}` is up to date")),
        Outcome::Made => note(&format!("image `{tag}` is made")),
    }
    Ok(())
}

/// A bar on a terminal; one line for each stage elsewhere.
enum Display {
    Bar(ProgressBar),
    Lines { stage: String },
}

impl Display {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { stage: String::new() };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {wide_bar} step {pos}/{len}\n     {wide_msg}") {
            bar.set_style(style);
        }
        // A download prints nothing for minutes: the clock shows that it goes on.
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        Self::Bar(bar)
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.steps.into());
                bar.set_position(progress.step.into());
                let doing = if progress.line.is_empty() { &progress.instruction } else { &progress.line };
                bar.set_message(format!("{}: {doing}", progress.stage));
            }
            Self::Lines { stage } => {
                if *stage != progress.stage {
                    stage.clone_from(&progress.stage);
                    note(&format!("step {}/{}: stage {stage}", progress.step, progress.steps));
                }
            }
        }
    }

    fn end(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
