//! Spans as a collector takes them. Fields are attributes, and steps are events with their numbers alone: what
//! people say is in no span.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{Event as SpanEvent, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId, Value as Attribute};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use serde_json::Value;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use super::Otlp;
use super::ids::{span_of, trace_of};
use crate::clock::Clock;
use crate::record::line::Fields;
use crate::telemetry::fields::Collected;

/// The spans that are sent.
const NAMES: [&str; 6] = ["turn", "container", "deliver", "petition", "schedule", "reload"];
/// Spans that are only sent if this is said of them: looks that found nothing are none of anybody's business.
const FOUND: [(&str, &str); 2] = [("petition", "files"), ("schedule", "runs")];
/// How many events a span has at most.
const EVENTS: usize = 64;
/// How many turns are remembered for what they said.
const TURNS: usize = 1024;

/// Hands spans that end to the exporting task.
pub(in crate::telemetry) struct Spans {
    otlp: Otlp,
    turns: Mutex<Turns>,
}

/// Turns, so that what happens elsewhere because of one is found in its trace.
#[derive(Default)]
struct Turns {
    /// The last attempt at each.
    attempts: HashMap<String, SpanId>,
    oldest: VecDeque<String>,
    /// By group, those that run.
    running: HashMap<String, Place>,
}

/// Where a span is.
#[derive(Clone, Copy)]
struct Place {
    trace: TraceId,
    span: SpanId,
}

/// A span that has not ended.
struct Open {
    place: Place,
    parent: SpanId,
    start: SystemTime,
    fields: Fields,
    events: SpanEvents,
}

impl Spans {
    pub(super) fn new(otlp: Otlp) -> Self {
        Self { otlp, turns: Mutex::default() }
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a span belongs that begins: in the trace of its turn, if it has one.
    fn place(&self, name: &str, fields: &Fields, parent: Option<Place>) -> (Place, SpanId) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let own = || SpanId::from_bytes(low_bytes());
        match (name, text("turn"), text("group")) {
            ("turn", Some(turn), group) => {
                let attempt = fields.get("attempt").and_then(Value::as_i64).unwrap_or(1);
                let place = Place { trace: trace_of(turn), span: span_of(turn, attempt) };
                self.turns().begin(turn, group, place);
                (place, SpanId::INVALID)
            }
            (_, Some(turn), _) => {
                let parent = self.turns().attempts.get(turn).copied().unwrap_or_else(|| span_of(turn, 1));
                (Place { trace: trace_of(turn), span: own() }, parent)
            }
            (_, None, group) => match parent.or_else(|| self.turns().running.get(group?).copied()) {
                Some(parent) => (Place { trace: parent.trace, span: own() }, parent.span),
                None => {
                    (Place { trace: TraceId::from_bytes(Uuid::new_v4().into_bytes()), span: own() }, SpanId::INVALID)
                }
            },
        }
    }
}

impl Turns {
    fn begin(&mut self, turn: &str, group: Option<&str>, place: Place) {
        if self.attempts.insert(turn.to_owned(), place.span).is_none() {
            self.oldest.push_back(turn.to_owned());
        }
        if self.oldest.len() > TURNS
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.attempts.remove(&oldest);
        }
        if let Some(group) = group {
            self.running.insert(group.to_owned(), place);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| NAMES.contains(&span.name())) else { return };
        let mut collected = Collected::default();
        attributes.record(&mut collected);
        let parent = span.scope().skip(1).find_map(|outer| outer.extensions().get::<Open>().map(|open| open.place));
        let (place, parent) = self.place(span.name(), &collected.fields, parent);
        let open = Open { place, parent, start: now(), fields: collected.fields, events: SpanEvents::default() };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            let mut collected = Collected::default();
            values.record(&mut collected);
            open.fields.extend(collected.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        let mut collected = Collected::default();
        event.record(&mut collected);
        let Some(step) = collected.fields.get("step").and_then(Value::as_str) else { return };
        if open.events.events.len() == EVENTS {
            open.events.dropped_count += 1;
            return;
        }
        let numbers = collected.fields.iter().filter(|(_, value)| value.is_number());
        let attributes = numbers.map(|(name, value)| attribute(name, value)).collect();
        open.events.events.push(SpanEvent::new(step.to_owned(), now(), attributes, 0));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let name = span.name();
        if name == "turn"
            && let Some(group) = open.fields.get("group").and_then(Value::as_str)
        {
            self.turns().running.remove(group);
        }
        if FOUND.iter().any(|(of, field)| name == *of && !open.fields.contains_key(*field)) {
            return;
        }
        self.otlp.push(SpanData {
            span_context: SpanContext::new(
                open.place.trace,
                open.place.span,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: open.parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: open.start,
            end_time: now(),
            attributes: open.fields.iter().map(|(name, value)| attribute(name, value)).collect(),
            dropped_attributes_count: 0,
            events: open.events,
            links: SpanLinks::default(),
            status: status(&open.fields),
            instrumentation_scope: InstrumentationScope::builder("longshore").build(),
        });
    }
}

fn now() -> SystemTime {
    Clock::system().now().into()
}

fn low_bytes() -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = Uuid::new_v4().into_bytes();
    [a, b, c, d, e, f, g, h]
}

fn attribute(name: &str, value: &Value) -> KeyValue {
    let value = match value {
        Value::Bool(yes) => Attribute::Bool(*yes),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Attribute::I64(whole),
            None => Attribute::F64(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => text.clone().into(),
        other => other.to_string().into(),
    };
    KeyValue::new(format!("longshore.{name}"), value)
}

fn status(fields: &Fields) -> Status {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    match (text("code"), text("outcome")) {
        (Some(code), _) => Status::error(code.to_owned()),
        (None, Some(outcome @ ("failed" | "given_up"))) => Status::error(outcome.to_owned()),
        _ => Status::Unset,
    }
}
