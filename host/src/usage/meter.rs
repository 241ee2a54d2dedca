//! Adds up what groups use: in memory, for the budgets, and in the store.
//!
//! An answer is entered in memory when it ends, and written behind everybody's back: what is not written yet
//! is added up, so a disk that is slow or full costs one small write later and no answer waits for it. A crash
//! loses what was not committed, most often the last answer; the host writes the rest when it stops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use longshore_protocol::{GroupId, ProviderKind};
use tokio::sync::{Notify, watch};

use super::budget::{Budget, Spent, spent};
use super::denial::Denial;
use super::price_file::PriceFile;
use super::{Account, Amount, Reading, Row, month_of};
use crate::clock::Clock;
use crate::groups::watch::Snapshot;
use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::store::{Store, StoreError};

/// How long the store is left alone after it could not write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The books of all groups.
pub struct Meter {
    store: Store,
    groups: watch::Receiver<Arc<Snapshot>>,
    prices: Arc<PriceFile>,
    clock: Clock,
    time_zone: TimeZone,
    metrics: Metrics,
    books: Mutex<Books>,
    entered: Notify,
}

#[derive(Debug, Default)]
struct Books {
    /// The day that `spent` is about.
    day: Date,
    spent: HashMap<GroupId, Spent>,
    /// What is not in the store yet.
    unwritten: HashMap<Account, Amount>,
}

impl Books {
    /// A new day begins with nothing used. A clock that was set back does not give a day twice.
    fn turn_to(&mut self, day: Date) {
        if day <= self.day {
            return;
        }
        if month_of(day) == month_of(self.day) {
            self.spent.values_mut().for_each(|spent| spent.today = Amount::default());
        } else {
            self.spent.clear();
        }
        self.day = day;
    }
}

impl Meter {
    /// Books in which nothing stands yet.
    #[must_use]
    pub fn empty(
        store: Store,
        groups: watch::Receiver<Arc<Snapshot>>,
        prices: PriceFile,
        clock: Clock,
        time_zone: TimeZone,
        metrics: Metrics,
    ) -> Arc<Self> {
        let (books, entered, prices) = (Mutex::default(), Notify::new(), Arc::new(prices));
        Arc::new(Self { store, groups, prices, clock, time_zone, metrics, books, entered })
    }

    /// Opens the books with what the store knows of this month, and reads the prices.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(
        store: Store,
        groups: watch::Receiver<Arc<Snapshot>>,
        prices: PriceFile,
        clock: Clock,
        time_zone: TimeZone,
        metrics: Metrics,
    ) -> Result<Arc<Self>, StoreError> {
        let meter = Self::empty(store, groups, prices, clock, time_zone, metrics);
        let day = meter.today();
        let rows = meter.store.usage_since(month_of(day)).await?;
        *meter.books() = Books { day, spent: spent(&rows, day), unwritten: HashMap::new() };
        meter.look_at_prices().await;
        Ok(meter)
    }

    /// Reads the prices anew if they were edited.
    pub async fn look_at_prices(&self) {
        let prices = self.prices.clone();
        // Only a panic of it could be told, and that is logged.
        let _ = tokio::task::spawn_blocking(move || prices.look()).await;
    }

    /// Whether the group may ask a model.
    ///
    /// Requests that are under way are not counted: those that run at once may go beyond the budget together.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, group: &GroupId) -> Result<(), Denial> {
        let budget = self.groups.borrow().groups.by_id(group).map(|group| group.budget).unwrap_or_default();
        if budget == Budget::default() {
            return Ok(());
        }
        let prices = self.prices.table().prices;
        let mut books = self.books();
        books.turn_to(self.today());
        let day = books.day;
        let nothing = Spent::default();
        let spent = books.spent.get(group).unwrap_or(&nothing);
        if let Some(standing) = budget.used_up(spent) {
            return Err(Denial::UsedUp { standing, anew: standing.limit.anew(day, &self.time_zone) });
        }
        match budget.unpriced(spent, day, |model| prices.knows(model)) {
            Some((limit, model)) => Err(Denial::NoPrice { limit, model: model.to_owned() }),
            None => Ok(()),
        }
    }

    /// What a group has used today.
    #[must_use]
    pub fn used_today(&self, group: &GroupId) -> Amount {
        let mut books = self.books();
        books.turn_to(self.today());
        books.spent.get(group).map(|spent| spent.today).unwrap_or_default()
    }

    /// Enters a request and what its answer used.
    pub fn enter(&self, group: &GroupId, provider: ProviderKind, Reading { model, tokens }: Reading) {
        let cost = self.prices.table().prices.cost(&model, &tokens);
        self.metrics.used(provider, &tokens, cost);
        let amount = Amount { requests: 1, tokens, nano_usd: cost.unwrap_or(0), unpriced: u64::from(cost.is_none()) };
        let mut books = self.books();
        books.turn_to(self.today());
        let day = books.day;
        books.spent.entry(group.clone()).or_default().add(&model, &amount, day);
        let account = Account { day, group: group.clone(), provider, model };
        books.unwritten.entry(account).or_default().add(&amount);
        drop(books);
        self.entered.notify_one();
    }

    /// Writes what is entered, until told to stop.
    pub async fn run(self: Arc<Self>, stop: Stop) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.entered.notified() => {}
            }
            if self.write().await.is_err() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PATIENCE) => self.entered.notify_one(),
                }
            }
        }
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// What the store says; it is written the next time then.
    pub async fn write(&self) -> Result<(), StoreError> {
        let unwritten = std::mem::take(&mut self.books().unwritten);
        if unwritten.is_empty() {
            return Ok(());
        }
        let rows: Vec<Row> = unwritten.into_iter().map(|(account, amount)| Row { account, amount }).collect();
        let written = self.store.add_to_usage(rows.clone()).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "what the models used could not be written; it is kept and tried again");
            let mut books = self.books();
            for Row { account, amount } in rows {
                books.unwritten.entry(account).or_default().add(&amount);
            }
        }
        written
    }

    /// What the host counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn today(&self) -> Date {
        self.clock.now().to_zoned(self.time_zone.clone()).date()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
