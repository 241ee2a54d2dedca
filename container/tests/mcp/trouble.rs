use std::fs;

use longshore_protocol::ipc::{Answer, MAX_FILE_BYTES};
use serde_json::json;

use super::harness::{Host, Ipc, Server};

#[test]
fn wrong_arguments_write_no_file() {
    let ipc = Ipc::new();
    let mut server = Server::start(&ipc, &["--main"]);
    for (tool, arguments, named) in [
        ("send_message", json!({}), "`text`"),
        ("send_message", json!({"text": "hi", "jid": "a@g.us"}), "`jid`"),
        ("schedule_task", json!({"prompt": "p", "schedule_type": "daily", "schedule_value": "9"}), "`schedule_type`"),
        ("pause_task", json!({"task_id": "../../etc"}), "`task_id`"),
        ("resume_task", json!({"task_id": 7}), "`task_id`"),
        ("cancel_task", json!({}), "`task_id`"),
        ("update_task", json!({"task_id": "task-1-a", "jitter_seconds": 4000}), "`jitter_seconds`"),
        ("register_group", json!({"jid": "a@g.us", "name": "A", "folder": "a", "is_main": true}), "`is_main`"),
    ] {
        let error = server.call(tool, arguments).error();
        assert!(error.starts_with("Nothing was done, because an argument is wrong: "), "{error}");
        assert!(error.contains(named), "{error}");
    }
    assert!(ipc.files().is_empty(), "{:?}", ipc.files());
}

#[test]
fn an_answer_that_never_comes_is_told_as_such() {
    let ipc = Ipc::new();
    let mut server = Server::start(&ipc, &["--answer-limit-seconds", "0"]);
    let error = server.call("send_message", json!({"text": "hi"})).error();
    let [file] = ipc.files().try_into().unwrap();
    assert!(error.contains("not known whether this was done"), "{error}");
    assert!(error.contains("no answer came within 0ns"), "{error}");
    assert!(error.contains(file.to_str().unwrap()), "{error}");
    assert!(error.contains("Do not simply ask again"), "{error}");
}

#[test]
fn an_answer_to_something_else_is_not_taken() {
    let ipc = Ipc::new();
    fs::write(ipc.path().join("answers/1767225600000-aaaaaaaa.json"), r#"{"ok":true,"id":"m-0"}"#).unwrap();
    let mut server = Server::start(&ipc, &["--answer-limit-seconds", "0"]);
    let error = server.call("send_message", json!({"text": "hi"})).error();
    assert!(error.contains("not known whether this was done"), "{error}");
}

#[test]
fn what_cannot_be_written_is_said_to_be_undone() {
    let ipc = Ipc::new();
    fs::remove_dir(ipc.path().join("tasks")).unwrap();
    fs::write(ipc.path().join("tasks"), "in the way").unwrap();
    let mut server = Server::start(&ipc, &[]);
    let error = server.call("cancel_task", json!({"task_id": "task-1-a"})).error();
    assert!(error.starts_with("Nothing was done: the request cannot be written into `"), "{error}");
    // And the other folder is as good as before.
    let _host = Host::start_in(&ipc, &["messages"], |_| Answer::done("m-1"));
    server.call("send_message", json!({"text": "hi"})).done();
}

#[test]
fn what_the_host_would_not_read_is_refused_before_it_is_written() {
    let ipc = Ipc::new();
    let mut server = Server::start(&ipc, &[]);
    let error = server.call("send_message", json!({"text": "x".repeat(MAX_FILE_BYTES)})).error();
    assert!(error.starts_with("Nothing was done: it takes "), "{error}");
    assert!(ipc.files().is_empty());
}

#[test]
fn a_call_that_waits_does_not_keep_the_server_alive_for_ever() {
    let ipc = Ipc::new();
    let mut server = Server::start(&ipc, &["--answer-limit-seconds", "3600"]);
    server.ask("tools/call", json!({"name": "send_message", "arguments": {"text": "hi"}}));
    while ipc.files().is_empty() {
        std::thread::yield_now();
    }
    let (code, _) = server.leave();
    assert_eq!(code, 0);
}
