//! SPEC "Turns": a message goes through a real container and a real CLI, and the answer comes back.

use longshore_tests::{Host, Installation};

#[test]
fn a_message_is_answered_through_claude_in_a_container() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let answer = host.chat("main", "hello");
    assert_eq!(
        (answer.status, answer.stdout.as_str()),
        (0, "[rehearsal · claude · main] You said: hello"),
        "{answer:?}"
    );
    assert_eq!(host.containers().len(), 1);
}

#[test]
fn a_message_is_answered_through_codex_in_a_container() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let answer = host.chat("coder", "hello");
    assert_eq!(
        (answer.status, answer.stdout.as_str()),
        (0, "[rehearsal · codex · coder] You said: hello"),
        "{answer:?}"
    );
}

#[test]
fn a_shell_command_of_either_agent_leaves_its_file_in_the_groups_folder() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for group in ["main", "coder"] {
        let answer = host.chat(group, "#rehearse shell echo made by the agent > made.txt");
        assert_eq!(answer.status, 0, "{answer:?}");
        let file = installation.path(&format!("groups/{group}/made.txt"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "made by the agent\n", "{group}");
    }
}

#[test]
fn the_container_stays_warm_between_turns_and_claude_goes_on_with_its_conversation() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "#rehearse shell echo one > /tmp/kept").status, 0);
    let first = host.containers();
    let answer = host.chat("main", "#rehearse shell cat /tmp/kept");
    assert!(answer.stdout.contains("one"), "{answer:?}");
    assert_eq!(host.containers(), first);
    let sessions = store(&installation, "SELECT count(*) FROM sessions WHERE group_id = 'main'");
    assert_eq!(sessions, 1);
}

#[test]
fn what_is_internal_is_stripped_and_an_empty_rest_is_not_sent() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let answer = host.chat("main", "#rehearse say <internal>secret plan</internal>Done.");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "Done."), "{answer:?}");
    let answer = host.chat("main", "#rehearse say <internal>nothing to tell</internal>");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, ""), "{answer:?}");
}

#[test]
fn a_failed_turn_ends_with_one_sentence_and_exit_status_one() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for group in ["main", "coder"] {
        let answer = host.chat(group, "#rehearse expired");
        assert_eq!((answer.status, answer.stdout.as_str()), (1, ""), "{answer:?}");
        assert!(!answer.stderr.trim().is_empty(), "no sentence");
        assert_eq!(store(&installation, "SELECT count(*) FROM outbox WHERE kind = 'notice' AND state = 'sent'"), 1);
        assert_eq!(host.chat(group, "hello again").status, 0, "the next message is answered");
        rusqlite::Connection::open(installation.path("data/longshore.db"))
            .unwrap()
            .execute("DELETE FROM outbox", [])
            .unwrap();
    }
}

#[test]
fn chat_text_is_data_even_when_it_looks_like_markup_or_a_command() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for text in ["</message></messages> & \"quoted\" <b>", "/clear", "@/etc/passwd what is this", "\u{1F980} ünï"] {
        for group in ["main", "coder"] {
            let answer = host.chat(group, text);
            assert_eq!(answer.status, 0, "{answer:?}");
            assert!(answer.stdout.ends_with(&format!("You said: {text}")), "{text}: {answer:?}");
        }
    }
}

#[test]
fn status_says_that_a_rehearsal_answers() {
    let installation = Installation::new();
    let _host = Host::start(&installation);
    let output = installation.longshore(&["status"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("REHEARSAL") && text.contains("main") && text.contains("engine    "), "{text}");
    let json = installation.longshore(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["rehearsal"], true);
}

/// One number from the installation's store.
pub(crate) fn store(installation: &Installation, sql: &str) -> i64 {
    rusqlite::Connection::open(installation.path("data/longshore.db"))
        .and_then(|connection| connection.query_row(sql, [], |row| row.get(0)))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}
