//! The fields of events and spans, as values.

use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};

use crate::record::line::Fields;

/// The longest text of a field, in bytes: an engine or a provider may say anything.
pub(super) const TEXT_BYTES: usize = 4 * 1024;

/// What an event or a span says.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) message: String,
    pub(super) fields: Fields,
}

impl Collected {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Collected {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, cut(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = cut(format!("{value:?}"));
        if field.name() == "message" { self.message = text } else { self.add(field, text) }
    }
}

/// The text, no longer than a field may be. JSON escapes most of what orders a terminal about; the rest is
/// written as Rust writes it.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        text.push('…');
    }
    let orders = |character: char| matches!(character, '\u{7f}'..='\u{9f}');
    if text.contains(orders) {
        let shown = |character: char| match character {
            order if orders(order) => order.escape_default().to_string(),
            plain => plain.to_string(),
        };
        text = text.chars().map(shown).collect();
    }
    text
}
