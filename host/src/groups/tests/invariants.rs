use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::load_bytes;
use crate::groups::{Groups, Loaded};

/// Entries with few names, so that they compete, and now and then a mistake.
fn entry() -> impl Strategy<Value = String> {
    let folder = prop::sample::select(vec!["main", "Main", "x", "y", "z", "../x"]);
    let main = prop::sample::select(vec!["", r#", "isMain": true"#, r#", "isMain": false"#]);
    let rest = prop::sample::select(vec!["", "", "", r#", "cpus": 1"#, r#", "oops": 1"#]);
    (folder, main, rest)
        .prop_map(|(folder, main, rest)| format!(r#"{{"name": "n", "folder": "{folder}"{main}{rest}}}"#))
}

fn whole() -> impl Strategy<Value = String> {
    let chat = prop::sample::select(vec!["a", "b", "c", "d", "e"]);
    prop::collection::vec((chat, entry()), 0..6).prop_map(|entries| {
        let entries: Vec<String> = entries.iter().map(|(chat, entry)| format!(r#""{chat}": {entry}"#)).collect();
        format!("{{{}}}", entries.join(",\n"))
    })
}

fn file() -> impl Strategy<Value = String> {
    prop_oneof![8 => whole(), 1 => whole().prop_map(|text| text[..text.len() / 2].to_owned())]
}

fn check(loaded: &Loaded, previous: &Groups, text: &str) {
    let groups = &loaded.groups;
    let folders: HashSet<String> = groups.iter().map(|group| group.id.as_str().to_ascii_lowercase()).collect();
    assert_eq!(folders.len(), groups.len(), "two groups share a folder");
    assert!(groups.iter().filter(|group| group.is_main).count() <= 1, "two groups are main");
    assert_eq!(groups.generation(), previous.generation() + 1);
    for group in groups.iter() {
        assert!(group.generation <= groups.generation());
        assert_eq!(groups.by_id(&group.id).unwrap(), group);
    }
    let file: Option<BTreeMap<String, serde_json::Value>> = serde_json::from_str(text).ok();
    let Some(file) = file else {
        assert!(loaded.is_unreadable());
        assert!(groups.iter().eq(previous.iter()), "a file that is no JSON changed something");
        return;
    };
    for chat in file.keys() {
        let complained = loaded.problems.iter().any(|problem| problem.chat.as_deref() == Some(chat));
        let served = groups.by_chat(chat).is_some();
        assert!(served || complained, "`{chat}` is not served and nobody says why");
        assert!(served || previous.by_chat(chat).is_none(), "a mistake silenced `{chat}`");
    }
    assert!(groups.iter().all(|group| file.contains_key(&group.chat)), "a group outlived its entry");
}

proptest! {
    #[test]
    fn no_sequence_of_edits_silences_a_group_or_gives_two_the_same_folder(files in prop::collection::vec(file(), 1..8)) {
        let mut groups = Groups::default();
        for text in files {
            let loaded = load_bytes(text.as_bytes(), &groups);
            check(&loaded, &groups, &text);
            groups = loaded.groups;
        }
    }

    #[test]
    fn what_a_file_means_does_not_depend_on_itself_having_been_read_before(text in file()) {
        let once = load_bytes(text.as_bytes(), &Groups::default());
        let twice = load_bytes(text.as_bytes(), &once.groups);
        prop_assert!(once.groups.iter().eq(twice.groups.iter()));
    }

    #[test]
    fn any_bytes_are_groups_or_problems_with_places(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let loaded = load_bytes(&bytes, &Groups::default());
        prop_assert!(loaded.problems.iter().all(|problem| problem.position.is_some()));
        prop_assert!(!loaded.problems.is_empty() || !loaded.groups.is_empty() || bytes.len() >= 2);
    }

    #[test]
    fn any_cut_or_changed_file_is_groups_or_problems_with_places(
        text in file(),
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["", "{", "}", "[", ",", "\"", "\\", ":", "1", "\u{0}", "ä", "//", "null"]),
    ) {
        let at = text.floor_char_boundary(at.index(text.len() + 1));
        let changed = format!("{}{with}{}", &text[..at], &text[at..]);
        let loaded = load_bytes(changed.as_bytes(), &Groups::default());
        prop_assert!(loaded.problems.iter().all(|problem| problem.position.is_some()));
        if serde_json::from_str::<serde_json::Value>(&changed).is_err() {
            prop_assert!(loaded.is_unreadable());
        }
    }
}
