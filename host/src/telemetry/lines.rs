//! Events and spans as lines of the record.

use std::sync::{Mutex, PoisonError};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level as Of, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::Collected;
use super::file::Queue;
use super::floods::Floods;
use crate::clock::Clock;
use crate::record::line::{Fields, Level, LogLine, LogSpan};

/// The longest line, in bytes; beyond it the line has no fields of its own.
const LINE_BYTES: usize = 48 * 1024;

/// Writes each event as a line.
pub(super) struct Lines {
    pub(super) queue: Queue,
    pub(super) clock: Clock,
    pub(super) floods: Mutex<Floods>,
}

/// A span's fields, as this layer keeps them.
struct Kept(Fields);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut collected = Collected::default();
            attributes.record(&mut collected);
            span.extensions_mut().insert(Kept(collected.fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut collected = Collected::default();
            values.record(&mut collected);
            if let Some(kept) = span.extensions_mut().get_mut::<Kept>() {
                kept.0.extend(collected.fields);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut collected = Collected::default();
        event.record(&mut collected);
        let spans = context.event_scope(event).into_iter().flatten().map(|span| LogSpan {
            name: span.name().to_owned(),
            fields: span.extensions().get::<Kept>().map(|kept| kept.0.clone()).unwrap_or_default(),
        });
        let mut spans: Vec<LogSpan> = spans.collect();
        spans.reverse();
        let mut line = LogLine {
            time: self.clock.now(),
            level: level(*event.metadata().level()),
            target: event.metadata().target().to_owned(),
            message: collected.message,
            fields: collected.fields,
            spans,
        };
        if let Some(group) = line.text("group") {
            let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
            match floods.may_write(event.metadata().callsite(), &group, line.time) {
                None => return,
                Some(0) => {}
                Some(left_out) => _ = line.fields.insert("lines_left_out".into(), left_out.into()),
            }
        }
        self.queue.push(bytes(line));
    }
}

/// The line that says how many lines could not be written.
pub(super) fn lost(count: u64) -> Vec<u8> {
    let mut fields = Fields::new();
    fields.insert("lines".into(), count.into());
    bytes(LogLine {
        time: Clock::system().now(),
        level: Level::Warn,
        target: module_path!().to_owned(),
        message: "lines of the record were lost: there were more than the disk took".into(),
        fields,
        spans: Vec::new(),
    })
}

fn bytes(mut line: LogLine) -> Vec<u8> {
    // A line of texts and numbers can always be written.
    let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
    if bytes.len() > LINE_BYTES {
        line.fields = Fields::new();
        line.fields.insert("omitted_bytes".into(), bytes.len().into());
        line.spans.clear();
        bytes = serde_json::to_vec(&line).unwrap_or_default();
    }
    bytes.push(b'\n');
    bytes
}

fn level(of: Of) -> Level {
    match of {
        Of::ERROR => Level::Error,
        Of::WARN => Level::Warn,
        Of::INFO => Level::Info,
        Of::DEBUG => Level::Debug,
        Of::TRACE => Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::fields::TEXT_BYTES;
    use super::*;

    #[test]
    fn an_event_is_a_line_with_its_spans_whatever_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path(), 1 << 20, lost).unwrap();
        let (clock, _hands) = Clock::manual(Timestamp::UNIX_EPOCH);
        let subscriber =
            tracing_subscriber::registry().with(Lines { queue: queue.clone(), clock, floods: Mutex::default() });
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("turn", turn = %"t1", attempt = 2, code = tracing::field::Empty);
            let _entered = span.enter();
            span.record("code", "X");
            let said = "x\n{\"level\":\"error\"}\u{1b}[2J\u{9b}2J";
            tracing::info_span!("container").in_scope(|| tracing::warn!(said, of = ?Some(1), yes = true, "a {said}"));
            tracing::error!(huge = "ü".repeat(100_000), "much");
        });
        queue.end();
        let text = std::fs::read_to_string(crate::record::file(folder.path(), 0)).unwrap();
        let lines: Vec<LogLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        let line = &lines[0];
        assert_eq!(line.message, "a x\n{\"level\":\"error\"}\u{1b}[2J\\u{9b}2J");
        assert_eq!((line.level, line.text("said").unwrap().lines().count()), (Level::Warn, 2));
        assert_eq!((line.number("attempt"), line.text("code").as_deref()), (Some(2), Some("X")));
        assert_eq!(line.spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["turn", "container"]);
        assert_eq!(lines[1].text("huge").unwrap().len(), TEXT_BYTES + '…'.len_utf8());
    }
}
