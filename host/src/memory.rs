//! Memory files: what the groups' `CLAUDE.md` say, read anew for every turn.
//!
//! Agents write in these folders, so nothing is followed and nothing but a regular file is read.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use longshore_protocol::{GroupId, ProviderKind};
use rustix::fs::{Mode, OFlags};

/// The most that is read of one file, in bytes; the prelude cuts further, visibly.
const MAX_BYTES: u64 = 256 * 1024;

/// The memory folders of an installation.
#[derive(Debug, Clone)]
pub struct Memory {
    groups: PathBuf,
}

/// The memory for one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnMemory {
    /// For all groups: `groups/CLAUDE.md`.
    pub all: Option<String>,
    /// What the main group shares: `groups/global/CLAUDE.md`.
    pub global: Option<String>,
    /// The group's own `CLAUDE.md`, or `AGENTS.md` where that is absent; only for a provider that
    /// does not read it by itself.
    pub group: Option<String>,
}

impl Memory {
    /// The memory under this installation's `groups/`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { groups: root.join("groups") }
    }

    /// Reads what a turn of the group is to know. A file that cannot be read is logged and left out.
    #[must_use]
    pub fn read(&self, group: &GroupId, provider: ProviderKind) -> TurnMemory {
        let own = self.groups.join(group.as_str());
        let group = match provider {
            // Claude Code reads both from its working directory by itself.
            ProviderKind::Claude => None,
            ProviderKind::Codex => read_logged(&own, "CLAUDE.md").or_else(|| read_logged(&own, "AGENTS.md")),
        };
        TurnMemory {
            all: read_logged(&self.groups, "CLAUDE.md"),
            global: read_logged(&self.groups.join("global"), "CLAUDE.md"),
            group,
        }
    }
}

fn read_logged(folder: &Path, name: &str) -> Option<String> {
    match read(folder, name) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(file = %folder.join(name).display(), %error, "a memory file could not be read");
            None
        }
    }
}

fn read(folder: &Path, name: &str) -> io::Result<String> {
    let directory =
        rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    // NONBLOCK: opening a FIFO that an agent planted must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(&directory, name, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> (tempfile::TempDir, Memory, GroupId) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("groups/global")).unwrap();
        std::fs::create_dir_all(root.path().join("groups/family")).unwrap();
        let memory = Memory::new(root.path());
        (root, memory, "family".parse().unwrap())
    }

    #[test]
    fn shared_memory_is_for_both_and_the_groups_own_for_codex_alone() {
        let (root, memory, group) = installation();
        for (file, text) in [("CLAUDE.md", "all"), ("global/CLAUDE.md", "global"), ("family/CLAUDE.md", "own")] {
            std::fs::write(root.path().join("groups").join(file), text).unwrap();
        }
        let claude = memory.read(&group, ProviderKind::Claude);
        assert_eq!(claude, TurnMemory { all: Some("all".into()), global: Some("global".into()), group: None });
        assert_eq!(memory.read(&group, ProviderKind::Codex).group.as_deref(), Some("own"));
    }

    #[test]
    fn agents_md_stands_in_where_claude_md_is_absent() {
        let (root, memory, group) = installation();
        std::fs::write(root.path().join("groups/family/AGENTS.md"), "agents").unwrap();
        assert_eq!(memory.read(&group, ProviderKind::Codex).group.as_deref(), Some("agents"));
    }

    #[test]
    fn a_file_that_is_swapped_for_a_link_again_and_again_never_shows_what_the_link_leads_to() {
        let (root, memory, group) = installation();
        let own = root.path().join("groups/family");
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        std::fs::write(own.join("file"), "own").unwrap();
        std::os::unix::fs::symlink(root.path().join("secret"), own.join("link")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in ["file", "link"] {
                        std::fs::rename(own.join(name), own.join("CLAUDE.md")).unwrap();
                        std::fs::rename(own.join("CLAUDE.md"), own.join(name)).unwrap();
                    }
                }
            });
            for _ in 0..2000 {
                let read = memory.read(&group, ProviderKind::Codex).group;
                assert!(read.as_deref().is_none_or(|text| text == "own"), "{read:?}");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_planted_link_fifo_or_folder_is_not_read_and_does_not_hang() {
        let (root, memory, group) = installation();
        let own = root.path().join("groups/family");
        std::os::unix::fs::symlink("/etc/passwd", own.join("CLAUDE.md")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, own.join("AGENTS.md"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(memory.read(&group, ProviderKind::Codex).group, None);
        std::fs::remove_dir(root.path().join("groups/global")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("groups/global")).unwrap();
        assert_eq!(memory.read(&group, ProviderKind::Codex).global, None);
    }
}
