//! Tells whether the memory files that `claude` reads at its start have changed since.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use crate::regular;

/// The files that `claude` reads from its working directory, and the one from its state directory.
const FILES: [&str; 4] = ["CLAUDE.md", "CLAUDE.local.md", ".claude/CLAUDE.md", "AGENTS.md"];
const HOME_FILE: &str = ".claude/CLAUDE.md";
/// Bytes of each file that count.
const LIMIT: u64 = 1024 * 1024;

/// A hash of the memory's contents; equal within one process for equal contents.
///
/// Files that those files import are not looked at.
#[must_use]
pub fn fingerprint(directory: &Path, home: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in FILES.iter().map(|name| directory.join(name)).chain([home.join(HOME_FILE)]) {
        regular::read(&path, LIMIT).ok().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_of_a_memory_file_shows() {
        let directory = tempfile::tempdir().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut seen = vec![fingerprint(directory.path(), home.path())];
        std::fs::create_dir(directory.path().join(".claude")).unwrap();
        std::fs::create_dir(home.path().join(".claude")).unwrap();
        for (root, name) in FILES.map(|name| (&directory, name)).into_iter().chain([(&home, HOME_FILE)]) {
            for text in ["", "one", "two"] {
                std::fs::write(root.path().join(name), text).unwrap();
                let now = fingerprint(directory.path(), home.path());
                assert!(!seen.contains(&now), "{name} {text:?}");
                assert_eq!(now, fingerprint(directory.path(), home.path()));
                seen.push(now);
            }
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_memory_file_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let before = fingerprint(directory.path(), directory.path());
        let made = std::process::Command::new("mkfifo").arg(directory.path().join("CLAUDE.md")).status().unwrap();
        assert!(made.success());
        assert_eq!(fingerprint(directory.path(), directory.path()), before);
    }
}
