use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::super::access::SignIn;
use super::super::door::MAX_CONNECTIONS;
use super::super::egress::rules::Rules;
use super::super::{Broker, BrokerLink, Upstreams};
use super::rig::{Books, Client, Rig, Vendor, post};

fn open(broker: &std::sync::Arc<Broker>, group: &str, directory: &Path) -> BrokerLink {
    broker.open(&group.parse().unwrap(), directory, None, SignIn::Key, Rules::default()).unwrap()
}

async fn ask(directory: &Path) -> String {
    let mut client = Client::connect(directory).await;
    client.write(&post("/openai/v1/responses", "hello")).await;
    client.read_to_end().await
}

#[tokio::test]
async fn the_socket_is_the_groups_identity() {
    let vendor = Vendor::echo().await;
    let base = vendor.upstreams().anthropic.base;
    let broker = Broker::new(Upstreams::rehearsal(base.clone(), base), Books::new().meter);
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    let _links = (open(&broker, "one", &one), open(&broker, "two", &two));
    for directory in [&one, &two] {
        let mut client = Client::connect(directory).await;
        let lie = "HEAD /anthropic/api/hello HTTP/1.1\r\nhost: x\r\nx-longshore-group: main\r\n\r\n";
        client.write(lie).await;
        assert!(client.read_to_end().await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let seen = vendor.seen.lock().unwrap();
    let groups: Vec<_> = seen.iter().flat_map(|seen| seen.headers.get_all("x-longshore-group")).collect();
    assert_eq!(groups, ["one", "two"]);
    assert!(seen.iter().all(|seen| seen.headers["x-api-key"] == "longshore-rehearsal"));
}

#[tokio::test]
async fn a_socket_is_its_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("run/family");
    // Only root can give a file away.
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let owner = if user.is_root() { (1234, 2345) } else { (user.as_raw(), group.as_raw()) };
    let vendor = Vendor::echo().await;
    let link = Broker::new(vendor.upstreams(), Books::new().meter)
        .open(&"family".parse().unwrap(), &directory, Some(owner), SignIn::Key, Rules::default())
        .unwrap();
    let socket = std::fs::symlink_metadata(link.socket()).unwrap();
    assert_eq!((socket.uid(), socket.gid()), owner);
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
}

#[tokio::test]
async fn a_path_longer_than_a_socket_address_works() {
    let vendor = Vendor::echo().await;
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("a".repeat(100)).join("b".repeat(100));
    let link = open(&Broker::new(vendor.upstreams(), Books::new().meter), "family", &directory);
    assert_eq!(link.socket(), directory.join("broker.sock"));
    assert!(ask(&directory).await.ends_with("hello"));
}

#[tokio::test]
async fn an_old_socket_is_replaced_and_does_not_take_the_new_one_along() {
    let vendor = Vendor::echo().await;
    let rig = Rig::new(vendor.upstreams());
    let directory = rig.directory.path();
    // As a crash leaves it.
    std::fs::write(directory.join("broker.sock.new"), "").unwrap();
    let second = open(&rig.broker, "family", directory);
    drop(rig.link);
    assert!(ask(directory).await.ends_with("hello"));
    drop(second);
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);

    std::fs::write(directory.join("broker.sock"), "").unwrap();
    let third = open(&rig.broker, "family", directory);
    assert!(ask(directory).await.ends_with("hello"));
    drop(third);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error() {
    let vendor = Vendor::echo().await;
    let broker = Broker::new(vendor.upstreams(), Books::new().meter);
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    for directory in [file.clone(), file.join("below")] {
        assert!(broker.open(&"family".parse().unwrap(), &directory, None, SignIn::Key, Rules::default()).is_err());
    }
}

#[tokio::test]
async fn a_client_that_hangs_costs_its_own_place_only() {
    let vendor = Vendor::echo().await;
    let rig = Rig::new(vendor.upstreams());
    let mut hanging = Vec::new();
    for _ in 1..MAX_CONNECTIONS {
        let mut client = rig.connect().await;
        client.write("POST /openai/v1/responses HTTP/1.1\r\ncontent-length: 9\r\n\r\n").await;
        hanging.push(client);
    }
    let hello = post("/openai/v1/responses", "hello");
    assert!(rig.exchange(&hello).await.ends_with("hello"));

    // With every place taken the next one waits, and comes in when somebody leaves.
    let mut last = rig.connect().await;
    last.write("POST /openai/v1/responses HTTP/1.1\r\ncontent-length: 9\r\n\r\n").await;
    let mut waiting = rig.connect().await;
    waiting.write(&hello).await;
    assert!(timeout(Duration::from_millis(200), waiting.read_to_end()).await.is_err());
    drop(hanging.pop());
    assert!(waiting.read_to_end().await.ends_with("hello"));

    // Another group's places are its own.
    let other = rig.directory.path().join("other");
    let _link = open(&rig.broker, "other", &other);
    hanging.push(rig.connect().await);
    assert!(ask(&other).await.ends_with("hello"));
}
