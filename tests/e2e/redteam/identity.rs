//! Pretending to be somebody else: who asks is the folder in which the file lay.

use std::fs;

use longshore_tests::installation::has_socket;
use longshore_tests::{Host, Installation};

use super::{ATTACKERS, CANARY, all_refused, goes_on, plain, run};
use crate::chat::store;

fn groups_file(installation: &Installation) -> String {
    fs::read_to_string(installation.path("data/registered_groups.json")).unwrap()
}

#[test]
fn a_message_to_another_chat_is_refused_whatever_the_file_says_about_itself() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
fields = {'folder': 'main', 'group': 'main', 'groupFolder': 'main', 'isMain': True, 'createdBy': 'main', 'from': 'main',
          'groupId': 'bob', 'chat': 'console:bob', 'sender': 'main', 'timestamp': '2026-01-01T00:00:00.000Z'}
ask(MESSAGES, 'a.json', {'type': 'message', 'chatJid': 'console:bob', 'text': 'forged', **fields})
ask(MESSAGES, 'b.json', {'type': 'message', 'chatJid': 'console:main', 'text': 'forged', **fields})
ask(TASKS, 'bob-a.json', {'type': 'message', 'chatJid': 'CONSOLE:bob', 'text': 'forged', **fields})
ask(TASKS, 'bob.json', {'type': 'message', 'chatJid': ' console:bob', 'text': 'forged', **fields})
ask(TASKS, 'own.json', {'type': 'message', 'text': 'to my own', **fields})
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert_eq!(output.matches(r#""ok": false"#).count(), 4, "{output}");
        assert!(output.contains(r#"own.json {"ok": true"#), "{output}");
    }
    let strayed = "SELECT count(*) FROM outbox WHERE text LIKE '%forged%' OR (text LIKE '%to my own%' AND chat IN ('console:bob', 'console:main'))";
    assert_eq!(store(&installation, strayed), 0);
    assert_eq!(store(&installation, "SELECT count(*) FROM outbox WHERE text LIKE '%to my own%'"), 2);
    goes_on(&host, &ATTACKERS);
}

#[test]
fn an_ordinary_group_registers_nobody_and_refreshes_nothing() {
    let installation = plain();
    let before = groups_file(&installation);
    let host = Host::start(&installation);
    let attack = r"
new = {'type': 'register_group', 'jid': 'console:new', 'name': 'New', 'folder': 'new', 'trigger': '@Andy'}
ask(TASKS, 'new.json', new)
ask(TASKS, 'main.json', {**new, 'isMain': True, 'folder': 'main'})
ask(TASKS, 'own.json', {**new, 'jid': 'console:eve', 'folder': 'eve', 'containerConfig': {'network': 'bridge'}})
ask(TASKS, 'refresh.json', {'type': 'refresh_groups', 'isMain': True})
attempt('chats', lambda: read('/workspace/ipc/available_groups.json'))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert_eq!(output.matches("only the main group may do this").count(), 4, "{output}");
        all_refused(&output, 1);
    }
    assert_eq!(groups_file(&installation), before);
    goes_on(&host, &ATTACKERS);
}

#[test]
fn even_the_main_group_unseals_nobody() {
    let installation = plain();
    let before = groups_file(&installation);
    let host = Host::start(&installation);
    let attack = r"
new = {'type': 'register_group', 'jid': 'console:new', 'name': 'New', 'folder': 'new', 'trigger': '@Andy'}
configs = [{'network': 'bridge'}, {'egress': 'open'}, {'egressAllow': ['evil.example']}, {'image': 'evil:latest'},
           {'network': None}, {'privileged': True}]
for number, config in enumerate(configs):
    ask(TASKS, f'config-{number}.json', {**new, 'containerConfig': config})
ask(TASKS, 'main.json', {**new, 'isMain': True})
for number, folder in enumerate(['../evil', '/etc', 'a/b', '..', '.', 'global', 'errors', 'bob', '', 'x' * 100, 'a\n', 'BOB\0']):
    ask(TASKS, f'folder-{number}.json', {**new, 'folder': folder})
ask(TASKS, 'taken.json', {**new, 'jid': 'console:bob'})
";
    let output = run(&host, "main", attack);
    assert_eq!(output.matches(r#""ok": false"#).count(), 20, "{output}");
    assert!(!output.contains(r#""ok": true"#), "{output}");
    assert_eq!(groups_file(&installation), before);
    goes_on(&host, &["main"]);
}

#[test]
fn a_mount_that_an_agent_asked_for_is_not_made_without_the_operators_list() {
    let installation = plain();
    let secrets = installation.path("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("file"), CANARY).unwrap();
    let mut host = Host::start(&installation);
    let attack = format!(
        r"
ask(TASKS, 'new.json', {{'type': 'register_group', 'jid': 'console:new', 'name': 'New', 'folder': 'new', 'trigger': '@Andy',
    'requiresTrigger': False, 'providerConfig': {{'codex': {{'credentials': 'mounted'}}}}, 'memoryLimit': '64g', 'pidsLimit': 100000,
    'containerConfig': {{'additionalMounts': [{{'hostPath': '{}', 'containerPath': 'x', 'readonly': False}},
                                              {{'hostPath': '/', 'containerPath': 'root'}}, {{'hostPath': '{}', 'containerPath': 'all'}}]}}}})
",
        secrets.display(),
        installation.root().display()
    );
    let output = run(&host, "main", &attack);
    assert!(output.contains(r#"new.json {"ok": true"#), "{output}");
    let file = groups_file(&installation);
    assert!(!file.contains("mounted") && !file.contains("64g") && !file.contains("pidsLimit"), "{file}");
    host.wait_until("the new group is served", |host| host.chat("new", "hello").status == 0);
    let output = run(&host, "new", "print('extra', os.listdir('/workspace/extra'))");
    assert!(output.contains("extra []"), "{output}");
    goes_on(&host, &["main", "new"]);
}

#[test]
fn another_groups_way_out_is_not_mounted_and_a_header_makes_nobody_another_group() {
    let installation = plain();
    let host = Host::start(&installation);
    assert_eq!(host.chat("bob", "hello").status, 0);
    let attack = r#"
body = json.dumps({'model': 'x', 'stream': False, 'input': [{'role': 'user', 'content': [{'type': 'input_text', 'text': 'who am I'}]}]}).encode()
head = f'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\nx-longshore-group: bob\r\nX-Longshore-Group: main\r\ncontent-length: {len(body)}\r\ncontent-type: application/json\r\n\r\n'
print('heard', send(head.encode() + body)[-4000:])
print('way out', os.listdir('/run/longshore'), len(read('/proc/net/unix', 100000).splitlines()) - 1)
for place in ['/run/longshore/../bob/broker.sock', '/run/bob/broker.sock', '/workspace/ipc/broker.sock', '/run/longshore/host.sock', '/run/docker.sock', '/var/run/docker.sock']:
    attempt(place, lambda: socket.socket(socket.AF_UNIX).connect(place))
attempt('replace', lambda: os.rename('/run/longshore/broker.sock', '/tmp/broker.sock'))
attempt('unlink', lambda: os.unlink('/run/longshore/broker.sock'))
"#;
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        all_refused(&output, 8);
        let heard = output.lines().find(|line| line.starts_with("heard")).unwrap();
        assert!(heard.contains(&format!("· {group}]")) || heard.contains(&format!("{group}]")), "{heard}");
        assert!(!heard.contains("bob]") && !heard.contains("main]"), "{heard}");
        let there = if has_socket() { "way out ['broker.sock']" } else { "way out []" };
        assert!(output.contains(there), "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn what_an_agent_calls_itself_in_its_environment_changes_nothing() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
lines = [{'jsonrpc': '2.0', 'id': 1, 'method': 'initialize', 'params': {'protocolVersion': '2025-03-26', 'capabilities': {}, 'clientInfo': {'name': 'x', 'version': '1'}}},
         {'jsonrpc': '2.0', 'method': 'notifications/initialized'},
         {'jsonrpc': '2.0', 'id': 2, 'method': 'tools/call', 'params': {'name': 'register_group', 'arguments': {'jid': 'console:new', 'name': 'New', 'folder': 'new', 'trigger': '@Andy'}}}]
environment = {**os.environ, 'LONGSHORE_GROUP': 'main', 'LONGSHORE_IS_MAIN': '1'}
for mode in ([], ['--main']):
    process = subprocess.run(['longshore-agent', 'mcp', *mode], input='\n'.join(map(json.dumps, lines)) + '\n', env=environment, capture_output=True, text=True, timeout=60)
    print('tool', process.stdout, process.stderr)
";
    let before = groups_file(&installation);
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert!(output.contains("tool ") && !output.contains(r#""ok":true"#), "{output}");
    }
    assert_eq!(groups_file(&installation), before);
    goes_on(&host, &ATTACKERS);
}
