//! Requests to the broker that mean two things at once, or nothing.

use longshore_tests::{Api, Host};

use super::{ATTACKERS, CANARY, asked, goes_on, paying, plain, run, with_keys};

/// What reached the API with the attack's mark.
fn marked(api: &Api) -> Vec<String> {
    let requests = api.requests();
    let marked = requests.iter().filter(|request| request.headers.contains_key("x-attack"));
    marked.map(|request| format!("{} {}", request.method, request.path)).collect()
}

#[test]
fn a_request_with_two_lengths_is_none_or_one_and_never_two() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
inner = 'POST /openai/v1/files HTTP/1.1\r\nhost: x\r\nx-attack: inner\r\nx-inner: yes\r\ncontent-length: 0\r\n\r\n'
start = 'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\nx-attack: outer\r\n'
for name, framing, body in [
    ('two lengths', 'content-length: 0\r\ncontent-length: %d\r\n' % len(inner), inner),
    ('list of lengths', 'content-length: 0, %d\r\n' % len(inner), inner),
    ('length and chunks', 'content-length: %d\r\ntransfer-encoding: chunked\r\n' % (len(inner) + 5), '0\r\n\r\n' + inner),
    ('chunks and length', 'transfer-encoding: chunked\r\ncontent-length: 4\r\n', '0\r\n\r\n' + inner),
    ('two codings', 'transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n', '0\r\n\r\n' + inner),
    ('odd coding', 'transfer-encoding: xchunked\r\n', '0\r\n\r\n' + inner),
    ('tabbed coding', 'transfer-encoding:\tchunked\r\n', '0\r\n\r\n' + inner),
    ('spaced name', 'transfer-encoding : chunked\r\n', '0\r\n\r\n' + inner),
    ('folded', 'x-y: z\r\n transfer-encoding: chunked\r\n', '0\r\n\r\n' + inner),
    ('bare line feed', 'content-length: 0\nx-injected: yes\n', '\n' + inner),
    ('chunk extension', 'transfer-encoding: chunked\r\n', '0;\n\r\n\r\n' + inner),
    ('negative chunk', 'transfer-encoding: chunked\r\n', '-1\r\n' + inner),
    ('huge chunk', 'transfer-encoding: chunked\r\n', 'ffffffffffffffff1\r\n' + inner),
    ('pipelined', 'content-length: 2\r\n', '{}' + inner),
]:
    answer = send((start + framing + '\r\n' + body).encode(), 5)
    print(name, answer.count(b'HTTP/1.1 '), answer[9:12])
";
    let output = run(&host, "mallory", attack);
    for line in output.lines().filter(|line| line.contains(" b'")) {
        assert!(line.contains(" 1 b'") || line.contains(" 0 b'"), "two answers: {output}");
    }
    let marked = marked(&api);
    assert!(!marked.is_empty(), "none of the attacks came as far as the API: {output}");
    assert!(
        marked.iter().all(|request| request == "POST /openai/v1/responses" || request == "POST /v1/responses"),
        "{marked:?}"
    );
    assert!(!api.requests().iter().any(|request| request.headers.contains_key("x-inner")));
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_header_cannot_carry_another_header_or_another_request() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
for name, lines in [('carriage return', b'x-a: b\rx-injected: yes\r\n'), ('zero', b'x-a: b\0x-injected: yes\r\n'), ('folded', b'x-a: b\r\n x-injected: yes\r\n'),
                    ('no name', b': b\r\nx-attack: yes\r\n'), ('control', b'x-a\x01: b\r\n'), ('high', b'x-\xff: b\r\n'), ('no colon', b'x-injected yes\r\n'),
                    ('space', b'x-injected : yes\r\n'), ('two hosts', b'host: api.example\r\nhost: other.example\r\n')]:
    print(name, status(b'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\nx-attack: here\r\n' + lines + b'content-length: 2\r\n\r\n{}'))
for name, line in [('version', 'POST /openai/v1/responses HTTP/9.9'), ('no version', 'POST /openai/v1/responses'), ('two', 'HTTP/2.0 PRI * SM'),
                   ('space', 'POST  /openai/v1/responses  HTTP/1.1'), ('method', 'PO ST /openai/v1/responses HTTP/1.1'), ('query', 'POST /openai/v1/responses?a=b\rc HTTP/1.1')]:
    print(name, status(f'{line}\r\nhost: x\r\nx-attack: here\r\nx-line: odd\r\ncontent-length: 2\r\n\r\n{{}}'.encode()))
";
    let output = run(&host, "mallory", attack);
    let injected: Vec<_> = api
        .requests()
        .into_iter()
        .filter(|request| request.headers.contains_key("x-injected") || request.headers.contains_key("x-line"))
        .collect();
    assert!(injected.is_empty(), "{injected:?}\n{output}");
    assert!(api.requests().iter().all(|request| request.headers["host"].starts_with("127.0.0.1")));
    goes_on(&host, &ATTACKERS);
}

#[test]
fn headers_without_end_are_cut_off() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
start = b'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\n'
for name, raw in [('one long', start + b'x-a: ' + b'b' * (32 << 20) + b'\r\n\r\n'), ('many', start + b''.join(b'x-%d: y\r\n' % number for number in range(500_000)) + b'\r\n'),
                  ('long path', b'GET /' + b'a' * (8 << 20) + b' HTTP/1.1\r\n\r\n'), ('long method', b'G' * (8 << 20)), ('zeros', b'\0' * (8 << 20)),
                  ('greeting of tls', bytes.fromhex('16030100fa010000f60303') + os.urandom(4000)), ('rubbish', os.urandom(1 << 20)), ('http 2', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')]:
    code = status(raw)
    print(f'{name}: refused {code}' if code in ('400', '403', '414', '431', 'closed') else f'{name}: DONE {code}')
";
    for group in ATTACKERS {
        super::all_refused(&run(&host, group, attack), 8);
    }
    let memory = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let most = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    assert!(most.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() < 150 * 1024, "{most}");
    goes_on(&host, &ATTACKERS);
}

#[test]
fn connections_that_are_held_and_fed_a_byte_at_a_time_keep_nobody_else_waiting() {
    let installation = plain();
    let mut host = Host::start(&installation);
    let attack = r"
held = []
for number in range(200):
    try:
        connection = way_out()
        connection.settimeout(0.2)
        connection.send(b'P')
        held.append(connection)
    except OSError: pass
print('held', len(held))
write('/workspace/group/holding')
while not os.path.exists('/workspace/group/enough'):
    for connection in held:
        try: connection.send(b'O')
        except OSError: pass
    time.sleep(0.1)
";
    let script = installation.path("groups/mallory/attack.py");
    std::fs::write(&script, format!("{}\n{attack}", super::TOOLS)).unwrap();
    let mut asking = asked(&installation, "mallory", "#rehearse shell python3 /workspace/group/attack.py");
    let holding = installation.path("groups/mallory/holding");
    host.wait_until("the connections are held", |_| holding.exists());
    for group in ["bob", "eve", "main"] {
        assert_eq!(host.chat(group, "still there?").status, 0, "{group}");
    }
    std::fs::write(installation.path("groups/mallory/enough"), "").unwrap();
    asking.wait().unwrap();
    goes_on(&host, &ATTACKERS);
}

#[test]
fn what_the_broker_refuses_is_not_told_with_a_key_in_it() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
for raw in ['GET / HTTP/1.1\r\nhost: x\r\n\r\n', 'POST /openai/v1/files HTTP/1.1\r\nhost: x\r\n\r\n', 'rubbish\r\n\r\n',
            'TRACE /openai/v1/responses HTTP/1.1\r\nhost: x\r\n\r\n', 'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n',
            'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n{}x', 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: x\r\n\r\n',
            'POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\nx-longshore-group: ../../.env\r\ncontent-length: 2\r\n\r\n{}']:
    print('heard', send(raw.encode()))
";
    let output = run(&host, "mallory", attack);
    assert_eq!(output.matches("heard b'HTTP/1.1 ").count(), 8, "{output}");
    assert!(!output.contains(CANARY), "{output}");
    goes_on(&host, &ATTACKERS);
}
