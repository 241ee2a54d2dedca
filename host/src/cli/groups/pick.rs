//! Which of a channel's chats, and in which folder: what the operator is shown, and what the answer means. Pure.

use longshore_protocol::GroupId;

use super::super::table::table;
use crate::store::introduced::Introduced;

/// The longest folder that is suggested.
const MAX_FOLDER: usize = 40;

/// The chats with their numbers, from 1.
pub(super) fn listed(chats: &[Introduced]) -> String {
    let rows: Vec<Vec<String>> = chats
        .iter()
        .enumerate()
        .map(|(at, chat)| {
            let kind = if chat.is_group { "group" } else { "direct" };
            vec![(at + 1).to_string(), one_line(&chat.name), kind.to_owned(), chat.chat.clone()]
        })
        .collect();
    table(&["", "NAME", "KIND", "CHAT"], &rows)
}

fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What an answer to the list means: a number in it, or what [`named`] finds; `None` for anything else.
pub(super) fn chosen<'a>(chats: &'a [Introduced], answer: &str) -> Option<&'a Introduced> {
    match answer.trim().parse::<usize>() {
        Ok(number) => chats.get(number.checked_sub(1)?),
        Err(_) => named(chats, answer),
    }
}

/// The chat with this id, or the only one with this name.
pub(super) fn named<'a>(chats: &'a [Introduced], which: &str) -> Option<&'a Introduced> {
    let which = which.trim();
    if let Some(exact) = chats.iter().find(|chat| chat.chat == which) {
        return Some(exact);
    }
    let mut named = chats.iter().filter(|chat| one_line(&chat.name).to_lowercase() == which.to_lowercase());
    named.next().filter(|_| named.next().is_none())
}

/// A folder for a chat of this name that nobody has: `Family 🏠` is `family`, else `family-2` and so on.
pub(super) fn folder_for(name: &str, is_taken: impl Fn(&GroupId) -> bool) -> Option<GroupId> {
    let mut plain = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            plain.push(character.to_ascii_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('-') {
            plain.push('-');
        }
    }
    plain.truncate(MAX_FOLDER);
    let plain = match plain.trim_matches('-') {
        "" => "group",
        plain => plain,
    };
    let numbered = (2..1000).map(|number| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.to_owned()).chain(numbered).filter_map(|name| name.parse().ok());
    names.find(|name| !is_taken(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chats() -> Vec<Introduced> {
        [
            ("1@g.us", "Family", true),
            ("2@g.us", "Work\nTeam", true),
            ("3@g.us", "Work Team", true),
            ("49@s", "2", false),
        ]
        .map(|(chat, name, is_group)| Introduced { chat: chat.into(), name: name.into(), is_group })
        .to_vec()
    }

    #[test]
    fn the_list_has_a_line_for_each_whatever_its_name() {
        insta::assert_snapshot!(listed(&chats()), @r"
           NAME       KIND    CHAT
        1  Family     group   1@g.us
        2  Work Team  group   2@g.us
        3  Work Team  group   3@g.us
        4  2          direct  49@s
        ");
    }

    #[test]
    fn an_answer_is_a_number_an_id_or_a_name_that_only_one_has() {
        let chats = chats();
        for (answer, chat) in [
            ("1", Some("1@g.us")),
            (" 4 \n", Some("49@s")),
            ("2@g.us", Some("2@g.us")),
            ("family", Some("1@g.us")),
            ("2", Some("2@g.us")),
            ("work team", None),
            ("0", None),
            ("5", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(chosen(&chats, answer).map(|chat| chat.chat.as_str()), chat, "{answer:?}");
        }
        // Without a list before it a number is no place in it.
        assert_eq!(named(&chats, "2").map(|chat| chat.chat.as_str()), Some("49@s"));
        assert_eq!(named(&chats, "1"), None);
    }

    #[test]
    fn a_folder_comes_of_the_name_and_is_nobody_elses() {
        let long = "a".repeat(200);
        let free = |name| folder_for(name, |_| false).unwrap().as_str().to_owned();
        for (name, folder) in [
            ("Family", "family"),
            ("Family 🏠 (new)", "family-new"),
            ("  ../etc/passwd ", "etc-passwd"),
            ("Семья", "group"),
            ("", "group"),
            (&*long, &long[..MAX_FOLDER]),
        ] {
            assert_eq!(free(name), folder, "{name}");
        }
        let taken = |id: &GroupId| ["family", "family-2"].contains(&id.as_str());
        assert_eq!(folder_for("Family", taken).unwrap().as_str(), "family-3");
        // A name that the host has for itself is no group's.
        assert_eq!(free("global"), "global-2");
        assert_eq!(folder_for("x", |_| true), None);
    }
}
