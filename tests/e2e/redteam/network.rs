//! The host, its network, and whatever lies beside it.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use longshore_tests::installation::has_socket;
use longshore_tests::{Api, Host, HostOptions, Installation};
use serde_json::json;

use super::{ATTACKERS, CANARY, all_refused, besieged, goes_on, plain, run, with_keys};

/// A service of the host that nobody inside may reach.
pub(super) struct Target {
    listener: TcpListener,
    /// Where it listens.
    pub(super) port: u16,
}

impl Target {
    pub(super) fn on(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// Nobody has come, and somebody would have been seen.
    pub(super) fn was_left_alone(&self) {
        let came = self.listener.accept();
        assert!(came.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{came:?}");
        let _own = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        assert!((0..1000).any(|_| self.listener.accept().is_ok()), "the listener hears nothing");
    }
}

/// The address by which this machine is known in its network; nothing is sent. One for documentation is taken
/// for the internet's, which is why tests can have one.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    match socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr()) {
        Ok(address)
            if !["192.0.2.", "198.51.100.", "203.0.113."]
                .iter()
                .any(|net| address.ip().to_string().starts_with(net)) =>
        {
            address.ip().to_string()
        }
        _ => "172.17.0.1".to_owned(),
    }
}

/// Everything is allowed, and all names lead to this machine: nothing leaves it.
fn open() -> Installation {
    let installation = besieged(&json!({ "egress": "open" }), &json!({}));
    installation.env(&format!("EGRESS_RESOLVER=127.0.0.1:{}", lying_name_server(&[[127, 0, 0, 1]])));
    installation
}

#[test]
fn no_address_is_reachable_without_the_broker() {
    let target = Target::on("0.0.0.0");
    let installation = open();
    let host = Host::start(&installation);
    let (port, own) = (target.port, own_address());
    let attack = format!(
        r"
print('interfaces', sorted(os.listdir('/sys/class/net')), read('/proc/net/route').count(b'\n'))
for address in ['127.0.0.1', '{own}', '172.17.0.1', '10.0.0.1', '169.254.169.254', '192.0.2.1']:
    attempt(f'tcp {{address}}', lambda: socket.create_connection((address, {port}), 5))
for address in ['::1', 'fe80::1', '2001:db8::1']:
    attempt(f'tcp {{address}}', lambda: socket.create_connection((address, {port}), 5))
for address in ['{own}', '172.17.0.1', '255.255.255.255']:
    attempt(f'udp {{address}}', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (address, {port})))
attempt('name', lambda: socket.getaddrinfo('example.com', 80))
attempt('host name', lambda: socket.getaddrinfo('host.docker.internal', 80))
"
    );
    for group in ATTACKERS {
        let output = run(&host, group, &attack);
        all_refused(&output, 14);
        assert!(output.contains("interfaces ['lo'] 1"), "{output}");
    }
    target.was_left_alone();
    goes_on(&host, &ATTACKERS);
}

#[test]
fn raw_packet_and_other_unusual_sockets_are_refused() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt('raw 6', lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
attempt('packet', lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
attempt('vsock', lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 22)))
def link():
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    netlink.bind((0, 0))
    # RTM_NEWLINK, a dummy device.
    body = bytes([0] * 16) + b'\x0a\x00\x03\x00dummy\x00\x00\x00' + b'\x10\x00\x12\x00\x0a\x00\x01\x00dummy\x00\x00\x00'
    head = (len(body) + 16).to_bytes(4, 'little') + (16).to_bytes(2, 'little') + (0x605).to_bytes(2, 'little') + bytes(8)
    netlink.send(head + body)
    code = int.from_bytes(netlink.recv(4096)[16:20], 'little', signed=True)
    if code: raise OSError(-code, os.strerror(-code))
attempt('new interface', link)
attempt('low port of the host', lambda: open('/proc/sys/net/ipv4/ip_forward', 'w').write('1'))
";
    for group in ATTACKERS {
        all_refused(&run(&host, group, attack), 6);
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn an_abstract_socket_of_the_host_is_in_another_world() {
    let name = format!("longshore-redteam-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let installation = plain();
    let host = Host::start(&installation);
    let attack = format!(r"attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\0{name}'))");
    for group in ATTACKERS {
        all_refused(&run(&host, group, &attack), 1);
    }
    assert!(listener.accept().is_err());
    goes_on(&host, &ATTACKERS);
}

#[test]
fn no_spelling_of_an_inner_address_gets_through_the_proxy() {
    let target = Target::on("0.0.0.0");
    let installation = open();
    let host = Host::start(&installation);
    let (port, own) = (target.port, own_address());
    let attack = format!(
        r"
hosts = ['127.0.0.1', 'localhost', 'LOCALHOST.', 'x.localhost', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '127.0.0.1.', '0.0.0.0', '0',
         '[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]',
         '[2001:0:7f00:1::]', '[fe80::1]', '[fe80::1%25lo]', '[fd00::1]', '[ff02::1]', '{own}', '[::ffff:{own}]',
         '169.254.169.254', '[::ffff:169.254.169.254]', '[fd00:ec2::254]', '100.100.100.200', '10.0.0.1', '172.17.0.1', '192.168.0.1',
         '100.64.0.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '240.0.0.1', 'metadata', 'metadata.google.internal',
         'user@127.0.0.1', '127.0.0.1%00.example.com', '127.0.0.1#.example.com', '127.0.0.1\\.example.com']
for name in hosts:
    for raw in [f'CONNECT {{name}}:{port} HTTP/1.1\r\nhost: example.com:443\r\n\r\n',
                f'GET http://{{name}}:{port}/latest/meta-data/ HTTP/1.1\r\nhost: example.com\r\n\r\n',
                f'GET https://{{name}}:{port}/ HTTP/1.1\r\nhost: example.com\r\n\r\n']:
        code = status(raw.encode())
        print(raw.split('HTTP')[0], ('refused' if code[0] in '45' or code == 'closed' else 'DONE'), code)
"
    );
    let output = run(&host, "mallory", &attack);
    assert!(!output.contains("DONE"), "{output}");
    assert_eq!(output.matches("refused").count(), 43 * 3, "{output}");
    target.was_left_alone();
    goes_on(&host, &ATTACKERS);
}

/// A name server that answers every question with an address inside, each in turn.
pub(super) fn lying_name_server(addresses: &'static [[u8; 4]]) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut packet = [0; 1500];
        let mut turn = addresses.iter().cycle();
        // It ends with the tests.
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            let question = &packet[12..length];
            let name_ends = question.iter().position(|byte| *byte == 0).unwrap_or_default();
            let question = &question[..name_ends + 5];
            let is_a = question[name_ends + 2] == 1;
            let mut answer = packet[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            answer.extend(question);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                answer.extend(turn.next().unwrap());
            }
            let _ = socket.send_to(&answer, peer);
        }
    });
    port
}

#[test]
fn a_name_that_leads_inside_is_refused_each_time_it_is_asked() {
    let target = Target::on("127.0.0.1");
    let dns = lying_name_server(&[[127, 0, 0, 1], [169, 254, 169, 254], [10, 0, 0, 1], [0, 0, 0, 0]]);
    let installation = besieged(&json!({ "egress": "open" }), &json!({}));
    installation.env(&format!("EGRESS_RESOLVER=127.0.0.1:{dns}"));
    let host = Host::start(&installation);
    let port = target.port;
    let attack = format!(
        r"
for number in range(12):
    raw = f'CONNECT rebind-{{number % 3}}.example.com:{port} HTTP/1.1\r\nhost: x\r\n\r\n'
    print(number, status(raw.encode()))
    raw = f'GET http://rebind-{{number % 3}}.example.com:{port}/ HTTP/1.1\r\nhost: x\r\n\r\n'
    print(number, send(raw.encode()))
"
    );
    let output = run(&host, "mallory", &attack);
    assert_eq!(output.lines().filter(|line| line.contains("403")).count(), 24, "{output}");
    assert!(output.contains("which is never allowed"), "{output}");
    target.was_left_alone();
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_host_that_is_on_no_list_is_refused_and_with_egress_none_all_are() {
    for (egress, hosts) in [
        ("list", "['evil.example', 'pypi.org.evil.example', 'evil.example@pypi.org', 'pypi.org:22']"),
        ("none", "['pypi.org', 'github.com', 'evil.example']"),
    ] {
        let installation = besieged(&json!({ "egress": egress }), &json!({}));
        // Should a name be asked for nevertheless, it leads nowhere.
        installation.env(&format!("EGRESS_RESOLVER=127.0.0.1:{}", lying_name_server(&[[127, 0, 0, 1]])));
        let host = Host::start(&installation);
        let attack = format!(
            r"
for name in {hosts}:
    target = name if ':' in name else f'{{name}}:443'
    print(name, status(f'CONNECT {{target}} HTTP/1.1\r\nhost: pypi.org:443\r\n\r\n'.encode()), status(f'GET http://{{target}}/ HTTP/1.1\r\nhost: pypi.org\r\n\r\n'.encode()))
"
        );
        let output = run(&host, "mallory", &attack);
        let refused = output.matches("40").count();
        assert!(refused >= 6 && !output.contains(" 20") && !output.contains(" 50"), "{output}");
        goes_on(&host, &["mallory"]);
    }
}

#[test]
fn the_engine_and_the_hosts_own_socket_are_not_there() {
    let installation = open();
    let host = Host::start(&installation);
    let root = installation.root().display();
    let attack = format!(
        r"
for path in ['/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', '/run/podman/podman.sock', '/run/systemd/private',
             '/run/dbus/system_bus_socket', '{root}/data/host.sock', '/workspace/data/host.sock', '/proc/1/root{root}/data/host.sock']:
    attempt(path, lambda: socket.socket(socket.AF_UNIX).connect(path))
sockets = [os.path.join(place, name) for top in ['/workspace', '/run', '/tmp', '/home', '/var'] for place, _, names in os.walk(top) for name in names if not place.startswith('/tmp/cc-socks')
           if stat.S_ISSOCK(os.lstat(os.path.join(place, name)).st_mode)]
print('sockets', sockets)
for port in [2375, 2376, 6443, 10250]:
    code = status(f'CONNECT 127.0.0.1:{{port}} HTTP/1.1\r\nhost: x\r\n\r\n'.encode())
    print(port, 'refused' if code == '403' else 'DONE', code)
"
    );
    for group in ATTACKERS {
        let output = run(&host, group, &attack);
        all_refused(&output, 9);
        let there = if has_socket() { "sockets ['/run/longshore/broker.sock']" } else { "sockets []" };
        assert!(output.contains(there), "{output}");
        assert_eq!(output.matches("refused 403").count(), 4, "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_request_that_names_the_api_by_its_host_gets_no_credential() {
    let api = Api::start();
    let installation = with_keys(&api);
    let options = HostOptions { without_rehearsal: true, ..HostOptions::default() };
    let host = Host::start_with(&installation, &options);
    let base = api.server().anthropic_base();
    let port = base.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let attack = format!(
        r"
for target in ['{base}/v1/messages', 'http://127.0.0.1:{port}/openai/v1/responses', 'http://api.anthropic.com:{port}/v1/messages', 'http://api.openai.com:{port}/v1/responses']:
    print(target, status(f'POST {{target}} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{{{}}}}'.encode()))
    print(target, status(f'GET {{target}} HTTP/1.1\r\nhost: x\r\n\r\n'.encode()))
"
    );
    let before = api.requests().len();
    let output = run(&host, "mallory", &attack);
    assert_eq!(output.matches(" 403").count(), 8, "{output}");
    // The attacker's own turn is all that came.
    let strange: Vec<_> = api.requests()[before..]
        .iter()
        .filter(|request| request.method == "GET" && !request.path.contains("models"))
        .cloned()
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(!output.contains(CANARY), "{output}");
    goes_on(&host, &ATTACKERS);
}
