//! The operator's keys: where they are not.

use longshore_tests::Api;

use super::{ATTACKERS, CANARY, goes_on, holds, paying, run, with_keys};

#[test]
fn a_key_is_in_no_environment_argument_file_or_memory_of_a_container() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
mark = b'cana' + b'ry-1f0c5b'
placeholders = 0
for process in glob.glob('/proc/[0-9]*'):
    if process == f'/proc/{os.getpid()}': continue
    for part in ['environ', 'cmdline']:
        try: content = read(f'{process}/{part}', 1 << 20)
        except OSError: continue
        placeholders += content.count(b'longshore-placeholder')
        print('found' if mark in content else 'clean', process, part)
    try:
        # What the processes of the CLIs hold in memory, a few megabytes of each writable piece.
        with open(f'{process}/mem', 'rb', 0) as memory:
            for line in open(f'{process}/maps'):
                if ' rw' not in line: continue
                first, last = (int(end, 16) for end in line.split()[0].split('-'))
                memory.seek(first)
                try: content = memory.read(min(last - first, 4 << 20))
                except OSError: continue
                if mark in content: print('found', process, 'memory')
    except OSError: pass
print('placeholders', placeholders > 0)
places = ['/home', '/workspace', '/tmp', '/var', '/run', '/etc', '/root', '/opt']
print('files', subprocess.run(['grep', '-rlaF', '--devices=skip', mark.decode(), *places], capture_output=True, text=True).stdout.split())
print('here', sorted(name for name in os.environ if mark.decode() in os.environ[name]))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert!(
            output.contains("clean") && output.contains("placeholders True"),
            "the look itself found nothing: {output}"
        );
        assert!(!output.contains("found") && output.contains("files []") && output.contains("here []"), "{output}");
    }
    let shown = api.requests().iter().filter(|request| format!("{:?}", request.headers).contains(CANARY)).count();
    assert!(shown >= 2, "the keys were not used at all");
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_key_is_in_no_log_no_database_and_no_answer_whatever_goes_wrong() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
for raw in [b'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{', b'POST /openai/v1/responses HTTP/1.1\r\n\0\r\n\r\n', b'GET /openai/v1/models HTTP/1.1\r\nhost: x\r\n\r\n']:
    send(raw, 3)
ask(TASKS, 'bad.json', '{')
";
    for group in ATTACKERS {
        run(&host, group, attack);
        for fault in ["#rehearse status 401", "#rehearse status 400 message=\"no\""] {
            assert!(!format!("{:?}", host.chat(group, fault)).contains(CANARY));
        }
    }
    for arguments in [&["status"][..], &["status", "--json"], &["doctor", "--all"], &["groups", "--json"], &["usage"]] {
        let output = installation.longshore(arguments);
        assert!(
            !format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
                .contains(CANARY)
        );
    }
    goes_on(&host, &ATTACKERS);
    assert!(host.log().contains("forwarded"), "the log says nothing: it would not show a key, either");
    assert_eq!(host.stop(), Some(0));
    assert_eq!(holds(&installation, CANARY), Vec::<String>::new());
}
