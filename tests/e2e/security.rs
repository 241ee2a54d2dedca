//! `docs/SECURITY.md` names the tests that keep its promises; here it is kept from rotting.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The names of the tests in the files of a folder.
fn tests(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for test in text.split("#[test]\n").skip(1) {
            let name = test.trim_start().strip_prefix("fn ").and_then(|test| test.split('(').next());
            found.insert(name.unwrap_or_else(|| panic!("no function after `#[test]`: {test}")).to_owned());
        }
    }
    found
}

/// The names in the last column of the table of promises.
fn named(page: &str) -> BTreeSet<String> {
    let table = page.split("## What is promised").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    cells.flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`').to_owned())).collect()
}

#[test]
fn every_promise_names_attacks_that_exist_and_every_attack_keeps_a_promise() {
    let page = std::fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let (named, there) = (named(&page), tests(&root().join("tests/e2e/redteam")));
    assert!(there.len() >= 40, "only {} attacks", there.len());
    let gone: Vec<_> = named.difference(&there).collect();
    assert!(gone.is_empty(), "the page names tests that do not exist: {gone:?}");
    let unnamed: Vec<_> = there.difference(&named).collect();
    assert!(unnamed.is_empty(), "the page does not name: {unnamed:?}");
}
