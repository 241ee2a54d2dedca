use proptest::prelude::*;

use super::*;
use crate::groups::{Groups, load};

fn message(text: &str) -> ChatMessage {
    ChatMessage {
        id: "m".to_owned(),
        chat: "c".to_owned(),
        sender: "s".to_owned(),
        sender_alt: None,
        sender_name: String::new(),
        text: text.to_owned(),
        timestamp: "2026-01-31T12:00:00Z".to_owned(),
        is_group: true,
        from_me: false,
        mentions_me: false,
        reply_to: None,
        reaction: false,
        offline: false,
    }
}

fn group(fields: &str) -> Group {
    let file = format!(r#"{{"c": {{"name": "Family", "folder": "family"{fields}}}}}"#);
    let loaded = load(file.as_bytes(), &Groups::default());
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Group::clone(loaded.groups.by_chat("c").unwrap())
}

fn words() -> Words {
    Words { assistant: "Andy".to_owned(), stop: "/stop".to_owned() }
}

fn said(fields: &str, message: &ChatMessage) -> String {
    route(Some(&group(fields)), message, &words(), Authorship::default()).to_string()
}

#[test]
fn the_stop_word_alone_or_after_the_trigger_stops_the_turn() {
    for (text, stops) in [
        ("/stop", true),
        (" /STOP \n", true),
        ("@Andy /stop", true),
        ("@andy: /stop", true),
        ("/stop now", false),
        ("please /stop", false),
        ("/stopp", false),
        ("@Bob /stop", false),
    ] {
        for fields in ["", r#", "requiresTrigger": false"#, r#", "isMain": true"#] {
            assert_eq!(said(fields, &message(text)) == "stops the turn", stops, "{text} {fields}");
        }
    }
}

#[test]
fn a_trigger_is_found_as_people_see_it() {
    for (trigger, text, matches) in [
        // The end of the word.
        ("@Andy", "@Andy", true),
        ("@Andy", "@Andy, hi", true),
        ("@Andy", "@Andy: hi", true),
        ("@Andy", "@Andy's turn", true),
        ("@Andy", "@Andy\nhi", true),
        ("@Andy", "@Andy👋", true),
        ("@Andy", "@andys", false),
        ("@Andy", "@Andy_2", false),
        ("@Andy", "@Andy2", false),
        ("@Andy", "@Andyа", false),
        ("@Andy", "@And", false),
        // The start of the text.
        ("@Andy", "  \t\n@ANDY hi", true),
        ("@Andy", "\u{3000}@andy", true),
        ("@Andy", "\u{200e}\u{200b}\u{feff} @Andy", true),
        ("@Andy", "@\u{2068}Andy\u{2069} hi", true),
        ("@Andy", "hi @Andy", false),
        ("@Andy", "Andy", false),
        ("@Andy", "", false),
        // How it was typed.
        ("@Andy", "＠Andy", true),
        ("@Andy", "＠Ａｎｄｙ　hi", true),
        ("＠Andy", "@Andy hi", true),
        ("@Zoë", "@Zoë hi", true),
        ("@Zoë", "@Zoe\u{308} hi", true),
        ("@Zoe\u{308}", "@ZOË, hi", true),
        ("@Zoe", "@Zoë hi", false),
        ("@Zoe", "@Zoe\u{308} hi", false),
        ("@ανδρεας", "@ΑΝΔΡΕΑΣ", true),
        ("@İlker", "@i̇lker", true),
        // Writing without spaces.
        ("@小明", "@小明 你好", true),
        ("@小明", "@小明你好", true),
        ("@小明", "@小明，你好", true),
        ("@小明", "@小李", false),
        ("@Andy", "@Andy你好", true),
        ("@Andy", "@Andyさん", true),
        ("@アンディ", "@ｱﾝﾃﾞｨさん", true),
        ("@앤디", "@앤디야 안녕", true),
        ("@앤디", "@앤딘", false),
        ("@แอนดี้", "@แอนดี้สวัสดี", true),
        ("@אנדי", "@אנדי מה שלומך", true),
        ("@אנדי", "\u{200f}@אנדי", true),
        ("@אנדי", "@אנדים", false),
        // Triggers that do not end in a letter end by themselves.
        ("@C++", "@C++ help", true),
        ("@C++", "@c++", true),
        ("!", "!weather", true),
        ("🤖", "🤖\u{fe0f} hi", true),
        ("👩", "👩\u{200d}💻 hi", false),
        ("hey andy", "Hey Andy!", true),
        (" @Andy ", "@Andy hi", true),
        // A trigger that nobody can see matches nothing.
        ("", "anything", false),
        ("\u{200b}", "anything", false),
    ] {
        assert_eq!(starts_with_trigger(text, trigger), matches, "{trigger:?} in {text:?}");
    }
}

#[test]
fn a_message_wakes_for_a_reason() {
    let mentioned = ChatMessage { mentions_me: true, ..message("look at this") };
    for (fields, message, expected) in [
        ("", message("hi"), "context: no trigger `@Andy`"),
        ("", message("@Andy hi"), "wakes: trigger `@Andy`"),
        (r#", "trigger": "@小明""#, message("@小明你好"), "wakes: trigger `@小明`"),
        (r#", "trigger": "@Bob""#, message("@Andy hi"), "context: no trigger `@Bob`"),
        (r#", "requiresTrigger": false"#, message("hi"), "wakes: no trigger required"),
        (r#", "isMain": true"#, message("hi"), "wakes: main group"),
        (r#", "isMain": true"#, message(" \u{200e}\n"), "context: no text"),
        (r#", "isMain": true"#, message(""), "context: no text"),
        ("", mentioned, "wakes: mention"),
    ] {
        assert_eq!(said(fields, &message), expected, "{fields} {message:?}");
    }
}

#[test]
fn a_reply_to_the_assistant_wakes_and_the_assistants_own_words_never_do() {
    let main = group(r#", "isMain": true"#);
    let family = group("");
    let reply = Authorship { replies_to_host: true, ..Authorship::default() };
    assert_eq!(route(Some(&family), &message("yes"), &words(), reply), Route::Wake(WhyWake::Reply));
    let own = Authorship { sent_by_host: true, replies_to_host: true, ..Authorship::default() };
    assert_eq!(route(Some(&main), &message("@Andy"), &words(), own), Route::Own);
}

#[test]
fn a_reaction_wakes_nobody() {
    let reaction = ChatMessage { reaction: true, mentions_me: true, ..message("[reacts with 👍]") };
    let reply = Authorship { replies_to_host: true, ..Authorship::default() };
    for fields in ["", r#", "requiresTrigger": false"#, r#", "isMain": true"#] {
        assert_eq!(
            route(Some(&group(fields)), &reaction, &words(), reply).to_string(),
            "context: a reaction",
            "{fields}"
        );
    }
}

#[test]
fn an_operator_who_shares_the_assistants_account_is_heard() {
    let shared = ChatMessage { from_me: true, ..message("@Andy hi") };
    assert_eq!(said("", &shared), "wakes: trigger `@Andy`");
}

#[test]
fn a_chat_that_is_no_group_is_ignored() {
    let route = route(None, &message("@Andy hi"), &words(), Authorship::default());
    assert_eq!(route.to_string(), "ignored: the chat is not registered");
}

#[test]
fn who_may_not_wake_the_agent_is_context_or_nothing_whatever_they_say() {
    let standing = |standing| Authorship { replies_to_host: true, standing, ..Authorship::default() };
    for text in ["@Andy hi", "/stop", "@Andy /stop", "hi", ""] {
        for fields in ["", r#", "requiresTrigger": false"#, r#", "isMain": true"#] {
            let group = group(fields);
            let message = ChatMessage { mentions_me: true, ..message(text) };
            let said = |who| route(Some(&group), &message, &words(), standing(who)).to_string();
            assert_eq!(said(SenderStanding::MayNotWake), "context: sender not allowed", "{text} {fields}");
            assert_eq!(said(SenderStanding::Dropped), "ignored: sender dropped", "{text} {fields}");
        }
    }
}

#[test]
fn the_assistants_own_words_and_strangers_chats_are_known_before_the_sender() {
    let dropped = Authorship { standing: SenderStanding::Dropped, ..Authorship::default() };
    assert_eq!(route(None, &message("hi"), &words(), dropped), Route::Unregistered);
    let own = Authorship { sent_by_host: true, ..dropped };
    assert_eq!(route(Some(&group("")), &message("hi"), &words(), own), Route::Own);
}

proptest! {
    #[test]
    fn a_trigger_followed_by_a_space_always_matches(trigger in "\\PC{1,20}", text in "\\PC{0,20}") {
        prop_assume!(is_usable_trigger(&trigger));
        let message = format!("  {trigger} {text}");
        prop_assert!(starts_with_trigger(&message, &trigger), "{}", message);
    }

    #[test]
    fn any_text_and_any_trigger_have_an_answer(trigger in any::<String>(), text in any::<String>()) {
        let _ = starts_with_trigger(&text, &trigger);
    }
}
