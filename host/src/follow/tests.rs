use std::io::{Seek, Write};

use super::*;
use crate::groups::FILE_NAME;
use crate::groups::watch::GroupsWatch;

/// Longer than anything takes, so that only a hang fails.
const HANG: Duration = Duration::from_secs(20);

fn one(name: &str) -> String {
    format!("{{ \"a\": {{ \"name\": \"{name}\", \"folder\": \"a\" }} }}")
}

#[tokio::test]
async fn the_sweep_finds_what_the_kernel_did_not_tell() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let path = data.join(FILE_NAME);
    fs::write(&path, one("A")).unwrap();
    let mut watch = GroupsWatch::open(&path).await;
    let name = |watch: &GroupsWatch| watch.sender.borrow().groups.by_chat("a").unwrap().name.clone();
    // The same size, in place, and later than the clock that stamps files can tell apart.
    sleep(Duration::from_millis(20)).await;
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.seek(std::io::SeekFrom::Start(0)).unwrap();
    file.write_all(one("B").as_bytes()).unwrap();
    watch.sweep().await;
    assert_eq!(name(&watch), "B");
    // Another directory in the place of the watched one.
    fs::rename(&data, directory.path().join("old")).unwrap();
    watch.sweep().await;
    assert_eq!((name(&watch).as_str(), watch.sender.borrow().problems.len()), ("B", 1));
    fs::create_dir(&data).unwrap();
    fs::write(&path, one("C")).unwrap();
    watch.sweep().await;
    assert_eq!(name(&watch), "C");
    while watch.wakes.try_recv().is_ok() {}
    fs::write(&path, one("D")).unwrap();
    timeout(HANG, watch.wakes.recv()).await.expect("the new directory is not watched").unwrap();
}
