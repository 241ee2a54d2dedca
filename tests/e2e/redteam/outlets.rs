//! What is said outwards: to the APIs, as the operator, and nowhere with the operator's key.

use std::io::{Read, Write};
use std::net::TcpListener;

use longshore_tests::Api;
use serde_json::json;

use super::network::Target;
use super::{ATTACKERS, CANARY, all_refused, asked, besieged, goes_on, holds, paying, run, with_keys};

#[test]
fn credentials_that_a_client_brings_are_replaced_and_never_sent_on() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
for path in ['/anthropic/v1/messages', '/openai/v1/responses']:
    body = json.dumps({'model': 'x', 'max_tokens': 1, 'messages': [{'role': 'user', 'content': 'mine'}], 'input': 'mine'})
    head = f'POST {path} HTTP/1.1\r\nhost: evil.example\r\nx-api-key: sk-attacker\r\nX-API-KEY: sk-attacker\r\nauthorization: Bearer sk-attacker\r\n'
    head += 'proxy-authorization: Basic attacker\r\ncookie: session=attacker\r\nopenai-organization: attacker\r\nopenai-project: attacker\r\n'
    head += 'x-forwarded-for: attacker\r\nx-attack: here\r\nchatgpt-account-id: attacker\r\nconnection: x-drop\r\nx-drop: attacker\r\n'
    print(path, status((head + f'content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}').encode()))
";
    run(&host, "mallory", attack);
    let requests = api.requests();
    let mine: Vec<_> = requests.iter().filter(|request| request.headers.contains_key("x-attack")).collect();
    assert_eq!(mine.len(), 2, "{requests:?}");
    for request in mine {
        let keys: Vec<_> =
            ["x-api-key", "authorization"].iter().filter_map(|name| request.headers.get(*name)).collect();
        assert_eq!(keys.len(), 1, "{request:?}");
        assert!(keys[0].contains(CANARY), "{request:?}");
        for name in ["cookie", "proxy-authorization", "x-drop", "chatgpt-account-id"] {
            assert!(!request.headers.contains_key(name), "{name}: {request:?}");
        }
        assert_ne!(request.headers["host"], "evil.example");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn other_paths_of_the_apis_are_closed() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
for path in ['/anthropic/v1/files', '/anthropic/v1/messages/batches', '/anthropic/v1/organizations/me', '/anthropic/v1/models', '/anthropic/v1/skills',
             '/openai/v1/files', '/openai/v1/uploads', '/openai/v1/assistants', '/openai/v1/fine_tuning/jobs', '/openai/v1/organization/users',
             '/openai/v1/vector_stores', '/openai/v1/responses/../files', '/openai/v1/responses/%2e%2e/files', '/openai/v1/responses%2f..%2ffiles',
             '/anthropic/v1/messages/../files', '/anthropic//v1/files', '//anthropic/v1/files',
             '/anthropic/v1/messages\\..\\files', '/v1/files', '/', '*', '/openai/oauth/token', '/anthropic/v1/messages;/../files']:
    for method in ['GET', 'POST', 'PUT', 'DELETE']:
        code = status(f'{method} {path} HTTP/1.1\r\nhost: x\r\nx-attack: here\r\ncontent-length: 0\r\n\r\n'.encode())
        print(f'{method} {path}: refused {code}' if code in ('400', '403', '404', '405', 'closed') else f'{method} {path}: DONE {code}')
";
    let output = run(&host, "mallory", attack);
    all_refused(&output, 92);
    let came: Vec<_> = api.requests().into_iter().filter(|request| request.headers.contains_key("x-attack")).collect();
    assert!(came.is_empty(), "{came:?}");
    goes_on(&host, &ATTACKERS);
}

/// An API that answers all that it is asked with a redirect.
fn redirecting(location: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        // It ends with the tests.
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut heard = [0; 65536];
            let _ = stream.read(&mut heard);
            let head = "HTTP/1.1 307 Elsewhere\r\nset-cookie: session=vendor\r\ncontent-length: 0\r\nconnection: close";
            let _ = write!(stream, "{head}\r\nlocation: {location}\r\n\r\n");
        }
    });
    format!("http://127.0.0.1:{port}")
}

#[test]
fn the_broker_follows_no_redirect() {
    let target = Target::on("127.0.0.1");
    let installation = besieged(&json!({}), &json!({}));
    let base = redirecting(format!("http://127.0.0.1:{}/stolen", target.port));
    installation.env(&format!(
        "ANTHROPIC_API_KEY=sk-{CANARY}\nCODEX_API_KEY=sk-{CANARY}\nANTHROPIC_BASE_URL={base}\nOPENAI_BASE_URL={base}"
    ));
    let mut host = paying(&installation);
    for group in ATTACKERS {
        let mut asking = asked(&installation, group, "hello");
        let forwarded = host.log().matches("status=307").count();
        host.wait_until("the redirect was passed on", |host| host.log().matches("status=307").count() > forwarded);
        let _over_already = installation.longshore(&["stop", group]);
        asking.wait().unwrap();
    }
    target.was_left_alone();
    assert!(holds(&installation, CANARY).is_empty());
    assert!(installation.longshore(&["status"]).status.success());
}

#[test]
fn a_body_that_says_it_is_a_terabyte_is_refused_at_once() {
    let api = Api::start();
    let installation = with_keys(&api);
    let host = paying(&installation);
    let attack = r"
for path in ['/anthropic/v1/messages', '/openai/v1/responses']:
    for length in ['1099511627776', '18446744073709551615', '99999999999999999999999', '-1', '+5', '0x10', '1e3', '5, 6', '']:
        code = status(f'POST {path} HTTP/1.1\r\nhost: x\r\nx-attack: here\r\ncontent-length: {length}\r\n\r\nx'.encode())
        print(f'{length}: refused {code}' if code in ('400', '413', '431', 'closed') else f'{length}: DONE {code}')
";
    all_refused(&run(&host, "mallory", attack), 18);
    let came: Vec<_> = api.requests().into_iter().filter(|request| request.headers.contains_key("x-attack")).collect();
    assert!(came.is_empty(), "{came:?}");
    goes_on(&host, &ATTACKERS);
}
