//! The folders of petitions, full of what is none.

use std::fs;

use longshore_tests::Host;

use super::{ATTACKERS, CANARY, all_refused, goes_on, holds, plain, run};
use crate::chat::store;

/// The host's memory at its most, in MiB.
fn most_memory(host: &Host<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn answers_and_snapshots_cannot_be_written_or_replaced_from_inside() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
ask(MESSAGES, 'first.json', {'type': 'message', 'text': 'hello'})
for path in [f'{ANSWERS}/first.json', f'{ANSWERS}/forged.json', '/workspace/ipc/current_tasks.json',
             '/workspace/ipc/available_groups.json', '/workspace/ipc/x', '/workspace/ipc/.taken/x']:
    attempt(f'write {path}', lambda: write(path))
attempt('link', lambda: os.symlink('/etc/passwd', f'{ANSWERS}/link.json'))
attempt('unlink', lambda: os.unlink(f'{ANSWERS}/first.json'))
attempt('rename', lambda: os.rename(f'{MESSAGES}', '/workspace/ipc/old'))
attempt('folder', lambda: os.mkdir('/workspace/ipc/more'))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        all_refused(&output, 10);
        assert!(output.contains(r#"first.json {"ok": true"#), "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn links_pipes_sockets_folders_and_second_names_are_neither_opened_nor_followed() {
    let installation = plain();
    let secret = installation.path("groups/bob/diary.txt");
    fs::write(&secret, CANARY).unwrap();
    let host = Host::start(&installation);
    let attack = format!(
        r"
for folder in [MESSAGES, TASKS]:
    for number, target in enumerate(['{}', '../../../../groups/bob/diary.txt', '/etc/passwd', '/dev/zero', '/proc/self/mem', '.', 'link-5.json']):
        os.symlink(target, f'{{folder}}/link-{{number}}.json')
    os.mkfifo(f'{{folder}}/pipe.json')
    socket.socket(socket.AF_UNIX).bind(f'{{folder}}/socket.json')
    os.mkdir(f'{{folder}}/folder.tmp')
    write(f'{{folder}}/folder.tmp/inside.json')
    os.rename(f'{{folder}}/folder.tmp', f'{{folder}}/folder.json')
    write(f'{{folder}}/one.tmp', json.dumps({{'type': 'message', 'text': 'twice'}}).encode())
    os.link(f'{{folder}}/one.tmp', f'{{folder}}/two.json')
    ask(folder, f'after-{{os.path.basename(folder)}}.json', {{'type': 'message', 'text': 'after'}})
for name in ['link-0', 'link-2', 'link-3', 'pipe', 'socket', 'folder', 'two']:
    print(name, json.dumps(answer_to(f'{{name}}.json')))
",
        secret.display()
    );
    for group in ATTACKERS {
        let output = run(&host, group, &attack);
        assert_eq!(output.matches(r#"{"ok": true"#).count(), 2, "{output}");
        assert_eq!(output.matches(r#"{"ok": false"#).count(), 7, "{output}");
    }
    assert_eq!(holds(&installation, CANARY), [secret.display().to_string()]);
    assert!(holds(&installation, "root:x:0").is_empty());
    goes_on(&host, &ATTACKERS);
}

#[test]
fn names_of_any_bytes_lead_nowhere() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
wish = json.dumps({'type': 'message', 'text': 'named oddly'}).encode()
for name in [b'a\nb.json', b'\xff\xfe.json', b'..json', b'...json', b'.json', b'-rf.json', b'--.json', b'a/../b.json',
             b'..%2f..%2fx.json', b'x' * 250 + b'.json', b'$(touch x).json', b'\x1b[2J.json', b'.taken.json', b'.new-1.json',
             '\u202e.json'.encode(), b' .json', b'con.json', b'..\\x.json', b'a.json\n']:
    try:
        write(os.path.join(MESSAGES.encode(), name), wish)
    except OSError as error:
        print('not even a name', name, error)
ask(MESSAGES, 'good.json', {'type': 'message', 'text': 'good'})
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert!(output.contains(r#"good.json {"ok": true"#), "{output}");
    }
    for place in ["data/ipc", "data", "groups", "."] {
        for entry in fs::read_dir(installation.path(place)).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(
                !name.as_encoded_bytes().ends_with(b".json")
                    || name == "registered_groups.json"
                    || name == "registered_groups.schema.json",
                "{place}: {name:?}"
            );
        }
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_petition_of_200_mib_is_refused_unread() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
for name, size in [('huge', 200 << 20), ('large', (64 << 10) + 1)]:
    with open(f'{TASKS}/{name}.tmp', 'wb') as file:
        file.truncate(size)
    os.rename(f'{TASKS}/{name}.tmp', f'{TASKS}/{name}.json')
    print(name, json.dumps(answer_to(f'{name}.json')))
ask(TASKS, 'small.json', {'type': 'message', 'text': 'small'})
";
    let output = run(&host, "mallory", attack);
    assert_eq!(output.matches(r#""ok": false"#).count(), 2, "{output}");
    assert!(output.contains(r#"small.json {"ok": true"#), "{output}");
    assert!(most_memory(&host) < 150, "{} MiB", most_memory(&host));
    goes_on(&host, &["mallory"]);
}

#[test]
fn json_that_is_made_to_break_parsers_is_refused_and_answered() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r#"
nasty = {
    'deep': b'[' * 60000, 'deeper': b'{"a":' * 12000, 'nul': b'{"type":"message","text":"\\u0000"}', 'bytes': b'\xff\xfe\x00',
    'surrogate': b'{"type":"message","text":"\\ud800"}', 'twice': b'{"type":"message","type":"register_group","text":"x"}',
    'number': b'{"type":"schedule_task","prompt":"x","schedule_type":"interval","schedule_value":1e999}',
    'negative': b'{"type":"schedule_task","prompt":"x","schedule_type":"interval","schedule_value":"-1"}',
    'overflow': b'{"type":"schedule_task","prompt":"x","schedule_type":"interval","schedule_value":"99999999999999999999999"}',
    'list': b'[]', 'null': b'null', 'type': b'{"type":{"message":1},"text":"x"}', 'wrong': b'{"type":"message","text":["x"]}',
    'id': b'{"type":"cancel_task","taskId":"../../x"}', 'cron': b'{"type":"schedule_task","prompt":"x","schedule_type":"cron","schedule_value":"*/0 * * * *"}',
    'empty': b'',
}
for name, data in nasty.items():
    put(TASKS, f'{name}.json', data)
for name in nasty:
    print(name, json.dumps(answer_to(f'{name}.json')))
ask(TASKS, 'good.json', {'type': 'message', 'text': 'good'})
"#;
    let output = run(&host, "mallory", attack);
    assert!(output.contains(r#"good.json {"ok": true"#), "{output}");
    // A zero character is a character; all else is refused.
    assert!(output.matches(r#""ok": false"#).count() >= 15 && !output.contains("no answer"), "{output}");
    assert_eq!(store(&installation, "SELECT count(*) FROM tasks"), 0);
    goes_on(&host, &["mallory"]);
}

#[test]
fn a_flood_of_large_rubbish_is_kept_in_bounds() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
flood(MESSAGES, 3000, b'{' + b'x' * 60000, 6000)
ask(MESSAGES, 'good.json', {'type': 'message', 'text': 'good'})
";
    let mut asking = super::asked(&installation, "bob", "still there?");
    let output = run(&host, "mallory", attack);
    assert!(asking.wait().unwrap().success());
    assert!(output.contains("left 0") && output.contains(r#"good.json {"ok": true"#), "{output}");
    let errors: Vec<_> = fs::read_dir(installation.path("data/ipc/errors")).unwrap().map(Result::unwrap).collect();
    let bytes: u64 = errors.iter().map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(!errors.is_empty() && errors.len() <= 1000 && bytes <= 17 << 20, "{} files, {bytes} bytes", errors.len());
    let answers = fs::read_dir(installation.path("data/ipc/mallory/answers")).unwrap().count();
    assert!(answers <= 1000, "{answers} answers");
    assert!(most_memory(&host) < 150, "{} MiB", most_memory(&host));
    goes_on(&host, &["mallory"]);
}

#[test]
fn a_folder_that_is_called_a_petition_is_cleared_away_however_deep_it_is() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
os.mkdir(f'{TASKS}/deep.tmp')
os.chdir(f'{TASKS}/deep.tmp')
for level in range(3000):
    os.mkdir('d' * 200); os.chdir('d' * 200)
os.chdir('/')
os.mkdir(f'{TASKS}/wide.tmp')
for number in range(5000):
    write(f'{TASKS}/wide.tmp/{number}')
os.mkdir(f'{TASKS}/closed.tmp'); write(f'{TASKS}/closed.tmp/x'); os.chmod(f'{TASKS}/closed.tmp', 0)
for name in ['deep', 'wide', 'closed']:
    os.rename(f'{TASKS}/{name}.tmp', f'{TASKS}/{name}.json')
for name in ['deep', 'wide', 'closed']:
    print(name, json.dumps(answer_to(f'{name}.json')))
ask(TASKS, 'good.json', {'type': 'message', 'text': 'good'})
";
    let output = run(&host, "mallory", attack);
    assert_eq!(output.matches(r#""ok": false"#).count(), 3, "{output}");
    assert!(output.contains(r#"good.json {"ok": true"#), "{output}");
    goes_on(&host, &["mallory"]);
}
