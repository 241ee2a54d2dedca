//! Taking more than one's share.

use longshore_tests::{Host, Installation};
use serde_json::json;

use super::{ATTACKERS, asked, besieged, goes_on, plain, run, stopped};

fn small() -> Installation {
    besieged(&json!({}), &json!({ "memoryLimit": "512m", "pidsLimit": 96 }))
}

#[test]
fn a_fork_bomb_ends_at_the_limit_of_processes() {
    let installation = small();
    let host = Host::start(&installation);
    let attack = r"
children = []
try:
    while len(children) < 5000:
        child = os.fork()
        if child == 0:
            time.sleep(600); os._exit(0)
        children.append(child)
except OSError as error:
    print('ended by', error)
for child in children: os.kill(child, 9)
for child in children: os.waitpid(child, 0)
print('children', len(children))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        let children: u32 = output.split("children ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        assert!(children < 96 && output.contains("ended by"), "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_fork_bomb_that_goes_on_harms_its_own_group_alone() {
    let installation = small();
    let mut host = Host::start(&installation);
    let mut asking =
        asked(&installation, "mallory", "#rehearse shell touch bombing; b() { b | b & sleep 1; b; }; b; sleep 600");
    let bombing = installation.path("groups/mallory/bombing");
    host.wait_until("the bomb is lit", |_| bombing.exists());
    goes_on(&host, &["eve"]);
    stopped(&mut host, "mallory");
    asking.wait().unwrap();
    goes_on(&host, &["eve", "mallory"]);
}

#[test]
fn a_memory_bomb_ends_in_its_own_container() {
    let installation = small();
    let host = Host::start(&installation);
    // In a child, so that the shell that tells of it is not the largest.
    let attack = r"
child = subprocess.run([sys.executable, '-c', 'held = []\nwhile True: held.append(bytearray(16 << 20))'])
print('child ended with', child.returncode)
";
    for group in ATTACKERS {
        let folder = installation.path(&format!("groups/{group}"));
        std::fs::write(folder.join("bomb.py"), format!("{}\n{attack}", super::TOOLS)).unwrap();
        let answer = host.chat(group, "#rehearse shell python3 -u /workspace/group/bomb.py > /workspace/group/bomb.out; cat /workspace/group/bomb.out");
        // The kernel chooses whom it kills: the bomb, or the runner with it.
        assert!(answer.stdout.contains("ended with -9") || answer.status == 1, "{answer:?}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn folders_in_memory_and_open_files_have_limits() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
for place, size in [('/tmp', 700 << 20), ('/var/tmp', 300 << 20), ('/home/node', 400 << 20), ('/dev/shm', 200 << 20)]:
    attempt(place, lambda: os.posix_fallocate(os.open(f'{place}/large', os.O_CREAT | os.O_RDWR), 0, size) or size)
files = []
def everything():
    while len(files) < 100_000: files.append(os.open('/dev/null', os.O_RDONLY))
attempt('files', everything)
print('files', len(files))
for file in files: os.close(file)
attempt('core', lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
";
    for group in ATTACKERS {
        super::all_refused(&run(&host, group, attack), 6);
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn endless_work_of_one_group_leaves_the_processors_to_others() {
    let installation = plain();
    let mut host = Host::start(&installation);
    let busy = "#rehearse shell touch busy; for i in $(seq 50); do (while :; do :; done) & done; wait";
    let mut asking = ATTACKERS.map(|group| asked(&installation, group, busy));
    for group in ATTACKERS {
        let path = installation.path(&format!("groups/{group}/busy"));
        host.wait_until("it is busy", |_| path.exists());
    }
    goes_on(&host, &[]);
    for (group, asking) in ATTACKERS.iter().zip(&mut asking) {
        stopped(&mut host, group);
        asking.wait().unwrap();
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn an_answer_of_many_megabytes_is_cut_and_said() {
    let installation = plain();
    let host = Host::start(&installation);
    let answer = host.chat("mallory", "#rehearse big 3000000");
    assert!(answer.status == 0 && answer.stdout.len() < 2_000_000, "{} bytes", answer.stdout.len());
    assert!(answer.stdout.len() > 100_000, "{answer:?}");
    goes_on(&host, &ATTACKERS);
}
