//! `longshore import`: takes over another program's installation.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};

use super::table::table;
use super::{Ending, note, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::import::{Import, Report, State};
use crate::operator::Operator;
use crate::store::{self, Store};

/// Where NanoClaw's operator keeps the allowlists, under the home directory.
const LISTS: &str = ".config/nanoclaw";

/// Arguments of `longshore import`.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Take over NanoClaw v1: groups, memory, tasks, conversations, allowlists. Shows what it would do; --apply does it. The source is only read. Exit status 1 if something is left out.
    Nanoclaw(NanoclawArgs),
}

#[derive(Debug, Args)]
struct NanoclawArgs {
    /// NanoClaw's folder: the one with store/, data/ and groups/.
    dir: PathBuf,
    /// Do it. No host may run here meanwhile.
    #[arg(long)]
    apply: bool,
    /// Also what was said, as far back as RETENTION_DAYS; no agent is told of it.
    #[arg(long)]
    history: bool,
    /// Where its allowlists are [default: ~/.config/nanoclaw]
    #[arg(long, value_name = "DIR")]
    lists: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn import(args: ImportArgs, root: &Path) -> anyhow::Result<Ending> {
    let From::Nanoclaw(args) = args.from;
    app::check(root)?;
    let source = args.dir.canonicalize().with_context(|| format!("`{}` cannot be opened", args.dir.display()))?;
    if source == root {
        bail!("`{}` is this installation itself; name NanoClaw's folder", root.display());
    }
    let config = Config::load(root).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("`.env` has problems: {}", problems.join("; "))
    })?;
    let operator = Operator::of_environment();
    let lists = args.lists.unwrap_or_else(|| operator.home.join(LISTS));
    let import = Import {
        source: &source,
        lists: &lists,
        root,
        operator: &operator,
        config: &config,
        history: args.history,
        now: Clock::system().now(),
    };
    let report = if args.apply {
        // Held until the end: a host that is started meanwhile says that the installation is taken.
        let _lock = app::lock(root).context("nothing was imported")?;
        let store = Store::open(&root.join(store::FILE))?;
        import.plan()?.apply(&store).await
    } else {
        import.plan()?.report()
    };
    if args.json {
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        say(rendered(&report).trim_end())?;
        if !report.applied && report.count(State::Add) > 0 {
            note("Nothing was changed. `--apply` adds what is marked `add`.");
        }
        if report.applied && report.count(State::Added) > 0 {
            note("Stop NanoClaw before you start the host: both would answer, and both would run the tasks.");
        }
    }
    Ok(if report.leaves_out() { Ending::Failed } else { Ending::Done })
}

fn rendered(report: &Report) -> String {
    let one_line = |text: &str| text.replace(['\n', '\t'], " ");
    let rows: Vec<Vec<String>> = report
        .items
        .iter()
        .map(|item| {
            vec![
                item.kind.as_str().to_owned(),
                one_line(&item.name),
                item.state.as_str().to_owned(),
                one_line(&item.detail),
            ]
        })
        .collect();
    let mut text = table(&["WHAT", "NAME", "STATE", "DETAIL"], &rows);
    let advised: Vec<_> = report.items.iter().filter_map(|item| Some((item, item.by_hand.as_ref()?))).collect();
    if !advised.is_empty() {
        text.push_str("\nBy hand:\n");
    }
    for (item, advice) in advised {
        text.push_str(&format!("  {} {}: {}\n", item.kind.as_str(), one_line(&item.name), one_line(advice)));
    }
    let states = [State::Add, State::Added, State::Same, State::Conflict, State::Cannot, State::Failed];
    let counts: Vec<String> = states
        .into_iter()
        .filter(|state| report.count(*state) > 0)
        .map(|state| format!("{} {}", report.count(state), state.as_str()))
        .collect();
    text + "\n" + &counts.join(", ") + "\n"
}
