//! Values that must not be shown.

use std::fmt;

use thiserror::Error;

/// OAuth tokens are a few kilobytes; a header line of this length still passes everywhere.
const MAX_BYTES: usize = 16 * 1024;

/// A credential: visible ASCII, so that it always fits a header line.
///
/// It cannot be displayed or serialised, and its debug text is `<redacted>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a credential as the operator wrote it.
    ///
    /// # Errors
    /// Anything but 1 byte to 16 KiB of visible ASCII. The error does not hold the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(SecretError::TooLong(MAX_BYTES));
        }
        if text.chars().any(char::is_whitespace) {
            return Err(SecretError::Whitespace);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// What is shown to a rehearsal in place of a credential. No secret, and not the placeholder either,
    /// so that the rehearsal sees a request that went past the broker.
    #[must_use]
    pub fn stand_in() -> Self {
        Self("longshore-rehearsal".to_owned())
    }

    /// The credential itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Why a text is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than any credential.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A space or a line break, mostly from copying.
    #[error("has whitespace in it")]
    Whitespace,
    /// A control or non-ASCII character, which no header line can carry.
    #[error("has a control or non-ASCII character in it")]
    Character,
}
