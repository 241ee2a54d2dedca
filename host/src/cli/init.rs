//! `longshore init`: a new installation.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Ending, say};

const ENV: &str = include_str!("../../../.env.example");
const GROUPS: &str = include_str!("init/registered_groups.json");
const SCHEMA: &str = include_str!("../../../docs/schema/registered_groups.schema.json");
const SHARED: &str = include_str!("init/shared.md");
const GLOBAL: &str = include_str!("init/global.md");
const MAIN: &str = include_str!("init/main.md");
const CODER: &str = include_str!("init/coder.md");

/// What an installation begins with: path, text, mode. `.env` will hold credentials.
const FILES: [(&str, &str, u32); 7] = [
    (".env", ENV, 0o600),
    ("data/registered_groups.json", GROUPS, 0o600),
    ("data/registered_groups.schema.json", SCHEMA, 0o600),
    ("groups/CLAUDE.md", SHARED, 0o644),
    ("groups/global/CLAUDE.md", GLOBAL, 0o644),
    ("groups/main/CLAUDE.md", MAIN, 0o644),
    ("groups/coder/CLAUDE.md", CODER, 0o644),
];

/// The groups file of an installation without groups.
const NO_GROUPS: &str = "{\n  \"$schema\": \"./registered_groups.schema.json\"\n}\n";

/// Arguments of `longshore init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Without the two example groups and their memory, as before an import.
    #[arg(long)]
    bare: bool,
    /// Where; the installation's folder (--root) if absent.
    dir: Option<PathBuf>,
}

pub(super) fn init(args: &InitArgs, root: &Path) -> anyhow::Result<Ending> {
    let extent = if args.bare { Extent::Bare } else { Extent::Whole };
    let made = make(args.dir.as_deref().unwrap_or(root), extent)?;
    for (path, _, _) in FILES.iter().filter(|(path, _, _)| extent.has(path)) {
        say(&format!("{}  {path}", if made.contains(path) { "made" } else { "kept" }))?;
    }
    if !made.is_empty() {
        say(match extent {
            Extent::Bare => {
                "\nNext: put a credential into .env, then `longshore import …` or `longshore groups add …`, then `longshore run`."
            }
            Extent::Whole => {
                "\nNext: put a credential into .env (or use --rehearsal), then `longshore run`, and in another terminal `longshore chat main`."
            }
        })?;
    }
    Ok(Ending::Done)
}

/// How much of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// With the example groups and their memory.
    Whole,
    /// Without them.
    Bare,
}

impl Extent {
    fn has(self, path: &str) -> bool {
        self == Self::Whole || !path.starts_with("groups/")
    }
}

/// Makes what is not there, and gives it.
pub(super) fn make(root: &Path, extent: Extent) -> anyhow::Result<Vec<&'static str>> {
    let mut made = Vec::new();
    private(root)?;
    for (path, text, mode) in FILES.into_iter().filter(|(path, _, _)| extent.has(path)) {
        let text = if extent == Extent::Bare && text == GROUPS { NO_GROUPS } else { text };
        let file = root.join(path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        // `create_new` is the promise: what is there stays, even if it appears at this very moment.
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&file) {
            Ok(mut open) => {
                open.write_all(text.as_bytes()).with_context(|| format!("cannot write `{}`", file.display()))?;
                made.push(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make `{}`", file.display())),
        }
    }
    Ok(made)
}

/// Messages and logins will be in it: its owner's alone, unless the operator has made it already.
fn private(root: &Path) -> anyhow::Result<()> {
    let data = root.join("data");
    let made = fs::create_dir_all(root).and_then(|()| fs::DirBuilder::new().recursive(true).mode(0o700).create(&data));
    made.with_context(|| format!("cannot make the folder `{}`", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_whole_and_its_groups_load_without_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs { bare: false, dir: Some(folder.path().to_owned()) };
        init(&args, Path::new(".")).unwrap();
        let bytes = fs::read(folder.path().join("data/registered_groups.json")).unwrap();
        let loaded = crate::groups::load(&bytes, &crate::groups::Groups::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let ids: Vec<_> = loaded.groups.iter().map(|group| (group.id.to_string(), group.provider.as_str())).collect();
        assert_eq!(ids, [("main".to_owned(), "claude"), ("coder".to_owned(), "codex")]);
        crate::config::Config::load(folder.path()).unwrap();
    }

    #[test]
    fn a_bare_installation_has_no_groups_and_no_problem() {
        let folder = tempfile::tempdir().unwrap();
        init(&InitArgs { bare: true, dir: Some(folder.path().to_owned()) }, Path::new(".")).unwrap();
        let bytes = fs::read(folder.path().join("data/registered_groups.json")).unwrap();
        let loaded = crate::groups::load(&bytes, &crate::groups::Groups::default());
        assert!(loaded.problems.is_empty() && loaded.groups.is_empty(), "{:?}", loaded.problems);
        assert!(!folder.path().join("groups").exists());
    }

    #[test]
    fn what_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".env"), "ASSISTANT_NAME=Bo\n").unwrap();
        let args = InitArgs { bare: false, dir: Some(folder.path().to_owned()) };
        init(&args, Path::new(".")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(".env")).unwrap(), "ASSISTANT_NAME=Bo\n");
    }
}
