//! What an image is made of: pure, and hashed into the label that tells whether it is current.

use std::collections::{BTreeMap, HashMap};

use longshore_protocol::PROTOCOL_VERSION;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::runner::Runner;

/// How the image is made; also where versions are pinned.
pub const DOCKERFILE: &str = include_str!("../../../../Dockerfile");
/// What the image stands on.
pub const BASE_IMAGE: &str = "debian:bookworm-slim";
/// Image label with [`Recipe::inputs`].
pub const LABEL_INPUTS: &str = "longshore.inputs";
/// Label that every stage carries, so that leftovers are known to be ours. Empty in a finished image.
pub const LABEL_STAGE: &str = "longshore.stage";
/// A version is longer than this by mistake only.
const MAX_VERSION: usize = 64;

/// Which of the two images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// The CLIs, the runner and common tools.
    Agent,
    /// The same with Chromium.
    Browser,
}

impl Flavour {
    /// Its stage in the Dockerfile.
    #[must_use]
    pub fn target(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Browser => "browser",
        }
    }

    /// Its image's name unless the operator gives another.
    #[must_use]
    pub fn default_tag(self) -> &'static str {
        match self {
            Self::Agent => "longshore-agent:latest",
            Self::Browser => "longshore-agent:browser",
        }
    }
}

/// A version that no package has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no version: it has letters, digits, dots, plus and minus signs only")]
pub struct VersionError(String);

/// Everything that decides what is in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    flavour: Flavour,
    claude: String,
    codex: String,
    runner_version: String,
    runner_hash: String,
}

impl Recipe {
    /// Puts the recipe together; a CLI whose version is not given gets the pinned one.
    ///
    /// # Errors
    /// When a version cannot be one.
    pub fn new(
        flavour: Flavour,
        claude: Option<&str>,
        codex: Option<&str>,
        runner: &Runner,
    ) -> Result<Self, VersionError> {
        Ok(Self {
            flavour,
            claude: version(claude.unwrap_or_else(|| pinned("CLAUDE_VERSION")))?,
            codex: version(codex.unwrap_or_else(|| pinned("CODEX_VERSION")))?,
            runner_version: env!("CARGO_PKG_VERSION").to_owned(),
            runner_hash: runner.hash(),
        })
    }

    /// Which of the two images it makes.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The Dockerfile's arguments.
    #[must_use]
    pub fn build_args(&self) -> HashMap<String, String> {
        self.arguments().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn arguments(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("CLAUDE_VERSION", self.claude.clone()),
            ("CODEX_VERSION", self.codex.clone()),
            ("LONGSHORE_PROTOCOL", PROTOCOL_VERSION.to_string()),
            ("LONGSHORE_VERSION", self.runner_version.clone()),
        ])
    }

    /// The label that the build adds; the Dockerfile sets the others from its arguments.
    #[must_use]
    pub fn labels(&self) -> HashMap<String, String> {
        HashMap::from([(LABEL_INPUTS.to_owned(), self.inputs())])
    }

    /// Hash (SHA-256, hexadecimal) of all that goes in: the Dockerfile, its arguments, the runner.
    #[must_use]
    pub fn inputs(&self) -> String {
        let mut hasher = Sha256::new();
        let mut add = |text: &str| {
            // The length keeps neighbours apart.
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        };
        add(DOCKERFILE);
        add(self.flavour.target());
        for (name, value) in self.arguments() {
            add(name);
            add(&value);
        }
        add(&self.runner_hash);
        hexadecimal(&hasher.finalize())
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value that the Dockerfile gives to its argument `name`; empty when it has none such.
#[must_use]
pub fn pinned(name: &str) -> &'static str {
    DOCKERFILE
        .lines()
        .filter_map(|line| line.strip_prefix("ARG ")?.split_once('='))
        .find(|(found, _value)| *found == name)
        .map_or("", |(_name, value)| value.trim())
}

/// A version is part of a package's name on a command line, so it is held to what versions are made of.
fn version(text: &str) -> Result<String, VersionError> {
    let fits = text.starts_with(|first: char| first.is_ascii_digit())
        && text.len() <= MAX_VERSION
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
    if fits { Ok(text.to_owned()) } else { Err(VersionError(text.chars().take(MAX_VERSION).collect())) }
}

#[cfg(test)]
mod tests {
    use longshore_protocol::{LABEL_CLAUDE, LABEL_CODEX, LABEL_PROTOCOL};

    use super::super::runner::tests::static_runner;
    use super::*;

    fn recipe(flavour: Flavour, claude: Option<&str>, runner: &[u8]) -> Recipe {
        Recipe::new(flavour, claude, None, &static_runner(runner)).unwrap()
    }

    #[test]
    fn the_dockerfile_pins_a_version_of_each_cli() {
        for name in ["CLAUDE_VERSION", "CODEX_VERSION", "NODE_WHEEL_VERSION"] {
            assert_eq!(version(pinned(name)).as_deref(), Ok(pinned(name)), "{name}");
        }
        assert_eq!(pinned("NO_SUCH_VERSION"), "");
    }

    #[test]
    fn a_build_by_hand_is_labelled_with_the_protocol_that_the_runner_speaks() {
        assert_eq!(pinned("LONGSHORE_PROTOCOL"), PROTOCOL_VERSION.to_string());
    }

    #[test]
    fn the_dockerfile_has_a_stage_for_each_flavour_and_ends_with_the_agent() {
        for flavour in [Flavour::Agent, Flavour::Browser] {
            assert!(DOCKERFILE.lines().any(|line| line.ends_with(&format!(" AS {}", flavour.target()))));
        }
        assert_eq!(DOCKERFILE.trim_end().lines().last(), Some("FROM agent"));
        assert!(DOCKERFILE.contains(&format!("FROM {BASE_IMAGE} AS tools")));
    }

    #[test]
    fn the_dockerfile_uses_nothing_that_the_classic_builder_lacks() {
        for feature in ["# syntax", "<<", "--chmod", "--mount", "--link", "$BUILDPLATFORM"] {
            assert!(!DOCKERFILE.contains(feature), "{feature}");
        }
    }

    #[test]
    fn each_finished_image_carries_every_label_that_the_host_asks_for() {
        for flavour in [Flavour::Agent, Flavour::Browser] {
            let name = format!(" AS {}\n", flavour.target());
            let (_before, stage) = DOCKERFILE.split_once(&name).unwrap();
            let stage = stage.split("\nFROM ").next().unwrap();
            for label in [LABEL_PROTOCOL, LABEL_CLAUDE, LABEL_CODEX, LABEL_STAGE] {
                assert!(stage.contains(&format!("{label}=")), "{label} of {flavour:?}");
            }
        }
    }

    #[test]
    fn whatever_goes_in_changes_the_hash() {
        let plain = recipe(Flavour::Agent, None, b"one");
        assert_eq!(plain.inputs(), recipe(Flavour::Agent, None, b"one").inputs());
        assert_eq!(plain.inputs().len(), 64);
        for other in [
            recipe(Flavour::Browser, None, b"one"),
            recipe(Flavour::Agent, Some("2.0.0"), b"one"),
            recipe(Flavour::Agent, None, b"two"),
        ] {
            assert_ne!(plain.inputs(), other.inputs(), "{other:?}");
        }
    }

    #[test]
    fn a_version_that_is_none_is_refused() {
        let runner = static_runner(b"");
        for text in ["", "latest", "1.0; rm -rf /", "1.0 2", "1$(id)", "../1", &"1".repeat(65)] {
            assert!(Recipe::new(Flavour::Agent, Some(text), None, &runner).is_err(), "{text}");
            assert!(Recipe::new(Flavour::Agent, None, Some(text), &runner).is_err(), "{text}");
        }
        assert!(Recipe::new(Flavour::Agent, Some("2.1.330-beta.1+x"), None, &runner).is_ok());
    }
}
