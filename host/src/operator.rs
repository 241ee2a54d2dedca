//! Where the operator's own files are, outside of the installation: nothing in a container reaches them.

use std::path::{Path, PathBuf};

/// The folder of the operator's allowlists, in the folder of all programs' settings.
const SETTINGS: &str = "longshore";
/// That folder, where the environment names no other, under the home directory.
const ALL_SETTINGS: &str = ".config";

/// The operator's places on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The home directory.
    pub home: PathBuf,
    /// The folder of the allowlists.
    pub settings: PathBuf,
    /// The engine's socket, if the environment names one.
    pub engine_socket: Option<PathBuf>,
}

impl Operator {
    /// As the environment says: `HOME`, or else the user's entry in the system's list; `XDG_CONFIG_HOME`, or
    /// else `.config` there; and `DOCKER_HOST`.
    #[must_use]
    pub fn of_environment() -> Self {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let engine = std::env::var("DOCKER_HOST").ok();
        let socket = engine.as_deref().and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from);
        // Where there is no home there are no allowlists either.
        let home = home.unwrap_or_else(|| PathBuf::from("/nonexistent"));
        // The XDG rule: what is not absolute counts as not set.
        let all = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        Self { engine_socket: socket, ..Self::at(home, all) }
    }

    /// With this home, and this folder of all programs' settings instead of the one in it.
    #[must_use]
    pub fn at(home: PathBuf, all_settings: Option<PathBuf>) -> Self {
        let settings = all_settings.unwrap_or_else(|| home.join(ALL_SETTINGS)).join(SETTINGS);
        Self { home, settings, engine_socket: None }
    }

    /// What a path that a person wrote means; `None` if it says nothing without a working directory.
    #[must_use]
    pub fn path(&self, written: &str) -> Option<PathBuf> {
        match written.strip_prefix('~') {
            Some("") => Some(self.home.clone()),
            Some(rest) => rest.strip_prefix('/').map(|rest| self.home.join(rest.trim_start_matches('/'))),
            None => Some(Path::new(written)).filter(|path| path.is_absolute()).map(Path::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_at_the_root_or_at_home() {
        let operator = Operator::at("/home/ada".into(), None);
        for (written, path) in [
            ("~", Some("/home/ada")),
            ("~/notes", Some("/home/ada/notes")),
            ("~//etc", Some("/home/ada/etc")),
            ("/srv/x", Some("/srv/x")),
            ("~bob/x", None),
            ("notes", None),
            ("./notes", None),
            ("", None),
        ] {
            assert_eq!(operator.path(written).as_deref(), path.map(Path::new), "{written}");
        }
    }

    #[test]
    fn the_lists_are_where_settings_are() {
        assert_eq!(Operator::at("/h".into(), None).settings, Path::new("/h/.config/longshore"));
        assert_eq!(Operator::at("/h".into(), Some("/x".into())).settings, Path::new("/x/longshore"));
    }
}
