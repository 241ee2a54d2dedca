//! Identifiers, made by parsing: a value that exists is a value that is safe to use as a name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Longer than the limit, in bytes.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character that the identifier may not hold, or may not hold at that place.
    #[error("may not contain `{}` at position {position}", character.escape_debug())]
    Character {
        /// The offending character.
        character: char,
        /// Its position, counted in characters from 0.
        position: usize,
    },
    /// A name that the host uses for itself.
    #[error("is a reserved name")]
    Reserved,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                $check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                $check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A group: the name of its folder under `groups/`.
    ///
    /// 1 to 64 ASCII letters, digits, `_` or `-`, starting with a letter or a digit, and not `global` or
    /// `errors` in any case. It names directories, socket paths and container labels, so it can hold nothing else.
    GroupId, check_group
}

text_id! {
    /// One turn of one group, made by the host; 1 to 64 ASCII letters, digits, `_` or `-`.
    TurnId, check_plain
}

text_id! {
    /// A scheduled task; 1 to 64 ASCII letters, digits, `_` or `-`. The host's own are `task-` and more;
    /// an agent may choose one.
    TaskId, check_plain
}

text_id! {
    /// A provider's own name for a conversation (a Claude session id, a Codex thread id).
    ///
    /// Opaque; 1 to 256 printable ASCII characters without spaces, and never starting with `-`,
    /// because it becomes a command-line argument.
    SessionId, check_session
}

/// `groups/global` is shared memory, and `data/ipc/errors` holds what the host could not read.
const RESERVED: [&str; 2] = ["global", "errors"];

fn check_group(text: &str) -> Result<(), IdError> {
    check_name(text)?;
    if RESERVED.iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Err(IdError::Reserved);
    }
    Ok(())
}

fn check_plain(text: &str) -> Result<(), IdError> {
    check_name(text)
}

fn check_name(text: &str) -> Result<(), IdError> {
    check_characters(text, 64, |position, character| {
        character.is_ascii_alphanumeric() || (position > 0 && matches!(character, '_' | '-'))
    })
}

fn check_session(text: &str) -> Result<(), IdError> {
    check_characters(text, 256, |position, character| {
        character.is_ascii_graphic() && (position > 0 || character != '-')
    })
}

fn check_characters(text: &str, limit: usize, allowed: impl Fn(usize, char) -> bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some((position, character)) = text.chars().enumerate().find(|(position, c)| !allowed(*position, *c)) {
        return Err(IdError::Character { character, position });
    }
    // Every allowed character is ASCII here, so bytes are characters.
    if text.len() > limit {
        return Err(IdError::TooLong(limit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_id_is_a_safe_folder_name() {
        for good in ["main", "family-chat", "a", "9lives", "A_b-C", &"x".repeat(64)] {
            assert!(good.parse::<GroupId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "-x",
            "_x",
            "a b",
            "a\0",
            "ä",
            "global",
            "Global",
            "GLOBAL",
            "errors",
            "Errors",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<GroupId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_session_id_can_never_be_read_as_a_flag() {
        assert!("01a1fbf5-173a-7672-b184-cf6f0609fa2e".parse::<SessionId>().is_ok());
        assert!("--dangerously".parse::<SessionId>().is_err());
        assert!("a b".parse::<SessionId>().is_err());
    }

    #[test]
    fn an_id_is_checked_when_it_comes_off_the_wire() {
        assert!(serde_json::from_str::<GroupId>(r#""../../etc""#).is_err());
        assert_eq!(serde_json::from_str::<GroupId>(r#""main""#).unwrap().as_str(), "main");
    }
}
