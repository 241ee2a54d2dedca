//! What the models' answers used, what that cost, and what a group may use.
//!
//! The broker reads the figures out of the answers that pass through it; [`meter`] adds them up, in memory
//! for the budgets and in the store for people. A day is a day of the host's time zone (`TZ`).

pub mod budget;
pub mod denial;
pub mod meter;
pub mod price_file;
pub mod prices;

use jiff::civil::Date;
use longshore_protocol::{GroupId, ProviderKind};

/// The largest count that is believed of one answer: no sum of a day's answers overflows.
pub const MAX_TOKENS: u64 = 100_000_000;

/// Tokens by what they are charged as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Read anew.
    pub input: u64,
    /// Read anew and written to the provider's cache.
    pub cache_write: u64,
    /// Read from the provider's cache.
    pub cached_input: u64,
    /// Written by the model.
    pub output: u64,
}

impl Tokens {
    /// All of them, which is what a budget of tokens counts.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.input.saturating_add(self.cache_write).saturating_add(self.cached_input).saturating_add(self.output)
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        self.input = self.input.saturating_add(more.input);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.cached_input = self.cached_input.saturating_add(more.cached_input);
        self.output = self.output.saturating_add(more.output);
    }
}

/// What one answer says of itself, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The model that answered; empty when the answer does not name it.
    pub model: String,
    /// What it used.
    pub tokens: Tokens,
}

/// Whose use a row of the books is, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    /// The day.
    pub day: Date,
    /// The group.
    pub group: GroupId,
    /// Whose API.
    pub provider: ProviderKind,
    /// The model; empty when no answer named it.
    pub model: String,
}

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Requests that reached the API.
    pub requests: u64,
    /// Tokens.
    pub tokens: Tokens,
    /// What it cost as far as that is known, in billionths of a US dollar.
    pub nano_usd: u64,
    /// Requests that used tokens of a model without a price.
    pub unpriced: u64,
}

impl Amount {
    /// Adds another.
    pub fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.tokens.add(&more.tokens);
        self.nano_usd = self.nano_usd.saturating_add(more.nano_usd);
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
    }
}

/// A row of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose and when.
    pub account: Account,
    /// How much.
    pub amount: Amount,
}

/// The first day of a day's month.
#[must_use]
pub fn month_of(day: Date) -> Date {
    day.first_of_month()
}
