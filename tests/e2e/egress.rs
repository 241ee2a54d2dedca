//! SPEC "Egress": real tools in real containers, and a host in a network that the test made.

use longshore_tests::network::{INSIDE, OUTSIDE, set_groups};
use longshore_tests::{Host, HostOptions, Installation, Network};
use serde_json::Value;

/// A host in the network.
fn host<'a>(network: &Network, installation: &'a Installation) -> Host<'a> {
    let options = HostOptions { network: Some(network.namespace().path()), ..HostOptions::default() };
    Host::start_with(installation, &options)
}

/// Lets the group's agent run a script in its folder, and gives what it wrote.
fn run(host: &Host<'_>, group: &str, script: &str) -> String {
    let path = |name: &str| host.installation.path(&format!("groups/{group}/{name}"));
    let script = format!("export GIT_SSL_CAINFO=$PWD/ca.pem SSL_CERT_FILE=$PWD/ca.pem\n{FETCH}{script}");
    std::fs::write(path("try.sh"), script).unwrap();
    let answer = host.chat(group, "#rehearse shell bash try.sh > out.txt 2>&1\n#rehearse say done");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "done"), "{answer:?}:\n{}", host.log());
    std::fs::read_to_string(path("out.txt")).unwrap()
}

/// `fetch URL`: the status (of the proxy, where there is no other) and what came, in one line.
const FETCH: &str = r#"
fetch() {
    rm -f /tmp/body
    status=$(curl -sS --noproxy '' -x http://127.0.0.1:7411 -D /tmp/head -o /tmp/body -w '%{http_code} %{http_connect}' "$1" 2> /tmp/error)
    echo "$1: $status $(tr '\r\n' '  ' < /tmp/error; tr '\r\n' '  ' < /tmp/head | grep -o 'proxy-status: .*'; cat /tmp/body)" | tr '\n' ' '
    echo
}
"#;

/// The line of that address.
fn line<'a>(said: &'a str, url: &str) -> &'a str {
    said.lines().find_map(|line| line.strip_prefix(url)?.strip_prefix(": ")).unwrap_or_else(|| panic!("{url}:\n{said}"))
}

/// A group's egress in `longshore status`.
fn egress(installation: &Installation, group: &str) -> Value {
    let output = installation.longshore(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let groups = status["groups"].as_array().unwrap();
    groups.iter().find(|entry| entry["id"] == group).unwrap()["egress"].clone()
}

#[test]
fn the_tools_of_either_agent_reach_what_is_allowed_and_are_told_why_nothing_else() {
    let network = Network::new();
    for name in ["git.test", "other.test"] {
        network.name(name, &[&[OUTSIDE]]);
    }
    let allow = r#""containerConfig": {"egressAllow": ["git.test"]}"#;
    let installation = network.installation(&[("main", allow), ("coder", allow)]);
    let host = host(&network, &installation);
    let script = r#"
        git clone -q http://git.test/boat.git /tmp/plain && cat /tmp/plain/README
        git clone -q https://git.test/boat.git /tmp/tls && cat /tmp/tls/README
        curl -sS --cacert ca.pem https://git.test/hello
        python3 -c 'import urllib.request as r; print(r.urlopen("https://git.test/hello").read().decode().strip(), "to python")'
        fetch http://other.test/hello
        fetch https://other.test/hello
        git clone -q https://other.test/boat.git /tmp/other || echo no clone
    "#;
    for group in ["main", "coder"] {
        let said = run(&host, group, script);
        assert!(
            said.starts_with("a boat\na boat\nhello from outside\nhello from outside to python\n"),
            "{group}:\n{said}\n{}",
            host.log()
        );
        let plain = line(&said, "http://other.test/hello");
        assert!(plain.starts_with("403 ") && plain.contains("`containerConfig.egressAllow`"), "{group}: {plain}");
        let tunnel = line(&said, "https://other.test/hello");
        assert!(tunnel.starts_with("000 403 ") && tunnel.contains("containerConfig.egressAllow"), "{group}: {tunnel}");
        assert!(said.contains("no clone") && said.contains("403"), "{group}:\n{said}");
        let counted = egress(&installation, group);
        assert_eq!(counted["refused"], 3, "{group}: {counted}");
        assert!(counted["connections"].as_u64() >= Some(4) && counted["bytes"].as_u64() > Some(1000), "{counted}");
        let told = installation.longshore(&["status"]).stdout;
        assert!(String::from_utf8_lossy(&told).contains("3 refused since the start"), "{group}");
        assert_eq!(host.chat(group, "hello").status, 0, "{group}");
    }
    assert_eq!(network.asked("other.test"), 0, "a name that is not allowed is not even looked up");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn without_a_way_out_the_model_is_heard_and_nobody_else() {
    let network = Network::new();
    network.name("git.test", &[&[OUTSIDE]]);
    let none = r#""containerConfig": {"egress": "none"}"#;
    let installation = network.installation(&[("main", none), ("coder", none)]);
    let host = host(&network, &installation);
    for group in ["main", "coder"] {
        let said = run(
            &host,
            group,
            "env | grep -ic '_proxy='; fetch http://git.test/hello; fetch https://git.test/hello; \
             curl -s --max-time 5 http://git.test/hello || echo nothing",
        );
        assert!(said.starts_with("0\n") && said.ends_with("nothing\n"), "{group}:\n{said}");
        for url in ["http://git.test/hello", "https://git.test/hello"] {
            let told = line(&said, url);
            assert!(told.contains("403") && told.contains("containerConfig.egress"), "{group}: {told}");
        }
        assert_eq!(egress(&installation, group)["refused"], 2);
    }
    assert_eq!(network.contacts(), [""; 0]);
    assert_eq!(host.stop(), Some(0));
}

/// Other ways to write what is inside.
const SPELLED: [&str; 5] = ["[::1]", "[::ffff:10.0.0.5]", "[64:ff9b::a00:5]", "2130706433", "0x7f.1"];

#[test]
fn nothing_leads_inside_by_name_or_by_address_whatever_the_operator_allows() {
    let network = Network::new();
    let mut names = Vec::new();
    for (number, address) in INSIDE.into_iter().enumerate() {
        network.name(&format!("n{number}.test"), &[&[address]]);
        network.name(&format!("m{number}.test"), &[&[&format!("::ffff:{address}")]]);
        names.extend([format!("n{number}.test"), format!("m{number}.test")]);
    }
    names.push("localhost".to_owned());
    let literals: Vec<String> = INSIDE.map(str::to_owned).into_iter().chain(SPELLED.map(str::to_owned)).collect();
    let allow = format!(r#""containerConfig": {{"egressAllow": ["{}"]}}"#, names.join(r#"", ""#));
    let open = r#""containerConfig": {"egress": "open"}"#;
    let installation = network.installation(&[("main", &allow), ("coder", open)]);
    let host = host(&network, &installation);
    let all = [names.clone(), literals].concat();
    for (group, hosts) in [("main", names), ("coder", all)] {
        let url = |host: &String| ["http", "https"].map(|scheme| format!("{scheme}://{host}/hello"));
        let urls: Vec<String> = hosts.iter().flat_map(url).collect();
        let script: String = urls.iter().map(|url| format!("fetch '{url}'\n")).collect();
        let said = run(&host, group, &script);
        for url in &urls {
            let told = line(&said, url);
            // A tunnel has no status of its own then.
            let refused = if url.starts_with("https") { "000 403 " } else { "403 " };
            assert!(told.starts_with(refused), "{group}, {url}: {told}");
            assert!(told.contains("which is never allowed"), "{group}, {url}: {told}");
        }
        assert_eq!(egress(&installation, group)["refused"], urls.len());
        assert_eq!(host.chat(group, "hello").status, 0, "{group}");
    }
    assert_eq!(network.contacts(), [""; 0], "somebody was let in");
    for address in INSIDE {
        assert!(network.hello(&format!("{address}:80")).contains("hello"), "nobody is at {address} anyway");
    }
    assert_eq!(network.contacts_inside().len(), INSIDE.len(), "an unseen contact");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_name_that_changes_its_address_leads_only_where_it_was_judged() {
    let network = Network::new();
    let inside = INSIDE[0];
    network.name("plain.test", &[&[OUTSIDE], &[inside]]);
    network.name("tls.test", &[&[OUTSIDE], &["127.0.0.1"]]);
    // The other way round: what was refused is judged anew.
    network.name("moved.test", &[&[inside], &[OUTSIDE]]);
    let all: Vec<&str> = INSIDE.into_iter().chain([OUTSIDE]).collect();
    network.name("mixed.test", &[&all]);
    let open = r#""containerConfig": {"egress": "open"}"#;
    let installation = network.installation(&[("main", open)]);
    let host = host(&network, &installation);
    let fetch = |url: &str| line(&run(&host, "main", &format!("fetch {url}")), url).to_owned();
    for (url, first, second) in [
        ("http://plain.test/hello", "200 ", "403 "),
        ("https://tls.test/hello", "200 200 ", "000 403 "),
        ("http://moved.test/hello", "403 ", "200 "),
        ("http://mixed.test/hello", "200 ", "200 "),
        ("https://mixed.test/hello", "200 200 ", "200 200 "),
    ] {
        for expected in [first, second] {
            let told = fetch(url);
            assert!(told.starts_with(expected), "{url}: {told}:\n{}", host.log());
            assert!(told.contains(if expected.starts_with('2') { "from outside" } else { "never allowed" }), "{told}");
        }
    }
    for (name, asked) in [("plain.test", 2), ("tls.test", 2), ("moved.test", 2), ("mixed.test", 4)] {
        assert_eq!(network.asked(name), asked, "{name}: one look-up for each connection, and none between");
    }
    assert_eq!(network.contacts().len(), 7);
    assert_eq!(network.contacts_inside(), [""; 0]);
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn an_open_group_reaches_every_name_and_port_and_the_list_only_its_own() {
    let network = Network::new();
    for name in ["any.test", "deep.below.test", "below.test"] {
        network.name(name, &[&[OUTSIDE]]);
    }
    let list = r#""containerConfig": {"egressAllow": ["*.below.test", "any.test:8080"]}"#;
    let open = r#""containerConfig": {"egress": "open"}"#;
    let installation = network.installation(&[("main", list), ("coder", open)]);
    let host = host(&network, &installation);
    let urls = [
        ("http://any.test:8080/hello", "200"),
        ("http://any.test/hello", "403"),
        ("http://deep.below.test/hello", "200"),
        ("http://DEEP.below.test./hello", "200"),
        ("http://deep.below.test:8080/hello", "403"),
        ("http://below.test/hello", "403"),
    ];
    let script: String = urls.iter().map(|(url, _)| format!("fetch {url}\n")).collect();
    let (of_list, of_open) = (run(&host, "main", &script), run(&host, "coder", &script));
    for (url, status) in urls {
        assert!(line(&of_list, url).starts_with(status), "{url}:\n{of_list}");
        assert!(line(&of_open, url).starts_with("200"), "{url}:\n{of_open}");
    }
    let unknown = run(&host, "coder", "fetch http://unknown.test/");
    assert!(line(&unknown, "http://unknown.test/").starts_with("502 "), "{unknown}");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_group_that_holds_all_its_places_still_hears_its_model() {
    let network = Network::new();
    network.name("git.test", &[&[OUTSIDE]]);
    let open = r#""containerConfig": {"egress": "open"}"#;
    let installation = network.installation(&[("main", open), ("coder", open)]);
    let host = host(&network, &installation);
    // Held until the end of the turn, so the model's last word comes beside them. One that finds the asking
    // `fetch` in its place is refused, which is curl's 22, and comes again.
    let said = run(
        &host,
        "main",
        "hold() { curl -sf http://git.test/hold; }\n\
         for i in $(seq 32); do (hold; while [ $? = 22 ]; do sleep 0.1; hold; done) > /dev/null 2>&1 & done\n\
         for i in $(seq 300); do fetch http://git.test/hello > last; grep -q ': 503' last && break; sleep 0.1; done\n\
         cat last",
    );
    let told = line(&said, "http://git.test/hello");
    assert!(told.starts_with("503 ") && told.contains("32 connections open"), "{told}");
    assert!(
        run(&host, "coder", "fetch http://git.test/hello").contains(": 200 "),
        "another group has places of its own"
    );
    let freed = "kill $(pidof curl); for i in $(seq 300); do fetch http://git.test/hello > last; grep -q ': 200' last && break; \
                 sleep 0.1; done; cat last";
    assert!(run(&host, "main", freed).contains(": 200 "), "{}", host.log());
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn what_the_operator_allows_holds_from_the_next_turn_on_without_a_restart() {
    let network = Network::new();
    network.name("git.test", &[&[OUTSIDE]]);
    let groups = |allow: &str| format!(r#""containerConfig": {{"egressAllow": [{allow}]}}"#);
    let installation = network.installation(&[("main", &groups(""))]);
    let mut host = host(&network, &installation);
    let fetch = |host: &Host<'_>| {
        let said = run(host, "main", "fetch http://git.test/hello");
        line(&said, "http://git.test/hello")[..3].to_owned()
    };
    assert_eq!(fetch(&host), "403");
    let generation = |host: &Host<'_>| {
        let output = host.installation.longshore(&["groups", "--json"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (allow, status) in [(r#""git.test""#, "200"), ("", "403")] {
        let (before, container) = (generation(&host), host.containers());
        set_groups(&installation, &[("main", &groups(allow))]);
        host.wait_until("the edit is read", |host| generation(host) != before);
        assert_eq!(fetch(&host), status, "{}", host.log());
        assert_ne!(host.containers(), container, "the old rules' container is still there");
        assert_eq!(host.containers().len(), 1);
    }
    assert_eq!(host.stop(), Some(0));
}
