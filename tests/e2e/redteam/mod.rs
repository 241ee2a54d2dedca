//! SPEC "Containers", from the other side: everything inside of a container is the enemy's.
//!
//! A compromised container reaches its group's folder, its own state and what the broker lets through, and
//! nothing else. Each test is one attack: it asserts that the attack was refused or had no effect, and that
//! the host goes on. `docs/SECURITY.md` names these tests beside what they keep.
//!
//! An attack is a Python program that a shell step of the real CLI runs ([`run`]), or a whole runner of the
//! enemy's own ([`runner`]).

mod files;
mod identity;
mod mailbox;
mod network;
mod outlets;
mod persistence;
mod prompts;
mod resources;
mod runner;
mod sandbox;
mod secrets;
mod smuggling;
mod tasks;

use std::fs;
use std::process::{Child, Command, Stdio};

use longshore_tests::{Api, Host, HostOptions, Installation};
use serde_json::{Value, json};

/// The compromised groups: one on claude, one on codex.
const ATTACKERS: [&str; 2] = ["eve", "mallory"];
/// What nobody inside may ever see. The attacks are written so that they do not hold it.
const CANARY: &str = "canary-1f0c5b";

/// What every attack may use.
const TOOLS: &str = r"
import ctypes, errno, glob, json, os, resource, socket, stat, subprocess, sys, threading, time
MESSAGES, TASKS, ANSWERS = '/workspace/ipc/messages', '/workspace/ipc/tasks', '/workspace/ipc/answers'

def attempt(name, action):
    try:
        print(f'{name}: DONE {action()!r}')
    except BaseException as error:
        print(f'{name}: refused {type(error).__name__} {error}')

def read(path, size=4096):
    with open(path, 'rb') as file:
        return file.read(size)

def write(path, data=b'x'):
    with open(path, 'wb') as file:
        return file.write(data)

def way_out():
    path = '/run/longshore/broker.sock'
    if not os.path.exists(path):
        return socket.create_connection(('127.0.0.1', 7411))
    broker = socket.socket(socket.AF_UNIX)
    broker.connect(path)
    return broker

def send(raw, wait=20):
    with way_out() as broker:
        broker.settimeout(wait)
        answer = b''
        try:
            broker.sendall(raw)
        except OSError:
            pass
        try:
            while piece := broker.recv(65536):
                answer += piece
        except OSError:
            pass
        return answer

def status(raw):
    return send(raw)[9:12].decode('latin-1') or 'closed'

def put(folder, name, data):
    data = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    path = os.path.join(folder.encode(), name if isinstance(name, bytes) else name.encode())
    write(path + b'.tmp', data)
    os.rename(path + b'.tmp', path)

def flood(folder, count, data, rounds):
    for number in range(count):
        write(f'{folder}/{number}.tmp', data)
        os.rename(f'{folder}/{number}.tmp', f'{folder}/{number}.json')
    for _ in range(rounds):
        if not glob.glob(f'{folder}/*.json'): break
        time.sleep(0.02)
    print('left', len(glob.glob(f'{folder}/*.json')))

def answer_to(name):
    for _ in range(2000):
        try:
            return json.loads(read(f'{ANSWERS}/{name}'))
        except (FileNotFoundError, ValueError):
            time.sleep(0.02)
    return 'no answer'

def ask(folder, name, petition):
    put(folder, name, petition)
    print(name, json.dumps(answer_to(name)))

LIBC = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    result = getattr(LIBC, name)(*arguments)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
";

/// An installation with the two compromised groups, `bob`, who has done nothing, and the main group.
/// `config` is the container's of the compromised ones, `more` are further fields of theirs.
fn besieged(config: &Value, more: &Value) -> Installation {
    let installation = Installation::new();
    let mut groups = json!({});
    for (folder, provider) in [("main", "claude"), ("eve", "claude"), ("mallory", "codex"), ("bob", "codex")] {
        let mut entry = json!({
            "name": folder, "folder": folder, "trigger": "@Andy", "added_at": "2026-01-01T00:00:00.000Z",
            "requiresTrigger": false, "provider": provider,
        });
        if ATTACKERS.contains(&folder) {
            entry["containerConfig"] = config.clone();
            for (name, value) in more.as_object().unwrap() {
                entry[name] = value.clone();
            }
        }
        groups[format!("console:{folder}")] = entry;
        fs::create_dir_all(installation.path(&format!("groups/{folder}"))).unwrap();
    }
    installation.groups(&groups.to_string());
    installation
}

/// [`besieged`] with nothing special.
fn plain() -> Installation {
    besieged(&json!({}), &json!({}))
}

/// [`plain`] with an API of the test's own, keys that are the canary's, and all names leading to this machine.
fn with_keys(api: &Api) -> Installation {
    let installation = besieged(&json!({ "egress": "open" }), &json!({}));
    installation.env(&format!(
        "ANTHROPIC_API_KEY=sk-{CANARY}-claude\nCODEX_API_KEY=sk-{CANARY}-codex\nANTHROPIC_BASE_URL={}\nOPENAI_BASE_URL={}",
        api.server().anthropic_base(),
        api.server().openai_base()
    ));
    let names = network::lying_name_server(&[[127, 0, 0, 1]]);
    installation.env(&format!("EGRESS_RESOLVER=127.0.0.1:{names}"));
    installation
}

/// A host that asks the APIs of `.env`.
fn paying(installation: &Installation) -> Host<'_> {
    Host::start_with(installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() })
}

/// Runs an attack in a group's container, by a shell step of its CLI, and returns what it printed.
fn run(host: &Host<'_>, group: &str, attack: &str) -> String {
    let folder = host.installation.path(&format!("groups/{group}"));
    fs::write(folder.join("attack.py"), format!("{TOOLS}\n{attack}\nprint('the attack is over')\n")).unwrap();
    let _ = fs::remove_file(folder.join("attack.out"));
    let asked = "#rehearse shell python3 -u /workspace/group/attack.py > /workspace/group/attack.out 2>&1; echo ran it";
    let answer = host.chat(group, asked);
    let output =
        fs::read(folder.join("attack.out")).unwrap_or_else(|error| panic!("{error}: {answer:?}\n{}", host.log()));
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(answer.status == 0 && answer.stdout.contains("ran it"), "{answer:?}\n{output}");
    assert!(output.ends_with("the attack is over\n"), "the attack itself failed:\n{output}");
    output
}

/// Of an attack's attempts all were refused, and there were at least `count`.
fn all_refused(output: &str, count: usize) {
    assert!(!output.contains(": DONE"), "{output}");
    let refused = output.matches(": refused").count();
    assert!(refused >= count, "only {refused} attempts:\n{output}");
}

/// Whoever was not attacked is answered, and so is whoever attacked.
fn goes_on(host: &Host<'_>, attackers: &[&str]) {
    for group in ["bob"].iter().chain(attackers) {
        let answer = host.chat(group, "still there?");
        let said = answer.stdout.ends_with("You said: still there?");
        assert!(answer.status == 0 && said, "{group}: {answer:?}\n{}", host.log());
    }
}

/// Says something and does not wait for the end.
fn asked(installation: &Installation, group: &str, text: &str) -> Child {
    let mut command = installation.command();
    command.args(["chat", group, "--once", text]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Stops whatever a group does, once there is something to stop.
fn stopped(host: &mut Host<'_>, group: &str) {
    host.wait_until("there is something to stop", |host| {
        let output = host.installation.longshore(&["stop", group]);
        output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("nothing")
    });
}

/// Whether a text stands in a file of the installation, or in the name of one; `.env` is left out.
fn holds(installation: &Installation, text: &str) -> Vec<String> {
    let output = Command::new("grep")
        .args(["-rlaF", "--devices=skip", "--exclude=.env", "--exclude=attack.py", text])
        .arg(installation.root())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
