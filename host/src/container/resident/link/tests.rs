//! An engine whose processes are streams that the tests hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::tz::TimeZone;
use longshore_link::{PREAMBLE, container_end};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::broker::access::SignIn;
use crate::broker::egress::rules::Rules;
use crate::broker::{Broker, Upstreams};
use crate::clock::Clock;
use crate::container::{Attached, ContainerSpec, Existing, ImageInfo, Place};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::usage::meter::Meter;
use crate::usage::price_file::PriceFile;

/// Far longer than anything here takes; only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Its processes go to whoever tests; it refuses the first `refusals` of them.
struct Engine {
    processes: mpsc::UnboundedSender<(Process, Inside)>,
    refusals: AtomicUsize,
}

/// A process as it sees itself.
struct Inside {
    stdin: DuplexStream,
    output: mpsc::UnboundedSender<Result<Output, RuntimeError>>,
}

fn unused<T>() -> Result<T, RuntimeError> {
    Err(RuntimeError::Refused("no part of this test".into()))
}

#[async_trait]
impl ContainerRuntime for Engine {
    async fn ping(&self) -> Result<String, RuntimeError> {
        unused()
    }
    async fn image(&self, _reference: &str) -> Result<ImageInfo, RuntimeError> {
        unused()
    }
    async fn start(&self, _spec: &ContainerSpec) -> Result<Attached, RuntimeError> {
        unused()
    }
    async fn attach(&self, _id: &ContainerId) -> Result<Attached, RuntimeError> {
        unused()
    }
    async fn exec(&self, _id: &ContainerId, process: &Process) -> Result<Piped, RuntimeError> {
        if self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(RuntimeError::Unavailable("it restarts".into()));
        }
        let (stdin, inside) = duplex(64 * 1024);
        let (sender, output) = mpsc::unbounded_channel();
        self.processes.send((process.clone(), Inside { stdin: inside, output: sender })).unwrap();
        let output = futures_util::stream::unfold(output, |mut output| async { Some((output.recv().await?, output)) });
        Ok(Piped { stdin: Box::pin(stdin), output: output.boxed() })
    }
    async fn place(&self) -> Result<Place, RuntimeError> {
        unused()
    }
    async fn memory_of(&self, _id: &ContainerId) -> Result<u64, RuntimeError> {
        unused()
    }
    async fn memory_total(&self) -> Result<u64, RuntimeError> {
        unused()
    }
    async fn remove(&self, _id: &ContainerId) -> Result<(), RuntimeError> {
        unused()
    }
    async fn list(&self, _root_hash: &str) -> Result<Vec<Existing>, RuntimeError> {
        unused()
    }
}

struct Rig {
    _folder: TempDir,
    link: Link,
    processes: mpsc::UnboundedReceiver<(Process, Inside)>,
}

fn rig(refusals: usize) -> Rig {
    let (processes, received) = mpsc::unbounded_channel();
    let runtime: Arc<dyn ContainerRuntime> = Arc::new(Engine { processes, refusals: AtomicUsize::new(refusals) });
    let nowhere = || "http://127.0.0.1:9".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("longshore.db")).unwrap();
    let (_, groups) = watch::channel(Arc::default());
    let meter =
        Meter::empty(store, groups, PriceFile::new(folder.path()), Clock::system(), TimeZone::UTC, Metrics::default());
    let broker = Broker::new(Upstreams::rehearsal(nowhere(), nowhere()), meter);
    let group = "family".parse().unwrap();
    let door = broker.door(&group, SignIn::Key, Rules::default());
    let way = Way::Exec { door, process: process(1000, 1001) };
    Rig { _folder: folder, link: way.lead(&runtime, &ContainerId("c".into()), &group), processes: received }
}

impl Rig {
    async fn process(&mut self) -> (Process, Inside) {
        tokio::time::timeout(PATIENCE, self.processes.recv()).await.unwrap().unwrap()
    }
}

/// What the broker answers to a request that it refuses by itself, asked over the process's streams.
async fn ask(inside: Inside) -> String {
    let Inside { stdin, output } = inside;
    let (written, mut writes) = duplex(64 * 1024);
    let pump = tokio::spawn(async move {
        let mut bytes = vec![0; 4096];
        while let Ok(count @ 1..) = writes.read(&mut bytes).await {
            // Pieces come as they like, with words of another stream between.
            for half in bytes[..count].chunks(5) {
                output.send(Ok(Output::Stderr(Bytes::from_static(b"noise")))).unwrap();
                output.send(Ok(Output::Stdout(Bytes::copy_from_slice(half)))).unwrap();
            }
        }
    });
    let (opener, drive) = container_end(stdin, written);
    let driving = tokio::spawn(drive);
    let mut connection = opener.open().unwrap();
    connection.write_all(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answer)).await.unwrap().unwrap();
    driving.abort();
    pump.abort();
    answer
}

#[tokio::test]
async fn the_process_is_the_container_s_user_s_and_carries_what_the_broker_answers() {
    let mut rig = rig(0);
    let (process, inside) = rig.process().await;
    assert_eq!((process.uid, process.gid), (1000, 1001));
    assert_eq!(process.command, ["/usr/local/bin/longshore-agent", "link"]);
    assert!(ask(inside).await.starts_with("HTTP/1.1 40"));
}

#[tokio::test]
async fn a_link_that_ends_is_made_again_whatever_ended_it() {
    let mut rig = rig(2);
    // Killed before a word.
    drop(rig.process().await);
    // An image whose runner knows of no link.
    let (_, inside) = rig.process().await;
    inside.output.send(Ok(Output::Stderr(Bytes::from_static(b"error: unrecognized subcommand")))).unwrap();
    drop(inside);
    // Rubbish, without an end.
    let (_, mut inside) = rig.process().await;
    inside.output.send(Ok(Output::Stdout(Bytes::from_static(&[b'x'; 4096])))).unwrap();
    // Its stdin is closed, which is when it ends.
    let mut heard = Vec::new();
    inside.stdin.read_to_end(&mut heard).await.unwrap();
    assert!(PREAMBLE.starts_with(&heard));
    drop(inside);
    // An engine that breaks off.
    let (_, inside) = rig.process().await;
    inside.output.send(Err(RuntimeError::Unavailable("gone".into()))).unwrap();
    let (_, inside) = rig.process().await;
    assert!(ask(inside).await.starts_with("HTTP/1.1 40"));
}

#[tokio::test]
async fn hanging_up_closes_the_process_s_stdin_and_starts_no_other() {
    let mut rig = rig(0);
    let (_, mut inside) = rig.process().await;
    assert!(rig.link.hang_up().is_none());
    tokio::time::timeout(PATIENCE, inside.stdin.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    drop(inside);
    assert!(tokio::time::timeout(PATIENCE, rig.processes.recv()).await.unwrap().is_none());
}
