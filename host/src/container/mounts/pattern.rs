//! Names that are never mounted. Pure.

use std::fmt;
use std::path::{Component, Path};

/// What is blocked whatever a list says: where people keep their secrets.
pub const DEFAULTS: [&str; 25] = [
    ".ssh",
    ".gnupg",
    ".gpg",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".docker",
    "credentials",
    ".env",
    ".netrc",
    ".npmrc",
    ".pypirc",
    "id_rsa",
    "id_ed25519",
    "private_key",
    ".secret",
    // The CLIs' own logins, and other tools'.
    ".claude",
    ".codex",
    ".config/gcloud",
    ".config/gh",
    ".config/nanoclaw",
    ".git-credentials",
    ".password-store",
    ".mozilla",
];

/// A blocked name, or several that follow each other, joined by `/`.
///
/// It means whole names, in any case of letters: `.ssh` is `.ssh` and not `my.sshkeys`. What only has an
/// ending more is meant too: `.env` blocks `.env.local`. A `*` is any text: `*password*` is every name
/// that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    names: Vec<String>,
}

impl Pattern {
    /// `None` when there is no name in the text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let names: Vec<String> = text.split('/').filter(|name| !name.is_empty()).map(str::to_lowercase).collect();
        (!names.is_empty()).then_some(Self { names })
    }

    /// Whether the path runs through the pattern.
    #[must_use]
    pub fn blocks(&self, path: &Path) -> bool {
        let parts: Vec<String> = path
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
                _ => None,
            })
            .collect();
        parts.windows(self.names.len()).any(|parts| parts.iter().zip(&self.names).all(|(part, name)| is(part, name)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join("/"))
    }
}

fn is(part: &str, name: &str) -> bool {
    matches(part, name) || part.match_indices('.').any(|(at, _)| at > 0 && matches(&part[..at], name))
}

/// Whether the text is what the pattern says, `*` being any text.
fn matches(text: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).is_some_and(|pattern| pattern.blocks(Path::new(path)))
    }

    #[test]
    fn a_pattern_means_whole_names() {
        for (pattern, path, blocked) in [
            (".ssh", "/home/a/.ssh", true),
            (".ssh", "/home/a/.ssh/x", true),
            (".ssh", "/home/a/.SSH/x", true),
            (".ssh", "/home/a/my.sshkeys", false),
            (".ssh", "/home/a/x.ssh", false),
            (".env", "/home/a/projects/envoy.environment", false),
            (".env", "/home/a/p/.env", true),
            (".env", "/home/a/p/.env.local", true),
            (".env", "/home/a/p/.environment", false),
            ("credentials", "/home/a/credentials.json", true),
            ("credentials", "/home/a/my-credentials", false),
            ("id_rsa", "/home/a/id_rsa.pub", true),
            ("*password*", "/home/a/my-passwords", true),
            ("password", "/home/a/my-passwords", false),
            ("secret*", "/home/a/secrets/x", true),
            ("*.pem", "/home/a/server.pem", true),
            ("*.pem", "/home/a/server.pem.txt", true),
            ("*.pem", "/home/a/server.pems", false),
            ("a*b*c", "/x/abc", true),
            ("a*b*c", "/x/a-c-b", false),
            ("*", "/x", true),
            (".config/gh", "/home/a/.config/gh/hosts.yml", true),
            (".config/gh", "/home/a/.config/github", false),
            (".config/gh", "/home/a/.config/x/gh", false),
            ("/srv/private/", "/srv/private/x", true),
            ("", "/x", false),
            ("//", "/x", false),
        ] {
            assert_eq!(blocks(pattern, path), blocked, "{pattern} {path}");
        }
    }

    #[test]
    fn every_default_is_a_pattern() {
        assert!(DEFAULTS.iter().all(|text| Pattern::new(text).is_some_and(|pattern| pattern.to_string() == **text)));
    }

    proptest! {
        #[test]
        fn a_name_is_blocked_wherever_it_stands_in_a_path(
            name in "[a-z._][a-z0-9_.-]{0,12}", before in "(/[a-z]{1,5}){0,4}", after in "(/[a-z]{1,5}){0,4}",
        ) {
            prop_assume!(name != "." && name != "..");
            let path = format!("{before}/{name}{after}");
            prop_assert!(blocks(&name, &path));
        }

        #[test]
        fn any_pattern_and_any_path_have_an_answer(pattern in any::<String>(), path in any::<String>()) {
            let _ = blocks(&pattern, &path);
        }
    }
}
