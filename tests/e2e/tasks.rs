//! SPEC "Agent tools (filesystem IPC)" and "Tasks", with the real CLIs.

use std::fs;

use longshore_tests::{Host, Installation, Talk};
use serde_json::{Value, json};

use crate::chat::store;

/// A directive by which codex drops a file as its instructions say, waits for the answer and reads it out.
fn drop_file(folder: &str, name: &str, content: &Value) -> String {
    let path = format!("/workspace/ipc/{folder}/{name}.json");
    let answer = format!("/workspace/ipc/answers/{name}.json");
    format!(
        "#rehearse shell printf %s '{content}' > {path}.tmp && mv {path}.tmp {path} && \
         for i in $(seq 200); do test -e {answer} && break; sleep 0.05; done; cat {answer}"
    )
}

fn every_two_seconds(prompt: &str) -> Value {
    json!({ "type": "schedule_task", "prompt": prompt, "schedule_type": "interval", "schedule_value": "2000" })
}

/// One text from the installation's store.
fn text(installation: &Installation, sql: &str) -> String {
    rusqlite::Connection::open(installation.path("data/longshore.db"))
        .and_then(|connection| connection.query_row(sql, [], |row| row.get(0)))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn codex_writes_a_task_file_and_sees_its_answer_and_the_task_speaks_to_the_chat() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let mut talk = Talk::attach(&installation, "coder").unwrap();
    let wish = every_two_seconds("#rehearse say tock");
    talk.say(&drop_file("tasks", "plan", &wish)).unwrap();
    // The file, its answer and the row.
    let answer = talk.hear().unwrap();
    assert!(answer.contains(r#""ok":true"#) && answer.contains("next_runs"), "{answer}");
    let answer: Value =
        serde_json::from_slice(&fs::read(installation.path("data/ipc/coder/answers/plan.json")).unwrap()).unwrap();
    let id = text(&installation, "SELECT id FROM tasks WHERE group_id = 'coder' AND status = 'active'");
    assert_eq!(answer["id"], id.as_str());
    assert!(!installation.path("data/ipc/coder/tasks/plan.json").exists(), "an answered file is gone");
    // What the agent can look up.
    let listed = fs::read_to_string(installation.path("data/ipc/coder/current_tasks.json")).unwrap();
    assert!(listed.contains(&id), "{listed}");
    // Its time comes twice.
    for _ in 0..2 {
        assert_eq!(talk.hear().unwrap(), "tock", "{}", host.log());
    }
    let tasks = String::from_utf8(installation.longshore(&["tasks"]).stdout).unwrap();
    assert!(tasks.contains(&id) && tasks.contains("interval 2000"), "{tasks}");
    assert!(installation.longshore(&["tasks", "cancel", &id]).status.success());
    let runs = String::from_utf8(installation.longshore(&["tasks", "runs", &id]).stdout).unwrap();
    assert!(runs.contains("ok") && runs.contains("tock"), "{runs}");
}

#[test]
fn claude_calls_a_tool_and_the_task_speaks_to_the_chat() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let mut talk = Talk::attach(&installation, "main").unwrap();
    let arguments = json!({ "prompt": "#rehearse say tock", "schedule_type": "interval", "schedule_value": "2000" });
    talk.say(&format!("#rehearse tool longshore/schedule_task {arguments}")).unwrap();
    let told = talk.hear().unwrap();
    let id = text(&installation, "SELECT id FROM tasks WHERE group_id = 'main' AND context_mode = 'group'");
    assert!(told.contains(&id), "the agent is told the task's id: {told}");
    assert_eq!(talk.hear().unwrap(), "tock", "{}", host.log());
}

#[test]
fn codex_has_the_tools_when_the_operator_wants_it_so() {
    let installation = Installation::new();
    installation.groups(
        r#"{"console:coder": {"name": "Coder", "folder": "coder", "trigger": "@Andy", "added_at": "x", "requiresTrigger": false,
            "provider": "codex", "providerConfig": {"codex": {"tools": "mcp"}}}}"#,
    );
    let host = Host::start(&installation);
    let answer = host.chat("coder", r#"#rehearse tool longshore/send_message {"text": "half way"}"#);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.stdout.starts_with("half way"), "{answer:?}");
    assert_eq!(store(&installation, "SELECT count(*) FROM petitions"), 1);
}

#[test]
fn a_message_file_reaches_the_chat_before_the_turn_ends_and_without_what_is_internal() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let message = json!({ "type": "message", "text": "<internal>hm</internal>Half way.", "sender": "Researcher" });
    let answer = host.chat("coder", &drop_file("messages", "note", &message));
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.stdout.starts_with("**Researcher:** Half way."), "{answer:?}");
}

#[test]
fn a_refusal_reaches_the_agent_and_changes_nothing() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for (name, file, says) in [
        ("chat", json!({ "type": "message", "chatJid": "console:main", "text": "hi" }), "its own chat only"),
        (
            "register",
            json!({ "type": "register_group", "jid": "x:1", "name": "X", "folder": "x" }),
            "only the main group",
        ),
        (
            "target",
            json!({ "type": "schedule_task", "prompt": "p", "schedule_type": "cron", "schedule_value": "0 9 * * *", "targetJid": "console:main" }),
            "for itself only",
        ),
        ("typo", json!({ "type": "mesage", "text": "hi" }), "none of `message`"),
        (
            "times",
            json!({ "type": "schedule_task", "prompt": "p", "schedule_type": "cron", "schedule_value": "61 * * * *" }),
            "minute",
        ),
    ] {
        let answer = host.chat("coder", &drop_file("tasks", name, &file)).stdout;
        assert!(answer.contains(r#""ok":false"#) && answer.contains(says), "{name}: {answer}");
    }
    assert_eq!(store(&installation, "SELECT count(*) FROM tasks"), 0);
    assert_eq!(host.chat("coder", "still there?").status, 0);
}

#[test]
fn the_main_group_registers_a_chat_by_a_tool_and_it_is_served_at_once() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    let group = json!({ "jid": "console:club", "name": "Book Club", "folder": "book-club", "requires_trigger": false });
    let answer = host.chat("main", &format!("#rehearse tool longshore/register_group {group}"));
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.stdout.contains("book-club"), "{answer:?}");
    host.wait_until("the group is served", |host| host.log().contains("groups=3"));
    let answer = host.chat("book-club", "hello");
    assert_eq!(answer.stdout, "[rehearsal · claude · book-club] You said: hello", "{answer:?}");
}

#[test]
fn a_run_that_a_dead_host_left_is_run_by_the_next_one() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let wish = every_two_seconds("#rehearse delay 1 say tock");
    assert_eq!(host.chat("coder", &drop_file("tasks", "plan", &wish)).status, 0);
    let mut host = host;
    host.wait_until("a run runs", |host| {
        store(host.installation, "SELECT count(*) FROM runs WHERE outcome = 'running'") == 1
    });
    host.kill();
    let mut host = Host::start(&installation);
    host.wait_until("two runs are done", |host| {
        store(host.installation, "SELECT count(*) FROM runs WHERE outcome = 'ok'") >= 2
    });
    let twice = store(
        &installation,
        "SELECT count(*) FROM (SELECT 1 FROM turns WHERE task IS NOT NULL GROUP BY task, scheduled_for HAVING count(*) > 1)",
    );
    assert_eq!(twice, 0);
    let told = store(&installation, "SELECT count(*) FROM outbox WHERE text = 'tock'");
    let runs = store(&installation, "SELECT count(*) FROM runs WHERE outcome = 'ok'");
    assert!(told >= runs, "{told} texts of {runs} runs");
}

#[test]
fn an_operator_schedules_and_changes_tasks_whether_a_host_runs_or_not() {
    let installation = Installation::new();
    let tasks = |arguments: &[&str]| {
        let output = installation.longshore(&[&["tasks"], arguments].concat());
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let (ok, told) = tasks(&[]);
    assert!(ok && told.starts_with("no tasks: "), "{told}");
    let add = ["add", "--group", "main", "--type", "cron", "--at", "0 9 * * mon-fri", "--timezone", "Europe/Berlin"];
    let (done, shown) = tasks(&[&add[..], &["#rehearse say good morning"]].concat());
    assert!(done && shown.contains("next runs") && shown.contains("T09:00:00+0"), "{shown}");
    let id = text(&installation, "SELECT id FROM tasks");
    let (done, refused) = tasks(&["add", "--group", "main", "--type", "cron", "--at", "0 25 * * *", "x"]);
    assert!(!done && refused.contains("hour: `25` is none of 0 to 23"), "{refused}");
    let (done, refused) = tasks(&["add", "--group", "nobody", "--type", "once", "--at", "2099-01-01T10:00", "x"]);
    assert!(!done && refused.contains("there is no group `nobody`; there are `main`, `coder`"), "{refused}");

    let host = Host::start(&installation);
    let mut talk = Talk::attach(&installation, "main").unwrap();
    assert!(tasks(&["run-now", &id]).0);
    assert_eq!(talk.hear().unwrap(), "good morning", "{}", host.log());
    for (command, status) in [("pause", "paused (asked for)"), ("resume", "active"), ("cancel", "cancelled")] {
        let (done, shown) = tasks(&[command, &id]);
        assert!(done && shown.contains(status), "{command}: {shown}");
    }
    let (done, refused) = tasks(&["resume", &id]);
    assert!(!done && refused.contains("is cancelled already"), "{refused}");
    assert!(tasks(&[]).1.starts_with("no tasks: "));
    assert!(tasks(&["list", "--all"]).1.contains(&id));
    let json: Value = serde_json::from_str(&tasks(&["show", &id, "--json"]).1).unwrap();
    assert_eq!((&json["task"]["status"], &json["runs"][0]["outcome"]), (&json!("cancelled"), &json!("ok")));
}
