//! Samples, and the table that is printed of them.

use std::io::Write;

/// Measurements of one thing, in one unit.
#[derive(Debug, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// At least one measurement.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The median.
    pub(crate) fn p50(&self) -> f64 {
        self.percentile(50)
    }

    /// The 95th percentile, by nearest rank.
    pub(crate) fn p95(&self) -> f64 {
        self.percentile(95)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

/// One line of the table.
pub(crate) struct Row {
    what: String,
    p50: String,
    p95: String,
    n: String,
    target: String,
    met: Option<bool>,
}

impl Row {
    /// Median and 95th percentile.
    pub(crate) fn figure(what: &str, samples: &Samples, unit: &str, target: Option<(&str, bool)>) -> Self {
        let p95 = if samples.0.len() > 1 { format!("{:.1}", samples.p95()) } else { String::new() };
        Self::new(what, format!("{:.1} {unit}", samples.p50()), p95, samples.0.len().to_string(), target)
    }

    /// One number.
    pub(crate) fn single(what: &str, value: f64, unit: &str, target: Option<(&str, bool)>) -> Self {
        Self::new(what, format!("{value:.1} {unit}"), String::new(), String::new(), target)
    }

    /// One small number.
    pub(crate) fn fine(what: &str, value: f64, unit: &str, target: Option<(&str, bool)>) -> Self {
        Self::new(what, format!("{value:.3} {unit}"), String::new(), String::new(), target)
    }

    /// A ratio.
    pub(crate) fn ratio(what: &str, value: f64, target: Option<(&str, bool)>) -> Self {
        Self::new(what, format!("{value:.2} x"), String::new(), String::new(), target)
    }

    fn new(what: &str, p50: String, p95: String, n: String, target: Option<(&str, bool)>) -> Self {
        let (target, met) = target.map_or((String::new(), None), |(text, met)| (text.to_owned(), Some(met)));
        Self { what: what.to_owned(), p50, p95, n, target, met }
    }
}

/// The table.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Prints it and says how many targets were missed.
    pub(crate) fn print(&self) -> std::io::Result<usize> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "| {:<44} | {:>10} | {:>8} | {:>3} | {:<10} | {:<6} |",
            "figure", "p50", "p95", "n", "target", ""
        )?;
        writeln!(out, "|{:-<46}|{:-<11}:|{:-<9}:|{:-<4}:|{:-<12}|{:-<8}|", "", "", "", "", "", "")?;
        for row in &self.0 {
            let met = match row.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            let Row { what, p50, p95, n, target, .. } = row;
            writeln!(out, "| {what:<44} | {p50:>10} | {p95:>8} | {n:>3} | {target:<10} | {met:<6} |")?;
        }
        Ok(self.0.iter().filter(|row| row.met == Some(false)).count())
    }
}
