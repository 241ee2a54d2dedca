use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::super::tests::{at, open};
use super::*;
use crate::clock::Clock;
use crate::groups::watch::Snapshot;
use crate::metrics::Metrics;
use crate::usage::Reading;
use crate::usage::meter::Meter;
use crate::usage::price_file::PriceFile;

fn row(day: &str, group: &str, model: &str, requests: u64) -> Row {
    let account = Account {
        day: day.parse().unwrap(),
        group: group.parse().unwrap(),
        provider: ProviderKind::Codex,
        model: model.into(),
    };
    let tokens = Tokens { input: 1, cache_write: 2, cached_input: 3, output: 4 };
    Row { account, amount: Amount { requests, tokens, nano_usd: 5, unpriced: 6 } }
}

#[tokio::test]
async fn what_is_added_is_summed_by_day_group_provider_and_model() {
    let (folder, store) = open();
    let file = folder.path().join("longshore.db");
    store.add_to_usage(vec![row("2026-02-01", "a", "m", 1), row("2026-01-31", "a", "", 1)]).await.unwrap();
    store.add_to_usage(vec![row("2026-02-01", "a", "m", 2), row("2026-02-01", "b", "m", 1)]).await.unwrap();
    let mut twice = row("2026-02-01", "a", "m", 3);
    twice.amount.tokens = Tokens { input: 2, cache_write: 4, cached_input: 6, output: 8 };
    (twice.amount.nano_usd, twice.amount.unpriced) = (10, 12);
    let expected = [row("2026-01-31", "a", "", 1), twice, row("2026-02-01", "b", "m", 1)];
    assert_eq!(store.usage_since(Date::MIN).await.unwrap(), expected);
    assert_eq!(store.usage_since("2026-02-01".parse().unwrap()).await.unwrap(), expected[1..]);
    assert_eq!(read_since(&file, Date::MIN).unwrap(), expected, "beside a running host");
}

#[tokio::test]
async fn old_days_are_forgotten_in_parts() {
    let (_folder, store) = open();
    let rows = (0..BATCH + 1).map(|number| row("2026-01-01", "a", &format!("m{number}"), 1)).collect();
    store.add_to_usage(rows).await.unwrap();
    store.add_to_usage(vec![row("2026-01-02", "a", "m", 1)]).await.unwrap();
    let before = "2026-01-02".parse().unwrap();
    assert_eq!(store.forget_usage(before).await.unwrap(), BATCH);
    assert_eq!(store.forget_usage(before).await.unwrap(), 1);
    assert_eq!(store.forget_usage(before).await.unwrap(), 0);
    assert_eq!(store.usage_since(Date::MIN).await.unwrap(), [row("2026-01-02", "a", "m", 1)]);
}

#[tokio::test]
async fn a_missing_database_and_an_older_one_have_no_books() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longshore.db");
    assert_eq!(read_since(&file, Date::MIN).unwrap(), []);
    drop(Store::open(&file).unwrap());
    let older = rusqlite::Connection::open(&file).unwrap();
    older.execute_batch("DROP TABLE usage; PRAGMA user_version = 3").unwrap();
    drop(older);
    assert_eq!(read_since(&file, Date::MIN).unwrap(), []);
    // What such a database gets from its next host.
    let store = Store::open(&file).unwrap();
    store.add_to_usage(vec![row("2026-01-02", "a", "m", 1)]).await.unwrap();
    assert_eq!(read_since(&file, Date::MIN).unwrap().len(), 1);
}

#[tokio::test]
async fn what_could_not_be_written_is_kept_and_written_later() {
    let (folder, store) = open();
    let (_groups, receiver) = watch::channel(Arc::<Snapshot>::default());
    let (clock, _hands) = Clock::manual(at(0));
    let meter =
        Meter::empty(store.clone(), receiver, PriceFile::new(folder.path()), clock, TimeZone::UTC, Metrics::default());
    let use_up = |output| {
        let tokens = Tokens { output, ..Tokens::default() };
        meter.enter(&"a".parse().unwrap(), ProviderKind::Claude, Reading { model: "m".into(), tokens });
    };
    let database = Connection::open(folder.path().join("longshore.db")).unwrap();
    database.execute_batch("ALTER TABLE usage RENAME TO elsewhere").unwrap();
    use_up(2);
    assert!(meter.write().await.is_err());
    use_up(4);
    database.execute_batch("ALTER TABLE elsewhere RENAME TO usage").unwrap();
    meter.write().await.unwrap();
    let rows = store.usage_since(Date::MIN).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].amount.requests, rows[0].amount.tokens.output), (2, 6));
}
