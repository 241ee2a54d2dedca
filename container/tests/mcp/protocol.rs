use serde_json::{Value, json};

use super::harness::{Ipc, Server};

#[test]
fn the_tools_say_what_they_take() {
    let mut server = Server::start(&Ipc::new(), &["--main"]);
    insta::assert_json_snapshot!(server.tools());
}

#[test]
fn register_group_is_only_there_for_the_main_group() {
    let ipc = Ipc::new();
    let names = |server: &mut Server| {
        server.tools().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (mut main, mut other) = (Server::start(&ipc, &["--main"]), Server::start(&ipc, &[]));
    let mut all = names(&mut main);
    assert_eq!(all.len(), 8);
    all.retain(|name| name != "register_group");
    assert_eq!(names(&mut other), all);
    let arguments = json!({"jid": "a@g.us", "name": "A", "folder": "a"});
    let refused = other.request("tools/call", json!({"name": "register_group", "arguments": arguments}));
    assert_eq!(refused["error"]["message"], "tool not found");
    assert!(ipc.files().is_empty());
}

#[test]
fn only_what_changes_nothing_is_called_read_only() {
    let mut server = Server::start(&Ipc::new(), &["--main"]);
    let tools = server.tools();
    let reading: Vec<&Value> =
        tools.iter().filter(|tool| tool["annotations"]["readOnlyHint"] == true).map(|tool| &tool["name"]).collect();
    assert_eq!(reading, ["list_tasks"]);
}

#[test]
fn no_schema_needs_a_definition_elsewhere_or_a_list_of_types() {
    let mut server = Server::start(&Ipc::new(), &["--main"]);
    for tool in server.tools() {
        let schema = &tool["inputSchema"];
        assert_eq!(schema["type"], "object", "{tool}");
        assert!(!schema.to_string().contains("$ref"), "{tool}");
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["type"].is_string(), "{name} of {tool}");
            assert!(property["description"].is_string(), "{name} of {tool}");
            assert_eq!(property.get("default"), None, "{name} of {tool}");
        }
    }
}

#[test]
fn the_end_of_stdin_is_the_end_of_the_server() {
    let ipc = Ipc::new();
    for server in [Server::spawn(&ipc, &[]), Server::start(&ipc, &[])] {
        assert_eq!(server.leave(), (0, Vec::new()));
    }
}

#[test]
fn a_line_that_is_no_request_does_not_end_the_server() {
    let mut server = Server::start(&Ipc::new(), &[]);
    server.write(&json!("hello"));
    server.write(&json!({"jsonrpc": "2.0", "id": "x", "method": "tools/forget"}));
    // Each is answered or passed over; what follows is served.
    let id = server.ask("tools/call", json!({"name": "list_tasks", "arguments": {}}));
    let answered = std::iter::repeat_with(|| server.next()).take(3).find(|line| line["id"] == id).unwrap();
    assert_eq!(answered["result"]["content"][0]["text"], "There are no scheduled tasks.");
}
