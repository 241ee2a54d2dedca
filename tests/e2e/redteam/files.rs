//! What of the host's files can be read, written, or made the host's own trouble.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use longshore_tests::Host;

use super::{ATTACKERS, CANARY, all_refused, goes_on, plain, run};

/// What is nobody's inside, each with the canary in it.
const SECRETS: [&str; 7] = [
    ".env.old",
    "groups/bob/diary.txt",
    "groups/CLAUDE.md.bak",
    "data/login/codex/auth.json",
    "data/ipc/bob/answers/private.json",
    "data/sessions/bob/.claude/history.jsonl",
    "data/prices.json.bak",
];

fn hide(root: &Path) {
    for secret in SECRETS {
        let path = root.join(secret);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, CANARY).unwrap();
    }
}

#[test]
fn no_file_of_the_host_or_of_another_group_is_readable_by_any_path() {
    let installation = plain();
    hide(installation.root());
    let host = Host::start(&installation);
    let root = installation.root().display();
    let names = format!("{SECRETS:?}").replace('"', "'");
    let attack = format!(
        r"
own = read('/workspace/group/attack.py')
print('own file', len(own) > 0)
names = {names} + ['.env', 'host.log', 'data/longshore.db', 'data/registered_groups.json', 'data/host.sock']
for name in names:
    for start in ['{root}', '/proc/1/root{root}', '/proc/self/cwd/../../..{root}', '/workspace/group/../..',
                  '/workspace/ipc/../..', '/run/longshore/../..', '/home/node/.claude/../../..{root}']:
        attempt(f'{{start}}/{{name}}', lambda: read(f'{{start}}/{{name}}'))
for path in ['/workspace/bob', '/workspace/ipc/bob', '/run/longshore/bob', '/workspace/groups']:
    attempt(path, lambda: os.listdir(path))
mark = 'cana' + 'ry-1f0c5b'
places = ['/workspace', '/home', '/tmp', '/var', '/run', '/etc', '/opt', '/srv', '/mnt', '/media', '/root', '/dev/shm']
found = subprocess.run(['grep', '-rlaF', '--devices=skip', mark, *places], capture_output=True, text=True).stdout
print('found in', found.split())
"
    );
    for group in ATTACKERS {
        let output = run(&host, group, &attack);
        all_refused(&output, 80);
        assert!(output.contains("own file True") && output.contains("found in []"), "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_memory_file_that_is_a_link_shows_the_agent_nothing_of_the_host() {
    let installation = plain();
    hide(installation.root());
    let host = Host::start(&installation);
    let secret = installation.path(SECRETS[1]);
    let attack = |target: &str| {
        format!(
            "for name in ['CLAUDE.md', 'AGENTS.md', 'CLAUDE.local.md']:\n    \
             path = f'/workspace/group/{{name}}'\n    \
             if os.path.lexists(path): os.remove(path)\n    os.symlink('{target}', path)"
        )
    };
    for group in ATTACKERS {
        // That memory is told at all.
        fs::write(installation.path(&format!("groups/{group}/CLAUDE.md")), "remember the marigold").unwrap();
        if group == "mallory" {
            assert!(host.chat(group, "#rehearse tell").stdout.contains("marigold"));
        }
        for target in [secret.to_str().unwrap(), "../bob/diary.txt", "../../.env.old", "/proc/self/environ"] {
            run(&host, group, &attack(target));
            let told = host.chat(group, "#rehearse tell");
            assert_eq!(told.status, 0, "{told:?}");
            assert!(!told.stdout.contains(CANARY), "{target}: {told:?}");
            assert!(!told.stdout.contains("LONGSHORE_ROOT") && !told.stdout.contains("RUST_LOG"), "{told:?}");
        }
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_memory_file_that_is_a_pipe_a_socket_a_folder_or_huge_holds_nobody_up() {
    let installation = plain();
    let host = Host::start(&installation);
    for what in [
        "os.mkfifo(path)",
        "socket.socket(socket.AF_UNIX).bind(path)",
        "os.mkdir(path)",
        "open(path, 'wb').truncate(200 << 20)",
        "write(path, b'\\xff\\xfe\\x00' * 300000)",
        "os.symlink(path, path)",
    ] {
        let attack = format!(
            "path = '/workspace/group/CLAUDE.md'\n\
             if os.path.lexists(path): os.rename(path, f'/workspace/group/old-{{time.time_ns()}}')\n{what}"
        );
        run(&host, "mallory", &attack);
        goes_on(&host, &["mallory"]);
    }
}

#[test]
fn a_file_that_is_swapped_for_a_link_while_the_host_reads_shows_nothing() {
    let installation = plain();
    hide(installation.root());
    let host = Host::start(&installation);
    let secret = installation.path(SECRETS[1]).display().to_string();
    let attack = format!(
        r#"
good = json.dumps({{'type': 'message', 'text': 'swapped'}}).encode()
for number in range(400):
    for path in [f'{{MESSAGES}}/swap-{{number}}.json', '/workspace/group/CLAUDE.md', '/workspace/group/AGENTS.md']:
        spare = f'{{path}}.tmp'
        write(spare, good); os.rename(spare, path)
        os.symlink('{secret}', spare); os.rename(spare, path)
        write(spare, good); os.rename(spare, path)
        os.symlink('/workspace/group/../bob/diary.txt', spare); os.rename(spare, path)
ask(MESSAGES, 'last.json', {{'type': 'message', 'text': 'the last one'}})
"#
    );
    let output = run(&host, "mallory", &attack);
    assert!(output.contains(r#"last.json {"ok": true"#), "{output}");
    assert!(!host.chat("mallory", "#rehearse tell").stdout.contains(CANARY));
    goes_on(&host, &["mallory"]);
    let held = super::holds(&installation, CANARY);
    assert_eq!(held.len(), SECRETS.len(), "the canary got about: {held:?}");
}

#[test]
fn devices_cannot_be_made_and_none_of_the_hosts_is_there() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
for place in ['/workspace/group', '/tmp', '/dev', '/home/node/.codex', MESSAGES]:
    for kind, major, minor in [(stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 259, 0), (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 1, 11)]:
        attempt(f'{place} {kind} {major}', lambda: os.mknod(f'{place}/device', kind | 0o666, os.makedev(major, minor)))
for path in ['/dev/sda', '/dev/vda', '/dev/nvme0n1', '/dev/mem', '/dev/kmem', '/dev/port', '/dev/kmsg', '/dev/fuse',
             '/dev/kvm', '/dev/loop-control', '/dev/net/tun', '/proc/kcore', '/proc/kmsg']:
    attempt(path, lambda: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 1)[0])
";
    for group in ATTACKERS {
        all_refused(&run(&host, group, attack), 33);
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_hundred_thousand_files_and_names_of_any_bytes_do_not_delay_the_next_container() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
os.makedirs('/workspace/group/many')
for number in range(100_000):
    os.close(os.open(f'/workspace/group/many/{number}', os.O_CREAT | os.O_WRONLY))
for place in [b'/workspace/group', b'/home/node/.claude', b'/home/node/.codex']:
    for name in [b'a\nb', b'\xff\xfe\x80', b'-rf', b'--help', b'$(reboot)', b' ', b'\x1b[2J', b'x' * 255, b'..\\..', b'*']:
        write(place + b'/' + name)
deep = '/workspace/group/deep'
os.mkdir(deep); os.chdir(deep)
for level in range(500):
    os.mkdir('d'); os.chdir('d')
";
    for group in ATTACKERS {
        run(&host, group, attack);
    }
    let host = Host::start_again(host);
    goes_on(&host, &ATTACKERS);
    assert!(installation.longshore(&["status"]).status.success());
}

#[test]
fn what_is_shared_is_read_only_for_an_ordinary_group() {
    let installation = plain();
    fs::write(installation.path("groups/global/CLAUDE.md"), "shared").unwrap();
    let host = Host::start(&installation);
    let attack = r"
print('shared', read('/workspace/global/CLAUDE.md'))
for path in ['/workspace/global/CLAUDE.md', '/workspace/global/new', '/workspace/CLAUDE.md', '/workspace/extra/x',
             '/run/longshore/x', '/workspace/ipc/x', '/etc/passwd', '/usr/local/bin/x']:
    attempt(path, lambda: write(path))
attempt('rename', lambda: os.rename('/workspace/global/CLAUDE.md', '/workspace/group/CLAUDE.md'))
attempt('unlink', lambda: os.unlink('/workspace/global/CLAUDE.md'))
attempt('chmod', lambda: os.chmod('/workspace/global/CLAUDE.md', 0o777))
attempt('link', lambda: os.link('/workspace/global/CLAUDE.md', '/workspace/global/again'))
attempt('utime', lambda: os.utime('/workspace/global/CLAUDE.md'))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        all_refused(&output, 13);
        assert!(output.contains("shared b'shared'"), "{output}");
    }
    assert_eq!(fs::read_to_string(installation.path("groups/global/CLAUDE.md")).unwrap(), "shared");
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_link_in_the_place_of_a_state_folder_is_not_followed_by_the_next_start() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
for folder in ['/home/node/.claude', '/home/node/.codex', '/workspace/group', MESSAGES, TASKS]:
    attempt(f'rename {folder}', lambda: os.rename(folder, folder + '-old'))
    attempt(f'remove {folder}', lambda: os.rmdir(folder))
";
    all_refused(&run(&host, "mallory", attack), 10);
    assert_eq!(host.stop(), Some(0));
    // As if one had succeeded: what lies behind the link stays root's and untouched.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), CANARY).unwrap();
    let state = installation.path("data/codex/mallory/.codex");
    fs::rename(&state, installation.path("data/codex/mallory/moved")).unwrap();
    symlink(outside.path(), &state).unwrap();
    let mut host = Host::start(&installation);
    let mut asking = super::asked(&installation, "mallory", "hello");
    host.wait_until("the link was refused", |host| host.log().contains("data/codex/mallory/.codex"));
    super::stopped(&mut host, "mallory");
    asking.wait().unwrap();
    let left: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
    goes_on(&host, &[]);
}
