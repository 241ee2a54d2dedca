//! One field of a cron expression: checked, and translated to what the `cron` crate reads.

use std::fmt;

use super::CadenceError;

/// A field, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Seconds, in expressions of six fields.
    Second,
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// Days of the month.
    DayOfMonth,
    /// Months.
    Month,
    /// Days of the week.
    DayOfWeek,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

impl Field {
    /// The fields of an expression of six.
    pub(super) const SIX: [Self; 6] =
        [Self::Second, Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    /// The least and the greatest number, as people write them. Both 0 and 7 are Sunday.
    fn range(self) -> (u32, u32) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }

    /// What the field says, as the `cron` crate is to read it: lists, ranges and steps as they are; days of the
    /// week spelled out one by one, because the crate counts them from 1 = Sunday and knows no range over Saturday.
    ///
    /// # Errors
    /// [`CadenceError::Field`]
    pub(super) fn translate(self, text: &str) -> Result<String, CadenceError> {
        let items: Vec<String> = text.split(',').map(|item| self.item(item)).collect::<Result<_, _>>()?;
        Ok(items.join(","))
    }

    fn item(self, item: &str) -> Result<String, CadenceError> {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(self.step(step)?)),
            None => (item, None),
        };
        let (least, greatest) = self.range();
        let (first, last) = match span.split_once('-') {
            _ if span == "*" && self == Self::DayOfWeek => (0, 6),
            _ if span == "*" => (least, greatest),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            // From there to the end, as most crons read it.
            None if step.is_some() => (self.value(span)?, if self == Self::DayOfWeek { 6 } else { greatest }),
            None => {
                let value = self.value(span)?;
                (value, value)
            }
        };
        if self == Self::DayOfWeek {
            return Ok(days(first, last, step.unwrap_or(1)));
        }
        if first > last {
            return Err(self.wrong(format!("`{}` runs backwards; write the smaller one first", shown(span))));
        }
        let step = step.map_or_else(String::new, |step| format!("/{step}"));
        Ok(if first == last && step.is_empty() { first.to_string() } else { format!("{first}-{last}{step}") })
    }

    fn step(self, text: &str) -> Result<u32, CadenceError> {
        let greatest = self.range().1;
        match digits(text) {
            Some(step) if (1..=greatest.max(1)).contains(&step) => Ok(step),
            _ => Err(self.wrong(format!("the step `{}` is no number from 1 to {greatest}", shown(text)))),
        }
    }

    fn value(self, text: &str) -> Result<u32, CadenceError> {
        let (least, greatest) = self.range();
        if let Some(value) = digits(text).filter(|value| (least..=greatest).contains(value)) {
            return Ok(value);
        }
        let named = |names: &[&str], from: u32| {
            names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(text))
                .and_then(|at| u32::try_from(at).ok().map(|at| at + from))
        };
        let found = match self {
            Self::Month => named(&MONTHS, 1),
            Self::DayOfWeek => named(&DAYS, 0),
            _ => None,
        };
        found.ok_or_else(|| {
            let names = match self {
                Self::Month => " or a name such as `jan`",
                Self::DayOfWeek => " (0 and 7 are Sunday) or a name such as `mon`",
                _ => "",
            };
            self.wrong(format!("`{}` is none of {least} to {greatest}{names}", shown(text)))
        })
    }

    fn wrong(self, wrong: String) -> CadenceError {
        CadenceError::Field { field: self, wrong }
    }
}

/// Days of the week from one to another, over Saturday if need be, in the crate's numbers.
fn days(first: u32, last: u32, step: u32) -> String {
    let last = if last < first { last + 7 } else { last };
    let days: Vec<String> =
        (first..=last).step_by(usize::try_from(step).unwrap_or(1)).map(|day| (day % 7 + 1).to_string()).collect();
    days.join(",")
}

fn digits(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn shown(text: &str) -> String {
    text.chars().take(20).collect::<String>().escape_debug().to_string()
}
