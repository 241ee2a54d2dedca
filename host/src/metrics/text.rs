//! The text format of Prometheus, version 0.0.4: pure.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::{Display, Write as _};

use super::histogram::Histogram;

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A count since the host's start.
    Counter,
    /// What is now.
    Gauge,
}

/// A text that grows.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// Labels and their values.
type Labels<'a> = [(&'a str, &'a str)];

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, kind, help);
    }

    /// A value of the family.
    pub(super) fn value(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        let labels = braced(labels);
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A family of one value.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }

    /// A family of histograms.
    pub(super) fn histograms<'a, const KIND: usize>(
        &mut self,
        name: &str,
        help: &str,
        all: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, &'a Histogram<KIND>)>,
    ) {
        self.head(name, "histogram", help);
        for (labels, histogram) in all {
            let (cumulative, count, sum) = histogram.read();
            let bounds = cumulative.into_iter().map(|(bound, count)| (bound.to_string(), count));
            for (bound, count) in bounds.chain([("+Inf".to_owned(), count)]) {
                let with_bound: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
                self.value(&format!("{name}_bucket"), &with_bound, count);
            }
            self.value(&format!("{name}_sum"), &labels, sum);
            self.value(&format!("{name}_count"), &labels, count);
        }
    }

    /// The text.
    pub(super) fn end(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

fn braced(labels: &Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
