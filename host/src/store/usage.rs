//! What the models' answers used.

use std::path::Path;

use jiff::civil::Date;
use longshore_protocol::ProviderKind;
use rusqlite::{Connection, params};

use super::beside::Beside;
use super::{Store, StoreError};
use crate::usage::{Account, Amount, Row, Tokens};

/// How many rows one request forgets at most.
const BATCH: usize = 500;
/// The first schema that has the table.
const SINCE_SCHEMA: i64 = 4;

const ADD: &str = "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (day, group_id, provider, model) DO UPDATE SET
        requests = requests + excluded.requests, input = input + excluded.input,
        cache_write = cache_write + excluded.cache_write, cached_input = cached_input + excluded.cached_input,
        output = output + excluded.output, cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
        unpriced = unpriced + excluded.unpriced";
const SINCE: &str = "SELECT day, group_id, provider, model, requests, input, cache_write, cached_input, output,
        cost_nano_usd, unpriced
    FROM usage WHERE day >= ?1 ORDER BY day, group_id, provider, model";
const FORGET: &str = "DELETE FROM usage WHERE (day, group_id, provider, model) IN (
        SELECT day, group_id, provider, model FROM usage WHERE day < ?1 ORDER BY day LIMIT ?2)";

impl Store {
    /// Adds to the books.
    ///
    /// # Errors
    /// What the store says.
    pub async fn add_to_usage(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.run(move |connection| rows.iter().try_for_each(|row| add(connection, row))).await
    }

    /// The books from a day on, the oldest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn usage_since(&self, day: Date) -> Result<Vec<Row>, StoreError> {
        self.read(move |connection| since(connection, day)).await
    }

    /// Forgets some days before `day`; 0 when none is left.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_usage(&self, day: Date) -> Result<usize, StoreError> {
        self.run(move |connection| connection.prepare_cached(FORGET)?.execute(params![day.to_string(), BATCH])).await
    }
}

/// The books from a day on, without a host. Nothing where there is no database yet, or one of an older release.
///
/// # Errors
/// What the store says.
pub fn read_since(file: &Path, day: Date) -> Result<Vec<Row>, StoreError> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let beside = Beside::open_to_read(file)?;
    if beside.schema(file)? < SINCE_SCHEMA {
        return Ok(Vec::new());
    }
    Ok(since(beside.connection(), day)?)
}

fn add(connection: &Connection, Row { account, amount }: &Row) -> rusqlite::Result<()> {
    let Tokens { input, cache_write, cached_input, output } = amount.tokens;
    let [requests, input, cache_write, cached_input, output, cost, unpriced] =
        [amount.requests, input, cache_write, cached_input, output, amount.nano_usd, amount.unpriced].map(signed);
    connection
        .prepare_cached(ADD)?
        .execute(params![
            account.day.to_string(),
            account.group.as_str(),
            account.provider.as_str(),
            account.model,
            requests,
            input,
            cache_write,
            cached_input,
            output,
            cost,
            unpriced,
        ])
        .map(drop)
}

fn since(connection: &Connection, day: Date) -> rusqlite::Result<Vec<Row>> {
    let mut query = connection.prepare_cached(SINCE)?;
    let mut found = query.query([day.to_string()])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let (day, group, provider): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let provider = ProviderKind::ALL.into_iter().find(|kind| kind.as_str() == provider);
        // What does not parse can only come from a damaged file.
        let (Ok(day), Ok(group), Some(provider)) = (day.parse(), group.parse(), provider) else { continue };
        let count = |column: usize| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
        let tokens = Tokens { input: count(5)?, cache_write: count(6)?, cached_input: count(7)?, output: count(8)? };
        let amount = Amount { requests: count(4)?, tokens, nano_usd: count(9)?, unpriced: count(10)? };
        rows.push(Row { account: Account { day, group, provider, model: row.get(3)? }, amount });
    }
    Ok(rows)
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
