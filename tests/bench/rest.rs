//! The host at rest: what it costs when nothing happens, and how soon it is back with years of messages.

use std::time::Duration;

use anyhow::ensure;
use longshore::store::Store;
use longshore_tests::figures::{CpuTime, rss_kibibytes};
use longshore_tests::{Host, HostOptions, Installation};
use rusqlite::Connection;

use crate::ours;
use crate::table::Samples;

/// How long an idle host is watched: longer than its rarest sweep.
const WATCH: Duration = Duration::from_secs(65);
/// Until it has settled.
const SETTLE: Duration = Duration::from_secs(5);
/// Messages of a turn in the large store.
const TURN: i64 = 50;

/// Memory in MiB and the share of one processor in percent, of a host with so many groups and no traffic.
pub(crate) fn idle(groups: usize) -> anyhow::Result<(f64, f64)> {
    let installation = Installation::new();
    installation.groups(&file(groups));
    installation.env("ANTHROPIC_API_KEY=bench\nCODEX_API_KEY=bench");
    let options = HostOptions {
        without_rehearsal: true,
        environment: vec![("RUST_LOG".into(), "info".into())],
        ..HostOptions::default()
    };
    let host = Host::start_with(&installation, &options);
    std::thread::sleep(SETTLE);
    let (mut before, mut after) = (CpuTime::default(), CpuTime::default());
    before.sample(host.pid())?;
    std::thread::sleep(WATCH);
    after.sample(host.pid())?;
    let ran = after.total().saturating_sub(before.total());
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rss = rss_kibibytes(host.pid())? as f64 / 1024.0;
    Ok((rss, ran.as_secs_f64() / WATCH.as_secs_f64() * 100.0))
}

/// From the start of the process to an open control socket, in ms, with a large store.
pub(crate) fn restart(messages: i64, groups: usize, runs: usize) -> anyhow::Result<Samples> {
    let installation = Installation::new();
    installation.groups(&file(groups));
    drop(Store::open(&installation.path("data/longshore.db"))?);
    // Its thread folds the log back as it ends.
    std::thread::sleep(Duration::from_millis(500));
    fill(&installation, messages, i64::try_from(groups)?)?;
    ours::ready_of(&installation, runs)
}

/// Messages in turns that have ended well, each with a reply that was sent.
fn fill(installation: &Installation, messages: i64, groups: i64) -> anyhow::Result<()> {
    let connection = Connection::open(installation.path("data/longshore.db"))?;
    let turns = messages / TURN;
    // Of today: what is old is forgotten.
    let now = longshore::clock::Clock::system().now().as_millisecond() - messages;
    connection.execute_batch(&format!(
        "BEGIN;
         CREATE TEMP TABLE numbers AS
             WITH RECURSIVE count(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM count WHERE n + 1 < {messages}) SELECT n FROM count;
         INSERT INTO chats SELECT 'console:g' || n, 'console', 'G' || n, 1, {now} FROM numbers WHERE n < {groups};
         INSERT INTO messages (chat, sender, platform_id, sender_name, text, sent_at, received_at, route, wakes, turn)
             SELECT 'console:g' || (n / {TURN} % {groups}), 'ann' || n % 7, 'm' || n, 'Ann',
                 'Has anybody seen the keys of the boat house? They were on the hook yesterday. ' || n,
                 {now} + n, {now} + n, 'wake: trigger', n % {TURN} = {TURN} - 1, 't' || n / {TURN}
             FROM numbers;
         INSERT INTO turns (id, group_id, chat, provider, first_seq, last_seq, state, attempt, said, created_at, started_at, ended_at)
             SELECT 't' || n, 'g' || n % {groups}, 'console:g' || n % {groups}, 'claude', n * {TURN} + 1, n * {TURN} + {TURN},
                 'settled', 1, 1, {now} + n, {now} + n, {now} + n FROM numbers WHERE n < {turns};
         INSERT INTO outbox (message_id, chat, turn, kind, text, state, attempts, created_at, ended_at)
             SELECT 'o' || n, 'console:g' || n % {groups}, 't' || n, 'reply', 'On the table.', 'sent', 1, {now}, {now}
             FROM numbers WHERE n < {turns};
         INSERT INTO cursors SELECT group_id, max(last_seq) FROM turns GROUP BY group_id;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ))?;
    let stored: i64 = connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0))?;
    ensure!(stored == messages, "{stored} messages were stored");
    Ok(())
}

fn file(groups: usize) -> String {
    let entries: Vec<String> = (0..groups)
        .map(|number| {
            format!(r#""console:g{number}": {{"name": "G{number}", "folder": "g{number}", "trigger": "@Andy", "added_at": "x"}}"#)
        })
        .collect();
    format!("{{{}}}", entries.join(",\n"))
}
