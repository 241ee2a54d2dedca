//! `longshore groups`: which chats are served, and edits of the groups file.

mod add;
mod pick;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use longshore_protocol::GroupId;
use serde::Serialize;
use serde_json::Value;

use self::add::{AddArgs, Added, added};
use super::table::table;
use super::{Ending, note, say};
use crate::cli::registered::registered;
use crate::container::installation::Installation;
use crate::container::mounts::extra::refusals;
use crate::control::client::Client;
use crate::control::{GroupStatus, Request, Response, Status};
use crate::groups::FILE_NAME;
use crate::groups::edit::{EditError, GroupsFile, Target};
use crate::operator::Operator;

/// How long a saved edit is waited for in the running host.
const LIVE_WITHIN: Duration = Duration::from_secs(2);

/// Arguments of `longshore groups`.
#[derive(Debug, Args)]
pub(super) struct GroupsArgs {
    #[command(subcommand)]
    command: Option<GroupsCommand>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum GroupsCommand {
    /// List the groups as the running host serves them, with what is wrong; the default.
    List,
    /// Register a chat, by its id or by choosing among a channel's.
    Add(Box<AddArgs>),
    /// Change fields of an entry: `field=value`, `providerConfig.codex.model=…`; `field=` removes one.
    Set {
        /// The group's folder, or its chat.
        group: String,
        /// The changes.
        #[arg(required = true, value_name = "FIELD=VALUE")]
        fields: Vec<String>,
    },
    /// Remove an entry; the group's folder and its history stay.
    Remove {
        /// The group's folder, or its chat.
        group: String,
    },
}

/// The list, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Listing {
    /// Whether a host runs and this is what it serves.
    live: bool,
    generation: u64,
    groups: Vec<GroupStatus>,
    problems: Vec<String>,
}

/// What became of an edit, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Edited {
    /// What was done.
    done: String,
    /// Whether the running host serves it already; null where none runs.
    live: Option<bool>,
}

pub(super) async fn groups(args: GroupsArgs, root: &Path) -> anyhow::Result<Ending> {
    let as_json = args.json;
    let path = root.join("data").join(FILE_NAME);
    match args.command {
        None | Some(GroupsCommand::List) => list(root, &path, as_json).await,
        Some(GroupsCommand::Add(add)) => {
            let Some(Added { chat, folder, entry }) = added(*add, root).await? else {
                say("nothing was added")?;
                return Ok(Ending::Done);
            };
            edit(root, path, as_json, format!("added `{folder}`"), move |file| file.add(&chat, &entry)).await
        }
        Some(GroupsCommand::Set { group, fields }) => {
            let fields: Vec<(Vec<String>, Value)> =
                fields.iter().map(|field| assignment(field)).collect::<anyhow::Result<_>>()?;
            edit(root, path, as_json, format!("changed `{group}`"), move |file| {
                for (field, value) in &fields {
                    let field: Vec<&str> = field.iter().map(String::as_str).collect();
                    with_target(&group, |target| file.set(target, &field, value.clone()))?;
                }
                Ok(())
            })
            .await
        }
        Some(GroupsCommand::Remove { group }) => {
            edit(root, path, as_json, format!("removed `{group}`"), move |file| {
                with_target(&group, |target| file.remove(target))
            })
            .await
        }
    }
}

async fn list(root: &Path, path: &Path, as_json: bool) -> anyhow::Result<Ending> {
    let listing = match ask(root).await {
        Some(status) => Listing {
            live: true,
            generation: status.groups_generation,
            groups: status.groups,
            problems: [status.problems, status.refused_mounts].concat(),
        },
        None => from_file(root, path)?,
    };
    if as_json {
        say(&serde_json::to_string_pretty(&listing)?)?;
    } else {
        say(render(&listing).trim_end())?;
    }
    Ok(Ending::Done)
}

/// What the running host serves; `None` when none runs.
async fn ask(root: &Path) -> Option<Status> {
    let mut client = Client::connect(root).await.ok()?;
    client.send(&Request::Status).await.ok()?;
    match client.next().await {
        Ok(Response::Status(status)) => Some(*status),
        _ => None,
    }
}

/// What a host would serve if it were started now.
fn from_file(root: &Path, path: &Path) -> anyhow::Result<Listing> {
    if !path.exists() {
        bail!("there is no groups file `{}`; `longshore init` makes one", path.display());
    }
    let loaded = registered(root)?;
    // The assistant's name matters only for groups without a trigger of their own.
    let groups = loaded.groups.iter().map(|group| GroupStatus::of(group, &loaded.problems, "assistant")).collect();
    let mut problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    problems.extend(refusals(&Installation::of(root)?, &Operator::of_environment(), &loaded.groups));
    Ok(Listing { live: false, generation: 0, groups, problems })
}

fn render(listing: &Listing) -> String {
    let rows: Vec<Vec<String>> = listing
        .groups
        .iter()
        .map(|group| {
            let main = if group.is_main { " (main)" } else { "" };
            let state = match (&group.problem, group.warm) {
                (Some(_), _) => "entry rejected, see below",
                (None, true) => "warm",
                (None, false) => "",
            };
            vec![
                format!("{}{main}", group.id),
                group.provider.to_string(),
                group.wakes_on.clone(),
                if listing.live { group.generation.to_string() } else { "-".into() },
                group.egress.policy.clone(),
                group.chat.clone(),
                group.name.clone(),
                state.to_owned(),
            ]
        })
        .collect();
    let mut text = match rows.is_empty() {
        true => "no groups: `longshore groups add CHAT --folder NAME` registers a chat\n".to_owned(),
        false => table(&["GROUP", "PROVIDER", "WAKES ON", "GENERATION", "EGRESS", "CHAT", "NAME", ""], &rows),
    };
    text.push_str(&if listing.live {
        format!("\ngeneration {} of the groups file is applied\n", listing.generation)
    } else {
        "\nno host runs here; this is what the file says\n".to_owned()
    });
    for problem in &listing.problems {
        text.push_str(&format!("problem: {problem}\n"));
    }
    text
}

/// Edits the file and says whether the running host has applied it.
async fn edit(
    root: &Path,
    path: PathBuf,
    as_json: bool,
    done: String,
    change: impl FnOnce(&GroupsFile) -> Result<(), EditError> + Send + 'static,
) -> anyhow::Result<Ending> {
    let before = ask(root).await.map(|status| status.groups_generation);
    match tokio::task::spawn_blocking(move || change(&GroupsFile::new(path))).await? {
        Ok(()) => {}
        Err(EditError::Refused(problems)) => {
            for problem in &problems {
                note(&format!("longshore: {problem}"));
            }
            bail!("nothing was changed: the groups file would have {} problem(s)", problems.len());
        }
        Err(error) => return Err(error).context("nothing was changed"),
    }
    let live = match before {
        Some(before) => Some(is_live(root, before).await),
        None => None,
    };
    if as_json {
        say(&serde_json::to_string_pretty(&Edited { done, live })?)?;
        return Ok(Ending::Done);
    }
    say(&match live {
        None => format!("{done}; no host runs here, the next one will serve it"),
        Some(true) => format!("{done}; live in the running host"),
        Some(false) => format!("{done}; saved, and the running host has not applied it: see `longshore groups`"),
    })?;
    Ok(Ending::Done)
}

/// Whether the running host applies what was saved after that generation.
async fn is_live(root: &Path, before: u64) -> bool {
    let applied = async {
        while ask(root).await.is_none_or(|status| status.groups_generation <= before) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIVE_WITHIN, applied).await.is_ok()
}

/// `a.b=value`: a path and a value, JSON if it reads as JSON and is no bare word, else text; empty removes.
fn assignment(text: &str) -> anyhow::Result<(Vec<String>, Value)> {
    let (path, value) = text.split_once('=').with_context(|| format!("`{text}` is no change; write `field=value`"))?;
    if path.is_empty() || path.split('.').any(str::is_empty) {
        bail!("`{path}` is no field; write it as `provider` or `providerConfig.codex.model`");
    }
    let value = match value {
        "" => Value::Null,
        value => serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)),
    };
    Ok((path.split('.').map(str::to_owned).collect(), value))
}

/// A folder's name if it is one, else a chat. A chat whose id looks like a folder is found by its folder.
fn with_target(group: &str, act: impl Fn(Target<'_>) -> Result<(), EditError>) -> Result<(), EditError> {
    match group.parse::<GroupId>() {
        Ok(folder) => act(Target::Folder(&folder)),
        Err(_) => act(Target::Chat(group)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::groups::{Groups, load};

    fn listing(json: &str, live: bool) -> String {
        let loaded = load(json.as_bytes(), &Groups::default());
        let groups = loaded.groups.iter().map(|group| GroupStatus::of(group, &loaded.problems, "Andy")).collect();
        let problems = loaded.problems.iter().map(ToString::to_string).collect();
        render(&Listing { live, generation: loaded.groups.generation(), groups, problems })
    }

    #[test]
    fn the_list_reads_well_in_a_healthy_and_in_a_broken_installation() {
        let healthy = r#"{"1@g.us": {"name": "Family", "folder": "family", "added_at": "x"},
            "console:main": {"name": "Main", "folder": "main", "isMain": true, "provider": "codex",
             "containerConfig": {"egressAllow": ["intranet.example", "*.example.org"]}}}"#;
        insta::assert_snapshot!("healthy", listing(healthy, true));
        let broken = r#"{"1@g.us": {"name": "Family", "folder": "../family"},
            "console:main": {"name": "Main", "folder": "main", "isMain": true}}"#;
        insta::assert_snapshot!("broken", listing(broken, false));
        insta::assert_snapshot!("empty", listing("{}", true));
    }

    #[test]
    fn a_change_is_a_path_and_a_value() {
        let parsed = |text| assignment(text).unwrap();
        assert_eq!(parsed("provider=codex"), (vec!["provider".into()], json!("codex")));
        assert_eq!(parsed("requiresTrigger=false").1, json!(false));
        assert_eq!(parsed("cpus=1.5").1, json!(1.5));
        assert_eq!(parsed("trigger=").1, Value::Null);
        assert_eq!(parsed("a.b.c=x=y"), (vec!["a".into(), "b".into(), "c".into()], json!("x=y")));
        for bad in ["provider", "=x", "a..b=x"] {
            assert!(assignment(bad).is_err(), "{bad}");
        }
    }
}
