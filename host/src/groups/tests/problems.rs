use super::{first, rendered};
use crate::groups::{MAX_FILE_BYTES, load};

#[test]
fn every_problem_of_a_file_is_reported_at_once_with_its_place() {
    let loaded = first(
        r#"{
  "$schema": 1,
  "typo@g.us": { "name": "A", "folder": "a", "providr": "codex", "is_main": true, "zzz": 1 },
  "provider@g.us": { "name": "A", "folder": "b", "provider": "codx" },
  "provider2@g.us": { "name": "A", "folder": "b2", "provider": "gemini" },
  "folder@g.us": { "name": "", "folder": "../../etc" },
  "global@g.us": { "name": "A", "folder": "GLOBAL" },
  "missing@g.us": {},
  "kinds@g.us": { "name": 1, "folder": null, "requiresTrigger": "no", "cpus": "two", "pidsLimit": 1.5, "containerConfig": [] },
  "ranges@g.us": { "name": "A", "folder": "c", "cpus": 0, "pidsLimit": 5000000000,
    "containerConfig": { "timeout": 600, "additionalMounts": [ { "hostPath": "/x" }, { "hostpath": "/y" } ] } },
  "deep@g.us": { "name": "A", "folder": "d", "timezone": "Europe/Berln", "memoryLimit": "2x", "trigger": "  ",
    "providerConfig": { "codex": { "model": "-m", "configOverrides": { "a=b": 1, "c": [] } }, "claude": { "tools": "files" } } },
  "out@g.us": { "name": "A", "folder": "o", "containerConfig": { "egress": "all" } },
  "out2@g.us": { "name": "A", "folder": "o2", "containerConfig": { "egressAllow": [ "ok.example", 7, "https://x.example/", "*",
    "10.0.0.1", "münchen.example", "example.com:99999" ] } },
  "small@g.us": { "name": "A", "folder": "e", "memoryLimit": 1024 },
  "overrides@g.us": { "name": "A", "folder": "g", "providerConfig": { "codex": { "model": "-m",
    "configOverrides": { "a=b": 1, "big": 18446744073709551615 } }, "claude": { "model": "a b" } }, "trigger": "\u200b" , "timezone": "Mars" },
  "ok@g.us": { "name": "Ünïcödé", "folder": "f", "folder": "g" },
  "dup@g.us": { "name": "A", "folder": "h" }, "dup@g.us": { "name": "B", "folder": "i" },
  "same@g.us": { "name": "A", "folder": "H" },
  "main1@g.us": { "name": "A", "folder": "m1", "isMain": true },
  "main2@g.us": { "name": "A", "folder": "m2", "isMain": true },
  "": { "name": "A", "folder": "j" },
  "text@g.us": "family",
  "it's\n": { "name": "A", "folder": "k" }
}"#,
    );
    insta::assert_snapshot!(rendered(&loaded));
    assert_eq!(loaded.groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["h", "m1"]);
}

#[test]
fn what_is_no_json_is_told_in_a_sentence_with_its_place() {
    let mut all = String::new();
    for text in [
        "",
        "  \n",
        "[]",
        "{\n  // the family\n}",
        "{\n  \"a\": 1,\n}",
        "{\n  \"a\": [1,]}",
        "{\n  \"ä\": 1 \"b\": 2 }",
        "{ a: 1 }",
        "{ 'a': 1 }",
        "{\n  \"a\": {\n    \"name\": \"A\"\n",
        "{ \"a\": \"x\n\" }",
        "{ \"a\": \"\\x\" }",
        "{ \"a\": 01 }",
        "{ \"a\": 0x1 }",
        "{ \"a\": NaN }",
        "{ \"a\" 1 }",
        "{}\n{}",
        "{ \"a\":\u{a0}1 }",
    ] {
        let problems = rendered(&first(text));
        assert_eq!(problems.lines().count(), 1, "{text}");
        all += &format!("{text:?}\n    {problems}");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn hostile_files_are_refused_and_not_crashed_on() {
    let nested = "[".repeat(1_000_000);
    assert!(rendered(&first(&nested)).contains("line 1, column 33: `$`: nested deeper"));
    let nested = format!(r#"{{"a": {}{}}}"#, "[".repeat(20), "]".repeat(20));
    assert!(rendered(&first(&nested)).contains("`$.a`: expected an object, found a list"));
    let latin1 = load(b"{ \"a\": \"\xe4\" }", &crate::groups::Groups::default());
    assert!(rendered(&latin1).contains("line 1, column 9: `$`: the text is not UTF-8 here"));
    let huge = vec![b' '; MAX_FILE_BYTES + 1];
    assert!(rendered(&load(&huge, &crate::groups::Groups::default())).contains("the file has 16777217 bytes"));
}

#[test]
fn problems_beyond_a_readable_number_are_counted() {
    let entries: Vec<String> = (0..2000).map(|n| format!("\"{n}\": 1")).collect();
    let loaded = first(&format!("{{{}}}", entries.join(",\n")));
    assert_eq!(loaded.problems.len(), 501);
    assert_eq!(loaded.problems[500].to_string(), "`$`: 1500 more problems are not listed (this alone is ignored)");
    assert!(loaded.groups.is_empty());
}

#[test]
fn a_byte_order_mark_is_no_problem_and_moves_no_column() {
    assert_eq!(rendered(&first("\u{feff}{}")), "");
    assert!(rendered(&first("\u{feff}{ 1 }")).starts_with("line 1, column 3:"));
}
