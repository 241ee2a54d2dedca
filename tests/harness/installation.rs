//! A throw-away installation.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder that `longshore init` made; gone when dropped.
pub struct Installation {
    folder: TempDir,
}

impl Installation {
    /// A fresh installation, as `longshore init` leaves it.
    #[must_use]
    pub fn new() -> Self {
        Self::made_by(&["init"])
    }

    /// One without groups, as `longshore init --bare` leaves it.
    #[must_use]
    pub fn bare() -> Self {
        Self::made_by(&["init", "--bare"])
    }

    fn made_by(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("longshore-test-").tempdir().expect("a temporary folder");
        let installation = Self { folder };
        let output = installation.longshore(arguments);
        assert!(output.status.success(), "init failed: {}", String::from_utf8_lossy(&output.stderr));
        installation
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// What its containers are labelled with.
    #[must_use]
    pub fn root_hash(&self) -> String {
        longshore::container::Installation::of(self.root()).expect("the root").root_hash
    }

    /// A file under the root.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Keeps the folder, so that it can be looked at.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// Adds lines to `.env`.
    pub fn env(&self, lines: &str) {
        let path = self.path(".env");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}\n{lines}\n")).expect(".env can be written");
    }

    /// Whether `.env` sets something.
    fn names(&self, key: &str) -> bool {
        let text = std::fs::read_to_string(self.path(".env")).unwrap_or_default();
        text.lines().any(|line| line.starts_with(&format!("{key}=")))
    }

    /// Replaces the groups file.
    pub fn groups(&self, json: &str) {
        std::fs::write(self.path("data/registered_groups.json"), json).expect("the groups file can be written");
    }

    /// Runs a command of `longshore` to its end.
    #[must_use]
    pub fn longshore(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("longshore can be started")
    }

    /// `longshore --root <here>`, with a clean environment.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for name in ["HOME", "DOCKER_HOST"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // The allowlists of whoever runs the tests say nothing about them.
        command.env("XDG_CONFIG_HOME", self.path(".config"));
        // A whole run of the tests can be made with another link, or another image.
        if let Some(link) = std::env::var_os("LONGSHORE_TEST_LINK") {
            command.env("BROKER_LINK", link);
        }
        if let Some(image) = std::env::var_os("LONGSHORE_TEST_IMAGE")
            && !self.names("CONTAINER_IMAGE")
        {
            command.env("CONTAINER_IMAGE", image);
        }
        // No test asks a registry of the world; one that looks at releases says where.
        if !self.names("CLI_UPDATES") {
            command.env("CLI_UPDATES", "never");
        }
        // A container that waits for a next host would outlive its test.
        command.env("KEEP_WARM_SECONDS", "0");
        command.arg("--root").arg(self.root());
        command
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether containers reach the broker by its socket in this run of the tests.
#[must_use]
pub fn has_socket() -> bool {
    std::env::var_os("LONGSHORE_TEST_LINK").is_none_or(|link| link != "exec")
}

/// The agent image of these tests: the one that `LONGSHORE_TEST_IMAGE` names, or the usual one.
#[must_use]
pub fn image() -> String {
    std::env::var("LONGSHORE_TEST_IMAGE").unwrap_or_else(|_| "longshore-agent:latest".to_owned())
}

/// The `longshore` binary that was built with these tests, or the one that `LONGSHORE_BIN` names.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LONGSHORE_BIN") {
        return path.into();
    }
    beside("longshore")
}

/// A program that was built with this one.
#[must_use]
pub fn beside(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this program's own path");
    this.ancestors()
        .skip(1)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not built: run `make test`, or `cargo build` first"))
}
