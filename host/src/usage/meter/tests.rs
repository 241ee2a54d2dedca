use jiff::Timestamp;

use super::*;
use crate::clock::Hands;
use crate::groups::{Groups, load};
use crate::metrics::Metrics;
use crate::usage::Tokens;
use crate::usage::budget::Limit;

/// 2026-01-31T22:30 in Berlin: the day, and the month, end in an hour and a half.
const EVENING: &str = "2026-01-31T21:30:00Z";

struct Rig {
    folder: tempfile::TempDir,
    store: Store,
    meter: Arc<Meter>,
    hands: Hands,
    groups: watch::Sender<Arc<Snapshot>>,
}

impl Rig {
    async fn new(budget: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let store = Store::open(&folder.path().join("data/longshore.db")).unwrap();
        let (clock, hands) = Clock::manual(EVENING.parse::<Timestamp>().unwrap());
        let (groups, receiver) = watch::channel(snapshot(budget));
        let meter = open(&folder, &store, receiver, clock).await;
        Self { folder, store, meter, hands, groups }
    }

    /// Another host on the same store.
    async fn again(&mut self) {
        let (clock, hands) = Clock::manual(self.hands.now());
        self.meter = open(&self.folder, &self.store, self.groups.subscribe(), clock).await;
        self.hands = hands;
    }

    fn use_up(&self, group: &str, model: &str, output: u64) {
        let tokens = Tokens { output, ..Tokens::default() };
        self.meter.enter(&group.parse().unwrap(), ProviderKind::Claude, Reading { model: model.into(), tokens });
    }

    fn admitted(&self, group: &str) -> Option<String> {
        self.meter.admit(&group.parse().unwrap()).err().map(|denial| denial.to_string())
    }

    async fn rows(&self) -> Vec<String> {
        self.meter.write().await.unwrap();
        let rows = self.store.usage_since(Date::MIN).await.unwrap();
        rows.iter()
            .map(|Row { account, amount }| {
                let (group, model) = (&account.group, &account.model);
                let Amount { requests, nano_usd, unpriced, tokens } = amount;
                format!("{} {group} {model}: {requests} {} {nano_usd} {unpriced}", account.day, tokens.output)
            })
            .collect()
    }
}

async fn open(
    folder: &tempfile::TempDir,
    store: &Store,
    groups: watch::Receiver<Arc<Snapshot>>,
    clock: Clock,
) -> Arc<Meter> {
    let prices = PriceFile::new(folder.path());
    Meter::open(store.clone(), groups, prices, clock, TimeZone::get("Europe/Berlin").unwrap(), Metrics::default())
        .await
        .unwrap()
}

fn snapshot(budget: &str) -> Arc<Snapshot> {
    let file = format!(
        r#"{{"console:a": {{"name": "A", "folder": "a", "budget": {budget}}}, "console:b": {{"name": "B", "folder": "b"}}}}"#
    );
    let loaded = load(file.as_bytes(), &Groups::default());
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Arc::new(Snapshot { generation: 1, groups: loaded.groups.into(), problems: Vec::new() })
}

#[tokio::test]
async fn a_budget_is_its_groups_alone_and_starts_anew_at_local_midnight() {
    let rig = Rig::new(r#"{"dailyTokens": 100}"#).await;
    rig.use_up("a", "m", 99);
    rig.use_up("b", "m", 1_000_000);
    assert_eq!((rig.admitted("a"), rig.admitted("b"), rig.admitted("nobody")), (None, None, None));
    rig.use_up("a", "m", 1);
    let used_up = "this group has used its budget for today: 100 of 100, `dailyTokens`, anew `at 00:00`";
    assert_eq!(rig.admitted("a").as_deref(), Some(used_up));
    rig.hands.advance(Duration::from_secs(89 * 60));
    assert!(rig.admitted("a").is_some());
    rig.hands.advance(Duration::from_secs(60));
    assert_eq!(rig.admitted("a"), None);
    rig.use_up("a", "m", 3);
    rig.hands.set(EVENING.parse().unwrap());
    assert_eq!(rig.meter.used_today(&"a".parse().unwrap()).tokens.output, 3, "a clock set back gives no day twice");
    assert_eq!(
        rig.rows().await,
        ["2026-01-31 a m: 2 100 0 2", "2026-01-31 b m: 1 1000000 0 1", "2026-02-01 a m: 1 3 0 1"]
    );
}

#[tokio::test]
async fn an_edited_budget_counts_at_once() {
    let rig = Rig::new(r#"{"dailyTokens": 100}"#).await;
    rig.use_up("a", "m", 100);
    assert!(rig.admitted("a").is_some());
    rig.groups.send_replace(snapshot(r#"{"dailyTokens": 101}"#));
    assert_eq!(rig.admitted("a"), None);
}

#[tokio::test]
async fn what_was_used_is_known_after_a_restart_and_adds_up() {
    let mut rig = Rig::new(r#"{"dailyTokens": 100}"#).await;
    rig.use_up("a", "m", 60);
    rig.meter.write().await.unwrap();
    rig.again().await;
    assert_eq!(rig.admitted("a"), None);
    rig.use_up("a", "m", 40);
    assert!(rig.admitted("a").is_some());
    assert_eq!(rig.rows().await, ["2026-01-31 a m: 2 100 0 2"]);
}

#[tokio::test]
async fn a_budget_in_dollars_needs_a_price_and_goes_on_once_it_has_one() {
    let mut rig = Rig::new(r#"{"monthlyUsd": 0.001}"#).await;
    assert_eq!(rig.admitted("a"), None);
    rig.use_up("a", "", 0);
    assert_eq!(rig.admitted("a"), None, "an answer without tokens needs no price");
    rig.use_up("a", "m-1", 500);
    let no_price = "this group has a budget in dollars, `monthlyUsd`, and no price is known for the model `m-1`";
    assert_eq!(rig.admitted("a").as_deref(), Some(no_price));
    rig.meter.write().await.unwrap();
    rig.again().await;
    assert_eq!(rig.admitted("a").as_deref(), Some(no_price), "a restart does not forget it");
    let prices = rig.folder.path().join("data/prices.json");
    std::fs::write(&prices, r#"{"models": {"m-*": {"input": 1, "output": 2}}}"#).unwrap();
    rig.meter.look_at_prices().await;
    assert_eq!(rig.admitted("a"), None);
    rig.use_up("a", "m-1", 500);
    let Err(Denial::UsedUp { standing, anew }) = rig.meter.admit(&"a".parse().unwrap()) else { panic!("admitted") };
    assert_eq!((standing.limit, standing.used, standing.of), (Limit::MonthlyUsd, 1_000_000, 1_000_000));
    assert_eq!(anew.unwrap().to_string(), "2026-02-01T00:00:00+01:00[Europe/Berlin]");
}

#[tokio::test]
async fn it_writes_by_itself() {
    let rig = Rig::new("{}").await;
    let stop = Stop::new();
    let running = tokio::spawn(rig.meter.clone().run(stop.clone()));
    rig.use_up("a", "m", 1);
    while rig.store.usage_since(Date::MIN).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.cancel();
    running.await.unwrap();
}
