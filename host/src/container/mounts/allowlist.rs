//! The mount allowlist, `mount-allowlist.json` in the operator's settings folder: its format. Pure.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::{DEFAULTS, Pattern};
use crate::strict::{self, Mistake, Step};

/// The name of the file, in the operator's settings folder.
pub const FILE_NAME: &str = "mount-allowlist.json";

/// The file. Without it nothing is mounted beyond what every group has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "mount-allowlist.json")]
pub struct MountFile {
    /// Where editors find the schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The folders of which something may be mounted.
    #[schemars(length(max = 1000))]
    pub allowed_roots: Vec<AllowedRoot>,
    /// Names that may not be in a mount's path, besides the built-in ones. A `*` is any text.
    #[schemars(length(max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_patterns: Option<Vec<String>>,
    /// Whether groups other than the main one may only read. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_main_read_only: Option<bool>,
}

/// A folder of which something may be mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoot {
    /// The folder on the host; starts with `/` or `~`.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
    /// Whether a container may be let write there. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_read_write: Option<bool>,
    /// What it is, for people.
    #[schemars(length(max = 4096))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Reads the file's bytes.
///
/// # Errors
/// Every mistake; nothing of a file with a mistake is used.
pub fn read(bytes: &[u8]) -> Result<MountFile, Vec<Mistake>> {
    strict::read::<MountFile>(bytes, |file, report| {
        for (index, root) in file.allowed_roots.iter().enumerate() {
            let is_home = root.path == "~" || root.path.starts_with("~/");
            let place = [Step::Key("allowedRoots"), Step::Element(index), Step::Key("path")];
            if root.path.contains('\0') {
                report.mistake(&place, "holds a NUL character");
            } else if !is_home && !Path::new(&root.path).is_absolute() {
                report.mistake(&place, "must start with `/` or `~/`");
            }
        }
        for (index, pattern) in file.blocked_patterns.iter().flatten().enumerate() {
            if Pattern::new(pattern).is_none() {
                report.mistake(&[Step::Key("blockedPatterns"), Step::Element(index)], "names nothing");
            }
        }
    })
}

impl MountFile {
    /// The built-in patterns and the file's.
    #[must_use]
    pub fn blocked(&self) -> Vec<Pattern> {
        let own = self.blocked_patterns.iter().flatten().map(String::as_str);
        DEFAULTS.into_iter().chain(own).filter_map(Pattern::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_nanoclaw_is_read_as_it_is() {
        let file = br#"{"allowedRoots":[{"path":"~/projects","allowReadWrite":true,"description":"x"}],
            "blockedPatterns":["password"],"nonMainReadOnly":true}"#;
        let read = read(file).unwrap();
        assert_eq!(
            (read.allowed_roots[0].path.as_str(), read.allowed_roots[0].allow_read_write),
            ("~/projects", Some(true))
        );
        assert_eq!(read.non_main_read_only, Some(true));
        assert!(read.blocked().iter().any(|pattern| pattern.blocks(Path::new("/x/password"))));
        assert!(read.blocked().iter().any(|pattern| pattern.blocks(Path::new("/x/.ssh"))));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let told = |text: &str| {
            let mistakes = read(text.as_bytes()).unwrap_err();
            mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let file = r#"{
  "allowedRoots": [{ "path": "projects" }, { "path": "~bob/x", "allowReadwrite": "yes" }, "~/y", {}],
  "blockedPatterns": ["/", ".x", 3],
  "nonMainReadonly": true
}"#;
        insta::assert_snapshot!(told(file));
        insta::assert_snapshot!("files_that_are_none", ["", "{", "[]", "{}", "{ // no\n}"].map(told).join("\n"));
    }

    /// Set `UPDATE_SCHEMA=1` to write the file anew after a change of the types.
    #[test]
    fn the_checked_in_schema_is_the_one_of_the_types() {
        let schema = crate::groups::entry::schema_of::<MountFile>();
        crate::strict::tests::compare("mount-allowlist", &schema);
    }
}
