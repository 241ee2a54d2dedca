//! What tokens cost, as the operator wrote it in `data/prices.json`, and else as [`built_in`] has it: pure.
//!
//! A model without a price costs nobody knows what, and is shown so.

use std::collections::{BTreeMap, HashSet};

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, parse_to_ast};
use serde::de::IgnoredAny;

use super::Tokens;
use crate::groups::Position;
use crate::groups::problem::shown;
use crate::groups::syntax::{check_depth, strict};
use crate::strict::Mistake;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// At most so many problems are told.
const MAX_PROBLEMS: usize = 100;
/// The highest price that is believed, in US dollars per million tokens.
const MAX_PRICE: f64 = 10_000.0;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 128;
/// Deeper than anything that the format has.
const MAX_DEPTH: usize = 16;

/// Prices by model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// By pattern: a model's name, or its beginning and `*`.
    models: BTreeMap<String, Price>,
    /// Those of models that are not in `models`.
    otherwise: BTreeMap<String, Price>,
}

/// The prices that the host brings along, and what they are.
const BUILT_IN: &str = include_str!("prices.json");

/// The prices of the host itself: of the day that the file names, and only of models that had a public price then.
#[must_use]
pub fn built_in() -> Prices {
    // A test reads the file, so it has no mistake.
    Prices::parse(BUILT_IN.as_bytes()).unwrap_or_default()
}

/// What a model's tokens cost, in trillionths of a US dollar each: US dollars per million tokens, times a
/// million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Price {
    input: u64,
    cache_write: u64,
    cached_input: u64,
    output: u64,
}

impl Prices {
    /// What tokens of a model cost, in billionths of a US dollar, rounded up. `None` without a price; no tokens
    /// cost nothing in any case.
    #[must_use]
    pub fn cost(&self, model: &str, tokens: &Tokens) -> Option<u64> {
        if *tokens == Tokens::default() {
            return Some(0);
        }
        let price = self.of(model)?;
        let parts = [
            (tokens.input, price.input),
            (tokens.cache_write, price.cache_write),
            (tokens.cached_input, price.cached_input),
            (tokens.output, price.output),
        ];
        let trillionths: u128 = parts.into_iter().map(|(count, price)| u128::from(count) * u128::from(price)).sum();
        Some(u64::try_from(trillionths.div_ceil(1_000)).unwrap_or(u64::MAX))
    }

    /// Whether a model has a price.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        self.of(model).is_some()
    }

    /// These before those.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self { models: self.models, otherwise: below.models }
    }

    /// Of a model's own name, or else of the longest beginning of it.
    fn of(&self, model: &str) -> Option<&Price> {
        find(&self.models, model).or_else(|| find(&self.otherwise, model))
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// Everything that is wrong with them; nothing of them is used then.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        let whole = |text: String| vec![Mistake::of_file(text)];
        if bytes.len() > MAX_FILE_BYTES {
            return Err(whole(format!("the file has {} bytes and may have {MAX_FILE_BYTES}", bytes.len())));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| whole("the text is not UTF-8".to_owned()))?;
        check_depth(text, MAX_DEPTH).map_err(|error| whole(error.text))?;
        let mut reader = Reader { text, problems: Vec::new() };
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let position = Some(Position { line: error.line().max(1), column: error.column().max(1) });
            let text = format!("this is not JSON: {message}");
            return Err(vec![Mistake { position, path: "$".to_owned(), text }]);
        }
        let prices = match parse_to_ast(text, &CollectOptions::default(), &strict()).map(|parsed| parsed.value) {
            Ok(Some(Value::Object(file))) => reader.file(&file),
            Ok(_) => return Err(whole("expected an object, `{ \"models\": { … } }`".to_owned())),
            Err(error) => return Err(whole(format!("this is not JSON: {}", error.kind()))),
        };
        if reader.problems.is_empty() { Ok(prices) } else { Err(reader.problems) }
    }
}

fn find<'a>(prices: &'a BTreeMap<String, Price>, model: &str) -> Option<&'a Price> {
    let begins = |pattern: &str| pattern.strip_suffix('*').is_some_and(|start| model.starts_with(start));
    prices.get(model).or_else(|| {
        let matching = prices.iter().filter(|(pattern, _)| begins(pattern));
        matching.max_by_key(|(pattern, _)| pattern.len()).map(|(_, price)| price)
    })
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Mistake>,
}

impl Reader<'_> {
    fn file(&mut self, file: &Object<'_>) -> Prices {
        self.report_duplicates(file, "$");
        let mut prices = Prices::default();
        for property in &file.properties {
            let path = format!("$.{}", property.name.as_str());
            match (property.name.as_str(), &property.value) {
                ("models", Value::Object(models)) => prices = self.models(models),
                ("models", other) => self.add(other.range().start, &path, "expected an object"),
                // For people: strict JSON has no other comments.
                ("$comment" | "$schema", _) => {}
                (_, value) => self.add(value.range().start, &path, "unknown field; known are `models` and `$comment`"),
            }
        }
        if file.get("models").is_none() {
            self.add(file.range.start, "$.models", "is missing");
        }
        prices
    }

    fn models(&mut self, models: &Object<'_>) -> Prices {
        self.report_duplicates(models, "$.models");
        let mut prices = BTreeMap::new();
        for property in &models.properties {
            let pattern = property.name.as_str();
            let path = format!("$.models['{}']", shown(pattern));
            let beginning = pattern.strip_suffix('*').unwrap_or(pattern);
            if pattern.is_empty() || pattern.len() > MAX_PATTERN || beginning.contains('*') {
                let rule =
                    format!("a model's name, or its beginning and one `*` at the end; at most {MAX_PATTERN} bytes");
                self.add(property.range.start, &path, &rule);
            }
            match &property.value {
                Value::Object(price) => {
                    if let Some(price) = self.price(price, &path) {
                        prices.insert(pattern.to_owned(), price);
                    }
                }
                other => self.add(other.range().start, &path, "expected an object with `input` and `output`"),
            }
        }
        Prices { models: prices, otherwise: BTreeMap::new() }
    }

    fn price(&mut self, price: &Object<'_>, path: &str) -> Option<Price> {
        self.report_duplicates(price, path);
        for property in &price.properties {
            if !matches!(property.name.as_str(), "input" | "cacheWrite" | "cachedInput" | "output") {
                let text = "unknown field; known are `input`, `cacheWrite`, `cachedInput` and `output`";
                self.add(property.range.start, &format!("{path}.{}", shown(property.name.as_str())), text);
            }
        }
        let input = self.dollars(price, "input", path);
        let cache_write = self.dollars(price, "cacheWrite", path);
        let cached_input = self.dollars(price, "cachedInput", path);
        let output = self.dollars(price, "output", path);
        for (name, found) in [("input", input), ("output", output)] {
            if found.is_none() && price.get(name).is_none() {
                self.add(price.range.start, &format!("{path}.{name}"), "is missing");
            }
        }
        let input = input?;
        // Without a word about the cache it is no cheaper and no dearer: nothing is guessed.
        let (cache_write, cached_input) = (cache_write.unwrap_or(input), cached_input.unwrap_or(input));
        Some(Price { input, cache_write, cached_input, output: output? })
    }

    /// US dollars per million tokens, as trillionths of a dollar per token.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 10^10")]
    fn dollars(&mut self, price: &Object<'_>, name: &str, path: &str) -> Option<u64> {
        let value = &price.get(name)?.value;
        let number = match value {
            Value::NumberLit(number) => number.value.parse::<f64>().ok(),
            _ => None,
        };
        match number {
            Some(dollars) if (0.0..=MAX_PRICE).contains(&dollars) => Some((dollars * 1e6).round() as u64),
            _ => {
                let text = format!("expected US dollars per million tokens, a number from 0 to {MAX_PRICE}");
                self.add(value.range().start, &format!("{path}.{name}"), &text);
                None
            }
        }
    }

    fn report_duplicates(&mut self, object: &Object<'_>, path: &str) {
        let mut seen = HashSet::new();
        for property in &object.properties {
            if !seen.insert(property.name.as_str()) {
                let path = format!("{path}['{}']", shown(property.name.as_str()));
                self.add(property.range.start, &path, "is written twice");
            }
        }
    }

    fn add(&mut self, offset: usize, path: &str, text: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            let position = Some(Position::of(self.text, offset));
            self.problems.push(Mistake { position, path: path.to_owned(), text: text.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests;
