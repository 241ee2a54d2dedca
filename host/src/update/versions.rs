//! Which version is newer. Pure.

use longshore_protocol::ProviderKind;
use serde::{Deserialize, Serialize};

/// The longest text that is taken for a version.
const LONGEST: usize = 64;

/// A CLI: what the image has and what there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Whose.
    pub provider: ProviderKind,
    /// The version in the image, as its label says.
    pub installed: Option<String>,
    /// The newest version in the registry.
    pub newest: String,
    /// Whether that is newer; what the image does not say is taken for older.
    pub is_newer: bool,
}

impl Release {
    /// Compares the two.
    #[must_use]
    pub fn new(provider: ProviderKind, installed: Option<String>, newest: String) -> Self {
        let is_newer = match (&installed, parts(&newest)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(installed), newest) => parts(installed).is_none_or(|installed| Some(installed) < newest),
        };
        Self { provider, installed, newest, is_newer }
    }
}

/// The package of a CLI whose newest version is asked for. The image takes its build for one processor, which
/// has the same version.
#[must_use]
pub fn package(provider: ProviderKind) -> &'static str {
    match provider {
        ProviderKind::Claude => "@anthropic-ai/claude-code",
        ProviderKind::Codex => "@openai/codex",
    }
}

/// A released version's numbers; `None` for a trial version, which nobody is offered, and for what is no version.
fn parts(version: &str) -> Option<[u64; 3]> {
    // It is shown on terminals and written into the log.
    if version.len() > LONGEST || !version.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (version, _build) = version.split_once('+').unwrap_or((version, ""));
    let mut numbers = version
        .split('.')
        .map(|number| number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten());
    let found = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers_and_trial_versions_are_never_newer() {
        for (installed, newest, is_newer) in [
            (Some("2.1.9"), "2.1.10", true),
            (Some("2.1.329"), "2.1.329", false),
            (Some("2.2.0"), "2.1.999", false),
            (Some("0.169.0"), "1.0.0", true),
            (Some("0.169.0"), "0.170.0-alpha.3", false),
            (Some("0.169.0-alpha.1"), "0.169.0", true),
            (None, "1.0.0", true),
            (Some("1.0.0"), "", false),
            (Some("1.0.0"), "2.0", false),
            (Some("1.0.0"), "2.0.0.1", false),
            (Some("1.0.0"), "2.0.0+\u{1b}[2J", false),
            (Some("1.0.0"), concat!("2.0.0+", "0123456789012345678901234567890123456789012345678901234567890"), false),
            (Some("1.0.0"), "99999999999999999999.0.0", false),
        ] {
            let release = Release::new(ProviderKind::Codex, installed.map(str::to_owned), newest.to_owned());
            assert_eq!(release.is_newer, is_newer, "{installed:?} {newest}");
        }
    }
}
