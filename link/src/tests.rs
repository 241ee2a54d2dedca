//! Both ends over a stream in memory, and hostile ends.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::frame::{Head, Kind};
use super::*;

/// Far longer than anything here takes; only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for whatever would happen to happen.
const A_WHILE: Duration = Duration::from_millis(200);

/// Frames that a peer writes.
type Frames = Vec<(Kind, u32, u32)>;

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

struct Pair {
    opener: Opener,
    incoming: Incoming,
    container: JoinHandle<LinkError>,
    host: JoinHandle<LinkError>,
}

fn pair(pipe: usize) -> Pair {
    let (near, far) = duplex(pipe);
    let ((near_from, near_to), (far_from, far_to)) = (split(near), split(far));
    let (opener, container) = container_end(near_from, near_to);
    let (incoming, host) = host_end(far_from, far_to);
    Pair { opener, incoming, container: tokio::spawn(container), host: tokio::spawn(host) }
}

/// Sends back all that comes, and ends when it ends.
async fn echo(mut incoming: Incoming) {
    while let Some(connection) = incoming.next().await {
        tokio::spawn(async move {
            let (mut from, mut to) = split(connection);
            tokio::io::copy(&mut from, &mut to).await?;
            to.shutdown().await
        });
    }
}

/// The host's end, and what a peer of it writes and reads.
fn host_alone() -> (DuplexStream, Incoming, JoinHandle<LinkError>) {
    let (peer, host) = duplex(1024 * 1024);
    let (from, to) = split(host);
    let (incoming, drive) = host_end(from, to);
    (peer, incoming, tokio::spawn(drive))
}

async fn say(peer: &mut DuplexStream, frames: &[(Kind, u32, u32)]) {
    peer.write_all(PREAMBLE).await.unwrap();
    for (kind, id, value) in frames {
        peer.write_all(&Head::new(*kind, *id, *value).bytes()).await.unwrap();
        if *kind == Kind::Data {
            peer.write_all(&vec![7; *value as usize]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn many_connections_carry_much_both_ways_in_order() {
    let pair = pair(4096);
    tokio::spawn(echo(pair.incoming));
    let talks: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (mut from, mut to) = split(pair.opener.open().unwrap());
            let said: Vec<u8> = (0..300_000).map(|at| ((at * 7 + number) % 251) as u8).collect();
            let expected = said.clone();
            tokio::spawn(async move {
                let write = async {
                    to.write_all(&said).await.unwrap();
                    to.shutdown().await.unwrap();
                };
                let mut heard = Vec::new();
                let ((), read) = tokio::join!(write, from.read_to_end(&mut heard));
                read.unwrap();
                assert!(heard == expected, "{} of {}", heard.len(), expected.len());
            })
        })
        .collect();
    for talk in talks {
        soon(talk).await.unwrap();
    }
    // All are gone, so there is room for as many again.
    soon(async {
        while pair.opener.open().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_nobody_reads_holds_up_no_other_and_takes_little() {
    let mut pair = pair(4096);
    let mut stuck = pair.opener.open().unwrap();
    let taken = tokio::spawn(async move {
        let mut taken = 0;
        while let Ok(written) = timeout(A_WHILE, stuck.write(&[1; 8192])).await {
            taken += written.unwrap();
        }
        (taken, stuck)
    });
    let unread = soon(pair.incoming.next()).await.unwrap();
    let (taken, _stuck) = soon(taken).await.unwrap();
    assert!(taken >= WINDOW as usize && taken <= WINDOW as usize + 64 * 1024, "{taken}");
    tokio::spawn(echo(pair.incoming));
    let (mut from, mut to) = split(pair.opener.open().unwrap());
    to.write_all(b"and I?").await.unwrap();
    to.shutdown().await.unwrap();
    let mut heard = String::new();
    soon(from.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "and I?");
    drop(unread);
}

#[tokio::test]
async fn what_was_written_before_the_end_arrives_and_what_is_dropped_is_broken_off() {
    let mut pair = pair(64);
    let mut finished = pair.opener.open().unwrap();
    finished.write_all(&[3; 10_000]).await.unwrap();
    finished.shutdown().await.unwrap();
    drop(finished);
    let mut heard = Vec::new();
    soon(soon(pair.incoming.next()).await.unwrap().read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard.len(), 10_000);

    let mut broken = pair.opener.open().unwrap();
    broken.write_all(b"half a requ").await.unwrap();
    drop(broken);
    let mut other = soon(pair.incoming.next()).await.unwrap();
    let mut half = [0; 11];
    soon(other.read_exact(&mut half)).await.unwrap();
    assert_eq!(&half, b"half a requ");
    assert!(soon(other.read_to_end(&mut heard)).await.is_err());
    soon(async { while other.write_all(&[0; 1024]).await.is_ok() {} }).await;
}

#[tokio::test]
async fn when_the_link_ends_everybody_is_told() {
    for whose in ["host", "container"] {
        let mut pair = pair(4096);
        let mut here = pair.opener.open().unwrap();
        here.write_all(b"hello").await.unwrap();
        let mut there = soon(pair.incoming.next()).await.unwrap();
        let (killed, other) = if whose == "host" { (pair.host, pair.container) } else { (pair.container, pair.host) };
        killed.abort();
        assert!(matches!(soon(other).await.unwrap(), LinkError::HungUp));
        assert!(soon(here.read_to_end(&mut Vec::new())).await.is_err());
        let mut rest = Vec::new();
        assert!(soon(there.read_to_end(&mut rest)).await.is_err());
        assert!(here.write_all(b"x").await.is_err() && there.write_all(b"x").await.is_err());
        assert!(pair.opener.open().is_none());
        assert!(soon(pair.incoming.next()).await.is_none());
    }
}

#[tokio::test]
async fn the_container_s_end_opens_so_many_and_the_host_s_end_refuses_who_opens_more() {
    let pair = pair(4096);
    let open: Vec<_> = std::iter::from_fn(|| pair.opener.open()).collect();
    assert_eq!(open.len(), CONNECTIONS);

    let (mut peer, _incoming, _host) = host_alone();
    let most = u32::try_from(HELD).unwrap();
    say(&mut peer, &(1..=most + 1).map(|id| (Kind::Open, id, 0)).collect::<Vec<_>>()).await;
    let mut answer = [0; PREAMBLE.len() + frame::HEAD];
    soon(peer.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer[PREAMBLE.len()..], Head::new(Kind::Reset, most + 1, 0).bytes());
}

#[tokio::test]
async fn a_peer_that_breaks_a_rule_ends_the_link() {
    use Kind::{Credit, Data, End, Open, Pong, Reset};
    let most = u32::try_from(HELD).unwrap();
    let too_much: Vec<_> = std::iter::once((Open, 1, 0))
        .chain((0..=WINDOW / frame::MOST_DATA).map(|_| (Data, 1, frame::MOST_DATA)))
        .collect();
    let cases: &[(&str, Frames)] = &[
        ("sends more than it was granted", too_much),
        ("grants more than it was sent", vec![(Open, 1, 0), (Credit, 1, 1)]),
        ("grants more than it was sent", vec![(Open, 1, 0), (Credit, 1, u32::MAX)]),
        ("speaks of a connection that never was", vec![(End, 9, 0)]),
        ("speaks of a connection that never was", vec![(Reset, 0, 0)]),
        ("opens a connection that was there already", vec![(Open, 5, 0), (Open, 5, 0)]),
        ("opens a connection that was there already", vec![(Open, 5, 0), (Open, 4, 0)]),
        ("sends a frame of a size that there is not", vec![(Open, 1, 0), (Data, 1, 0)]),
        ("sends a frame of a size that there is not", vec![(Open, 1, 0), (Data, 1, frame::MOST_DATA + 1)]),
        ("goes on after its end", vec![(Open, 1, 0), (End, 1, 0), (Data, 1, 1)]),
    ];
    for (rule, frames) in cases {
        let (mut peer, _incoming, host) = host_alone();
        say(&mut peer, frames).await;
        let error = soon(host).await.unwrap();
        assert!(matches!(error, LinkError::Rules(broken) if broken == *rule), "{rule}: {error}");
    }
    // It never reads that it is refused.
    let (mut peer, host) = duplex(64);
    let (from, to) = split(host);
    let (_incoming, drive) = host_end(from, to);
    let host = tokio::spawn(drive);
    let (_unread, mut to_host) = split(&mut peer);
    to_host.write_all(PREAMBLE).await.unwrap();
    let mut id = 0;
    soon(async {
        while to_host.write_all(&Head::new(Open, id + 1, 0).bytes()).await.is_ok() {
            id += 1;
        }
    })
    .await;
    assert!(id > most && matches!(soon(host).await.unwrap(), LinkError::Rules(_)));

    // The container's end takes no connections.
    let (mut peer, container) = duplex(1024);
    let (from, to) = split(container);
    let (_opener, drive) = container_end(from, to);
    say(&mut peer, &[(Pong, 0, 0), (Open, 1, 0)]).await;
    assert!(matches!(soon(drive).await, LinkError::Rules("opens a connection, which is not its part")));
}

#[tokio::test]
async fn whoever_asks_is_answered() {
    let (mut peer, _incoming, _host) = host_alone();
    say(&mut peer, &[(Kind::Ping, 0, 0); 1]).await;
    let mut answer = [0; PREAMBLE.len() + frame::HEAD];
    soon(peer.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer[PREAMBLE.len()..], Head::new(Kind::Pong, 0, 0).bytes());
}

fn kinds() -> impl Strategy<Value = Kind> {
    use Kind::{Credit, Data, End, Open, Ping, Pong, Reset};
    prop_oneof![Just(Open), Just(Data), Just(Credit), Just(End), Just(Reset), Just(Ping), Just(Pong)]
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

proptest! {
    #[test]
    fn rubbish_ends_the_link_and_nothing_else(polite in any::<bool>(), rubbish in proptest::collection::vec(any::<u8>(), 0..600)) {
        run(async {
            let (mut peer, _incoming, host) = host_alone();
            if polite {
                peer.write_all(PREAMBLE).await.unwrap();
            }
            // It may have hung up already.
            let _ = peer.write_all(&rubbish).await;
            drop(peer);
            soon(host).await.unwrap();
        });
    }

    #[test]
    fn whatever_frames_come_what_is_held_is_bounded(
        frames in proptest::collection::vec((kinds(), 1u32..200, 1u32..40_000), 0..300),
        drops in any::<bool>(),
    ) {
        let (accepted, mut incoming) = mpsc::channel(HELD);
        let shared = Shared::new(HELD, Some(accepted));
        let mut body = Vec::new();
        for (kind, id, value) in frames {
            if shared.hear(Head::new(kind, id, value)).is_err() {
                // It would be over now; the next frame finds what it would have found before.
                continue;
            }
            if kind == Kind::Data {
                shared.hear_data(id, &vec![0; value as usize]);
            }
            if drops {
                drop(incoming.try_recv());
            }
            while shared.table().next(&mut body).is_some() {}
            let mut table = shared.table();
            prop_assert!(table.held() <= HELD);
            for id in 1..200 {
                prop_assert!(table.entry(id).is_none_or(|entry| entry.inbox.len() <= WINDOW as usize));
            }
        }
    }
}
