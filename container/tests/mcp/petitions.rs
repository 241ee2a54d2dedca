use std::fs;
use std::sync::mpsc;

use longshore_protocol::ipc::{Answer, MAX_FILE_BYTES, Petition, TaskStatus};
use serde_json::{Value, json};

use super::harness::{Host, Ipc, Said, Server};

/// An answer to each kind, as the host gives it.
fn done(petition: &Petition) -> Answer {
    let task = |status| Answer { status: Some(status), ..Answer::done("task-1-a") };
    match petition {
        Petition::ScheduleTask(_) | Petition::ResumeTask(_) | Petition::UpdateTask(_) => Answer {
            timezone: Some("Europe/Berlin".to_owned()),
            next_runs: vec!["2026-03-28T09:00:00+01:00".to_owned(), "2026-03-29T09:00:00+02:00".to_owned()],
            ..task(TaskStatus::Active)
        },
        Petition::PauseTask(_) => task(TaskStatus::Paused),
        Petition::CancelTask(_) => task(TaskStatus::Cancelled),
        Petition::Message(_) => Answer::done("m-1"),
        Petition::RefreshGroups {} => Answer { ok: true, ..Answer::default() },
        Petition::RegisterGroup(group) => Answer::done(&group.folder),
    }
}

fn schedule() -> Value {
    json!({"prompt": "Say good morning.", "schedule_type": "cron", "schedule_value": "0 9 * * *"})
}

#[test]
fn each_tool_writes_its_petition_and_says_what_the_host_did() {
    let ipc = Ipc::new();
    let host = Host::start(&ipc, done);
    let mut server = Server::start(&ipc, &["--main"]);
    let task = json!({"task_id": "task-1-a"});
    let mut told = String::new();
    for (tool, arguments) in [
        ("send_message", json!({"text": "The report is ready."})),
        ("schedule_task", schedule()),
        ("pause_task", task.clone()),
        ("resume_task", task.clone()),
        ("cancel_task", task),
        ("update_task", json!({"task_id": "task-1-a", "schedule_value": 60000, "schedule_type": "interval"})),
        ("register_group", json!({"jid": "a@g.us", "name": "Book Club", "folder": "book-club"})),
    ] {
        told += &format!("{tool} {arguments}\n{}\n\n", server.call(tool, arguments.clone()).done());
    }
    for (_, petition) in host.finish() {
        told += &format!("{}\n", serde_json::to_string(&petition).unwrap());
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_tool_says_done_only_when_the_host_has_answered() {
    let ipc = Ipc::new();
    let (answer, wait) = mpsc::channel();
    let host = Host::start(&ipc, move |_| wait.recv().unwrap());
    let mut server = Server::start(&ipc, &[]);
    let first = server.ask("tools/call", json!({"name": "schedule_task", "arguments": schedule()}));
    // The server has time for other things, and says nothing of the first.
    assert_eq!(server.call("list_tasks", json!({})).done(), "There are no scheduled tasks.");
    answer.send(Answer::done("task-7-z")).unwrap();
    let line = server.next();
    assert_eq!((&line["id"], Said::of(&line).done().as_str()), (&json!(first), "Scheduled task `task-7-z`."));
    assert_eq!(host.finish().len(), 1);
}

#[test]
fn a_refusal_reaches_the_agent_as_a_tool_error() {
    let ipc = Ipc::new();
    let sentence = "the chat `b@g.us` belongs to another group; only the main group may write to it.";
    let _host = Host::start(&ipc, move |_| Answer::refused(sentence));
    let mut server = Server::start(&ipc, &[]);
    let said = server.call("send_message", json!({"text": "hi", "chat_jid": "b@g.us"}));
    assert_eq!(said, Said::Error(format!("Not done: {sentence}")));
}

#[test]
fn two_calls_at_once_get_their_own_answers() {
    let ipc = Ipc::new();
    let _host = Host::start(&ipc, |petition| {
        let Petition::Message(message) = petition else { panic!("{petition:?}") };
        Answer::refused(format!("no {}", message.text))
    });
    let mut server = Server::start(&ipc, &[]);
    calls_get_their_own_answers(&mut server, 2);
}

#[test]
fn twenty_calls_at_once_get_their_own_answers_in_the_order_of_asking() {
    let ipc = Ipc::new();
    let host = Host::start(&ipc, |petition| {
        let Petition::Message(message) = petition else { panic!("{petition:?}") };
        Answer::refused(format!("no {}", message.text))
    });
    let mut server = Server::start(&ipc, &[]);
    calls_get_their_own_answers(&mut server, 20);
    let mut seen = host.finish();
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    let texts: Vec<String> = seen
        .into_iter()
        .map(|(_, petition)| match petition {
            Petition::Message(message) => message.text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, (0..20).map(|number| format!("message {number}")).collect::<Vec<_>>());
}

fn calls_get_their_own_answers(server: &mut Server, count: usize) {
    let ids: Vec<u64> = (0..count)
        .map(|number| {
            let arguments = json!({"text": format!("message {number}")});
            server.ask("tools/call", json!({"name": "send_message", "arguments": arguments}))
        })
        .collect();
    for _ in 0..count {
        let line = server.next();
        let number = ids.iter().position(|id| line["id"] == *id).unwrap();
        assert_eq!(Said::of(&line).error(), format!("Not done: no message {number}"));
    }
}

#[test]
fn files_appear_whole_under_their_final_name() {
    let ipc = Ipc::new();
    let host = Host::start(&ipc, done);
    let mut server = Server::start(&ipc, &[]);
    // The host fails at a file that is not whole when its name is.
    for _ in 0..20 {
        server.call("send_message", json!({"text": "x".repeat(MAX_FILE_BYTES - 100)})).done();
    }
    assert_eq!(host.finish().len(), 20);
    let drafts: Vec<_> = ipc.files().into_iter().filter(|path| path.extension().unwrap() != "json").collect();
    assert_eq!(drafts, Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_list_of_tasks_is_the_hosts() {
    let ipc = Ipc::new();
    let tasks = json!([{
        "id": "task-1-a", "groupFolder": "family", "prompt": "Say good morning.", "schedule_type": "cron",
        "schedule_value": "0 9 * * *", "context_mode": "group", "timezone": "Europe/Berlin", "status": "active",
        "next_run": "2026-03-29T07:00:00Z", "later": 1
    }]);
    fs::write(ipc.path().join("current_tasks.json"), tasks.to_string()).unwrap();
    let mut server = Server::start(&ipc, &[]);
    insta::assert_snapshot!(server.call("list_tasks", json!({})).done(), @"
        1 task:

        - `task-1-a` of group `family`: active
          cron `0 9 * * *` (Europe/Berlin), context group
          next run: 2026-03-29T09:00:00+02:00
          prompt: Say good morning.
        ");
    fs::write(ipc.path().join("current_tasks.json"), "[{").unwrap();
    let error = server.call("list_tasks", json!({})).error();
    assert!(error.starts_with("The host's list of tasks cannot be read: "), "{error}");
}
