//! The link: the bridge, the link's process, and the host's end at its stdin and stdout.

use std::process::Stdio;
use std::time::Duration;

use longshore_agent::bridge::{Bridge, Way};
use longshore_agent::link::Links;
use longshore_link::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than anything here takes; only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

/// A runner's bridge; abstract names are all tests', so each takes one of its own.
async fn bridge(name: &str) -> u16 {
    let bridge = Bridge::bind(0, Way::Link(Links::listen(name).unwrap())).await.unwrap();
    let port = bridge.port().unwrap();
    tokio::spawn(bridge.run());
    port
}

/// What the host starts in the container, and its end of it.
fn link(name: &str) -> (Child, Incoming, JoinHandle<()>) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_longshore-agent"))
        .args(["link", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
    let (incoming, drive) = longshore_link::host_end(stdout, stdin);
    (process, incoming, tokio::spawn(async { drop(drive.await) }))
}

fn own(name: &str) -> String {
    format!("longshore-link-test-{}-{name}", std::process::id())
}

/// A word to and fro on an open connection.
async fn ping(client: &mut TcpStream, served: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), word: &[u8]) {
    let mut heard = vec![0; word.len()];
    client.write_all(word).await.unwrap();
    soon(served.read_exact(&mut heard)).await.unwrap();
    served.write_all(&heard).await.unwrap();
    soon(client.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, word);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_came_before_the_link_waits_for_it() {
    let name = own("before");
    let mut client = TcpStream::connect(("127.0.0.1", bridge(&name).await)).await.unwrap();
    client.write_all(b"early ").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_process, mut incoming, _drive) = link(&name);
    let mut served = soon(incoming.next()).await.unwrap();
    let mut early = [0; 6];
    soon(served.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"early ");
    // Each word arrives at once, and not when the next one comes.
    for word in [b"one".as_slice(), b"two", &[7; 300_000]] {
        ping(&mut client, &mut served, word).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_link_counts_and_the_one_before_it_ends() {
    let name = own("newest");
    let port = bridge(&name).await;
    let (mut first, mut incoming, _drive) = link(&name);
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    ping(&mut client, &mut soon(incoming.next()).await.unwrap(), b"first").await;
    let (_second, mut next, _drive) = link(&name);
    assert!(soon(first.wait()).await.unwrap().success());
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    ping(&mut client, &mut soon(next.next()).await.unwrap(), b"second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_its_host_and_one_that_is_killed_breaks_off_what_it_carried() {
    let name = own("ends");
    let port = bridge(&name).await;
    let (mut process, _incoming, drive) = link(&name);
    drive.abort();
    assert!(soon(process.wait()).await.unwrap().success());

    let (mut process, mut incoming, _drive) = link(&name);
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut served = soon(incoming.next()).await.unwrap();
    ping(&mut client, &mut served, b"hello").await;
    process.kill().await.unwrap();
    assert!(!matches!(soon(client.read(&mut [0; 1])).await, Ok(1..)));
    assert!(soon(served.read(&mut [0; 1])).await.is_err());
    // And the next connection waits for the next link.
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_process, mut incoming, _drive) = link(&name);
    ping(&mut client, &mut soon(incoming.next()).await.unwrap(), b"again").await;
}
