//! What could not be delivered, and what comes in while the store cannot write.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use super::says;
use super::stage::Stage;

#[tokio::test]
async fn the_next_turn_is_told_what_nobody_received_and_the_one_after_it_is_not() {
    let stage = Stage::new(says("See you at ten.")).await;
    stage.refuse("the chat is blocked");
    stage.hear("when?").await;
    stage.until_sql("SELECT count(*) FROM outbox WHERE state = 'dead'", 1).await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'settled'", 1).await;
    stage.accept();
    for _ in 0..2 {
        stage.hear("hello?").await;
        assert_eq!(stage.reply().await, "See you at ten.");
        stage.until_sql("SELECT count(*) FROM turns WHERE state = 'running'", 0).await;
    }
    let prompts: Vec<String> = stage.requests().into_iter().map(|request| request.prompt).collect();
    let told: Vec<bool> = prompts.iter().map(|prompt| prompt.contains("reason=\"the chat is blocked\"")).collect();
    assert_eq!(told, [false, true, false], "{prompts:?}");
    assert_eq!(stage.sql("SELECT count(*) FROM outbox WHERE told = 1"), 1);
}

/// Brings messages while the store cannot write, and lets it write again.
async fn bring_through_a_stall(stage: &Stage, text: &str, stall: impl Future<Output = ()>) {
    let bring = async {
        let begin = Instant::now();
        // Polled in their order, so they come in their order.
        let brought = (0..20).map(|number| async move { stage.bring(&format!("m{number}"), text).await });
        assert!(futures_util::future::join_all(brought).await.into_iter().all(|stored| stored), "nothing is dropped");
        begin.elapsed()
    };
    let waits = async {
        stall.await;
        Instant::now()
    };
    let (begin, waited) = (Instant::now(), tokio::join!(bring, waits));
    assert!(begin + waited.0 >= waited.1, "acknowledged before there was room");
    assert_eq!(stage.sql("SELECT count(*) FROM messages WHERE platform_id LIKE 'm%'"), 20);
    let in_order = "SELECT count(*) FROM messages a JOIN messages b ON b.seq > a.seq
                    WHERE cast(substr(a.platform_id, 2) AS INTEGER) > cast(substr(b.platform_id, 2) AS INTEGER)";
    assert_eq!(stage.sql(in_order), 0, "they are stored in the order in which they came");
}

#[tokio::test]
async fn messages_wait_unacknowledged_and_in_order_while_the_database_is_locked() {
    let stage = Stage::new(says("ok")).await;
    // The store itself waits 5 s for a lock.
    bring_through_a_stall(&stage, "hello", stage.lock_store(Duration::from_secs(7))).await;
    assert_eq!(stage.reply_as_time_passes().await, "ok");
}

/// Set for the test that runs itself on a small file system of its own: where that is.
const SMALL: &str = "LONGSHORE_TEST_SMALL_DISK";

#[test]
fn messages_wait_unacknowledged_and_in_order_while_the_disk_is_full() {
    if let Some(disk) = std::env::var_os(SMALL) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(on_a_full_disk(disk.as_ref()));
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=4m longshore \"$TMPDIR\" || exit 77; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "delivery::messages_wait_unacknowledged_and_in_order_while_the_disk_is_full", "--nocapture"])
        .env("TMPDIR", folder.path())
        .env(SMALL, folder.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("1 passed"), "it did not run: {text}");
        }
        // `unshare` exits with 1 when it is not permitted; a failed test with 101.
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
            eprintln!("SKIPPED, no small file system can be mounted here: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("SKIPPED, no `unshare`: {error}"),
    }
}

async fn on_a_full_disk(disk: &std::path::Path) {
    let stage = Stage::new(says("ok")).await;
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let full = loop {
        if let Err(error) = file.write_all(&[1; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let room_again = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        std::fs::remove_file(&filler).unwrap();
        drop(file);
    };
    bring_through_a_stall(&stage, &"x".repeat(32 * 1024), room_again).await;
    assert_eq!(stage.reply_as_time_passes().await, "ok");
}
