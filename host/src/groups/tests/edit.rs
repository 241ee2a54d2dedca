use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::first;
use crate::groups::edit::{EditError, GroupsFile, Target};
use crate::groups::{Entry, FILE_NAME};

/// As an operator may write: odd spacing, own order.
const OPERATORS: &str = r#"{
    "$schema": "../docs/schema/registered_groups.schema.json",

    "b@g.us" : {"folder":"b",   "name":"B \u00e4"},
    "a@g.us": {
        "name": "A", "trigger": "@Bob",
        "folder": "a",
        "containerConfig": { "timeout": 600000 }
    }
}
"#;

fn file(content: Option<&str>) -> (tempfile::TempDir, GroupsFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    if let Some(content) = content {
        fs::write(&path, content).unwrap();
    }
    (directory, GroupsFile::new(path))
}

fn content(directory: &tempfile::TempDir) -> String {
    fs::read_to_string(directory.path().join(FILE_NAME)).unwrap()
}

fn entry(folder: &str) -> Entry {
    Entry { name: folder.to_owned(), folder: folder.to_owned(), ..Entry::default() }
}

#[test]
fn an_edit_keeps_the_operators_order_fields_and_formatting() {
    let (directory, groups) = file(Some(OPERATORS));
    groups.add("c@g.us", &entry("c")).unwrap();
    groups.set(Target::Chat("a@g.us"), &["trigger"], json!("@Ann")).unwrap();
    groups.set(Target::Folder(&"a".parse().unwrap()), &["providerConfig", "codex", "model"], json!("m")).unwrap();
    groups.set(Target::Chat("a@g.us"), &["containerConfig", "timeout"], json!(null)).unwrap();
    groups.set(Target::Chat("b@g.us"), &["requiresTrigger"], json!(false)).unwrap();
    insta::assert_snapshot!(content(&directory));
    groups.remove(Target::Chat("c@g.us")).unwrap();
    groups.remove(Target::Folder(&"b".parse().unwrap())).unwrap();
    insta::assert_snapshot!(content(&directory));
}

#[test]
fn a_missing_file_is_made_and_an_edit_leaves_nothing_else_behind() {
    let (directory, groups) = file(None);
    groups.add("c@g.us", &entry("c")).unwrap();
    assert_eq!(content(&directory), "{\n  \"c@g.us\": {\n    \"name\": \"c\",\n    \"folder\": \"c\"\n  }\n}\n");
    groups.remove(Target::Chat("c@g.us")).unwrap();
    assert_eq!(content(&directory), "{}\n");
    let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["registered_groups.json", "registered_groups.json.lock"]);
}

#[test]
fn an_edit_that_would_be_a_problem_is_refused_and_changes_nothing() {
    let (directory, groups) = file(Some(OPERATORS));
    let mut refusals = String::new();
    for result in [
        groups.add("c@g.us", &entry("a")),
        groups.add("c@g.us", &entry("../x")),
        groups.add("", &entry("c")),
        groups.add("a@g.us", &entry("c")),
        groups.add("$schema", &entry("c")),
        groups.set(Target::Chat("a@g.us"), &["providr"], json!("codex")),
        groups.set(Target::Chat("a@g.us"), &["name", "first"], json!("x")),
        groups.set(Target::Chat("a@g.us"), &[], json!({})),
        groups.set(Target::Chat("a@g.us"), &["folder"], json!("b")),
        groups.set(Target::Chat("a@g.us"), &["name"], json!(null)),
        groups.set(Target::Chat("$schema"), &["name"], json!("x")),
        groups.remove(Target::Chat("z@g.us")),
    ] {
        refusals += &format!("{}\n", result.unwrap_err());
    }
    assert_eq!(content(&directory), OPERATORS);
    insta::assert_snapshot!(refusals);
}

#[test]
fn a_problem_of_another_entry_does_not_stand_in_the_way() {
    let (directory, groups) = file(Some(r#"{ "a": { "name": "A", "folder": "a", "providr": 1 } }"#));
    groups.add("b", &entry("b")).unwrap();
    let loaded = first(&content(&directory));
    assert!(loaded.groups.by_chat("b").is_some());
    assert_eq!(loaded.problems.len(), 1);
    // One mistake after the other can be taken away.
    groups.set(Target::Chat("a"), &["providr"], json!(null)).unwrap();
    assert!(first(&content(&directory)).problems.is_empty());
}

#[test]
fn a_file_that_is_not_json_is_never_overwritten() {
    for broken in ["", "{ \"a\": ", "{ // mine\n}", "[]"] {
        let (directory, groups) = file(Some(broken));
        assert!(matches!(groups.add("c", &entry("c")), Err(EditError::Unreadable(_))), "{broken:?}");
        assert_eq!(content(&directory), broken);
    }
}

#[test]
fn texts_come_back_as_they_were_given() {
    let (directory, groups) =
        file(Some("\u{feff}{\r\n  \"a\": {\r\n    \"name\": \"A\",\r\n    \"folder\": \"a\"\r\n  }\r\n}\r\n"));
    let name = "\"\\\u{8}\u{c}\n\r\t/ä\u{2028}\u{1f600}\u{7f}\u{1}";
    groups.set(Target::Chat("a"), &["name"], json!(name)).unwrap();
    groups.add("\"b\\", &Entry { name: name.to_owned(), ..entry("b") }).unwrap();
    let text = content(&directory);
    assert!(text.starts_with('\u{feff}') && !text.replace("\r\n", "").contains('\n'), "{text:?}");
    let loaded = first(&text);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert!(loaded.groups.iter().all(|group| group.name == name) && loaded.groups.by_chat("\"b\\").is_some());
}

#[test]
fn permissions_and_symbolic_links_stay() {
    let (directory, _) = file(Some("{}"));
    let real = directory.path().join(FILE_NAME);
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = directory.path().join("link.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    GroupsFile::new(&link).add("c", &entry("c")).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(first(&content(&directory)).groups.len(), 1);
}

#[test]
fn eight_editors_at_once_lose_nothing() {
    let (directory, groups) = file(None);
    thread::scope(|scope| {
        for editor in 0..8 {
            let groups = &groups;
            scope.spawn(move || {
                for n in 0..5 {
                    groups.add(&format!("{editor}-{n}@g.us"), &entry(&format!("g{editor}-{n}"))).unwrap();
                    if n == 4 {
                        groups.remove(Target::Chat(&format!("{editor}-0@g.us"))).unwrap();
                    }
                }
            });
        }
    });
    let loaded = first(&content(&directory));
    assert!(loaded.problems.is_empty());
    assert_eq!(loaded.groups.len(), 32);
}

/// An operator's editor knows no lock and replaces the file whenever it likes.
#[test]
fn an_operators_save_during_an_edit_is_not_lost() {
    let (directory, groups) = file(None);
    let path = directory.path().join(FILE_NAME);
    let text = |round: i32| format!(r#"{{ "operator": {{ "name": "{round}", "folder": "operator" }} }}"#);
    fs::write(&path, text(-1)).unwrap();
    for round in 0..60 {
        thread::scope(|scope| {
            scope.spawn(|| groups.set(Target::Chat("operator"), &["pidsLimit"], json!(100 + round)).unwrap());
            scope.spawn(|| {
                thread::sleep(Duration::from_micros(u64::try_from(round).unwrap() * 97 % 4000));
                let saved = path.with_extension("swp");
                fs::write(&saved, text(round)).unwrap();
                fs::rename(&saved, &path).unwrap();
            });
        });
        // What the host wrote before the save is overwritten by the operator's editor; the other way round never.
        let loaded = first(&content(&directory));
        assert_eq!(loaded.groups.by_chat("operator").unwrap().name, round.to_string());
    }
}
