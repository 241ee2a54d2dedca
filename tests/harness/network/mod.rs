//! A network of a test's own: a namespace with addresses, names and servers that nobody else sees.

mod names;
pub mod namespace;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub use self::names::Names;
pub use self::namespace::Namespace;
use crate::installation::Installation;

/// Where the internet is in it: an address for documentation, so that the broker takes it for one outside.
pub const OUTSIDE: &str = "198.51.100.7";
/// Where its name server is.
const NAME_SERVER: &str = "198.51.100.53";
/// Addresses that no tool may come to, each with a server that would answer. The last but one is no special
/// address at all, but this machine's own.
pub const INSIDE: [&str; 5] = ["10.0.0.5", "192.168.7.7", "169.254.169.254", "11.22.33.44", "127.0.0.1"];
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace with a name server, a web server with a git repository on [`OUTSIDE`] (80, 443, 8080), and
/// the same server on every address [`INSIDE`] (80, 443).
pub struct Network {
    names: Names,
    web: Child,
    folder: TempDir,
    namespace: Namespace,
}

impl Network {
    /// Makes one; gone when dropped, and when this process ends in another way.
    ///
    /// # Panics
    /// Not as root, or without `unshare`, `nsenter`, `ip`, `git`, `openssl` and `python3`.
    #[must_use]
    pub fn new() -> Self {
        let namespace = Namespace::new(&[&[OUTSIDE, NAME_SERVER], INSIDE.as_slice()].concat());
        let folder = tempfile::Builder::new().prefix("longshore-network-").tempdir().expect("a temporary folder");
        sh(&folder, MAKE);
        let names = Names::serve(&namespace, SocketAddr::new(NAME_SERVER.parse().expect("an address"), 53));
        let mut places = vec![format!("{OUTSIDE}:80"), format!("{OUTSIDE}:443"), format!("{OUTSIDE}:8080")];
        places.extend(INSIDE.iter().flat_map(|address| [80, 443].map(|port| format!("{address}:{port}"))));
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/web.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(folder.path()).args(places);
        let contacts = File::create(folder.path().join("contacts")).expect("a file");
        let mut web = namespace
            .inside(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(contacts)
            .spawn()
            .expect("nsenter can be started");
        let mut line = String::new();
        let output = web.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let network = Self { names, web, folder, namespace };
        assert_eq!(line, "ready\n", "the web server does not start: {}", network.contacts().join("\n"));
        network
    }

    /// Where its hosts live.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Gives a name its addresses: those of the first answer, of the second, and so on; the last one stays.
    pub fn name(&self, name: &str, answers: &[&[&str]]) {
        let parse = |address: &&str| address.parse::<IpAddr>().expect("an address");
        self.names.set(name, answers.iter().map(|answer| answer.iter().map(parse).collect()).collect());
    }

    /// How often a name's IPv4 addresses were asked for.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.names.asked(name)
    }

    /// The `address:port` that each connection so far came to.
    #[must_use]
    pub fn contacts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("contacts")).expect("the contacts");
        text.lines().map(str::to_owned).collect()
    }

    /// The contacts with anything but [`OUTSIDE`].
    #[must_use]
    pub fn contacts_inside(&self) -> Vec<String> {
        self.contacts().into_iter().filter(|contact| !contact.starts_with(OUTSIDE)).collect()
    }

    /// What the server says to somebody who is in the network and asks for `/hello`.
    #[must_use]
    pub fn hello(&self, address: &str) -> String {
        let address: SocketAddr = address.parse().expect("an address with a port");
        self.namespace.within(|| {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
            stream.write_all(b"GET /hello HTTP/1.0\r\n\r\n").expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer
        })
    }

    /// An installation that asks this network's name server, with these groups. In the folder of each is the
    /// certificate of `git.test`, `tls.test` and `mixed.test`, `ca.pem`.
    #[must_use]
    pub fn installation(&self, groups: &[(&str, &str)]) -> Installation {
        let installation = Installation::new();
        installation.env(&format!("EGRESS_RESOLVER={NAME_SERVER}"));
        set_groups(&installation, groups);
        for (group, _) in groups {
            let folder = installation.path(&format!("groups/{group}"));
            std::fs::create_dir_all(&folder).expect("a group's folder");
            std::fs::copy(self.folder.path().join("ca.pem"), folder.join("ca.pem")).expect("a certificate");
        }
        installation
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.web.kill();
        let _ = self.web.wait();
    }
}

/// Replaces the groups file: the main one is the first, `coder` is codex's, and each has these fields.
pub fn set_groups(installation: &Installation, groups: &[(&str, &str)]) {
    let entries: Vec<String> = groups
        .iter()
        .enumerate()
        .map(|(number, (group, fields))| {
            let (main, provider) = (number == 0, if *group == "coder" { "codex" } else { "claude" });
            format!(
                r#""console:{group}": {{"name": "{group}", "folder": "{group}", "trigger": "@Andy", "provider": "{provider}",
                    "added_at": "2026-01-01T00:00:00Z", "isMain": {main}, "requiresTrigger": false, {fields}}}"#
            )
        })
        .collect();
    installation.groups(&format!("{{{}}}", entries.join(",\n")));
}

/// A certificate and a repository, which is served as files.
const MAKE: &str = r#"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=DNS:git.test,DNS:tls.test,DNS:mixed.test \
    -keyout key.pem -out ca.pem
git init -q made
echo 'a boat' > made/README
git -C made add README
git -C made -c user.name=Ann -c user.email=ann@test commit -q -m 'Add a boat'
git clone -q --bare made www/boat.git
git -C www/boat.git update-server-info
echo 'hello from outside' > www/hello
"#;

fn sh(folder: &TempDir, script: &str) {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder.path())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("sh can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
