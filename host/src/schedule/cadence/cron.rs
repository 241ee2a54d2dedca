//! A cron expression: the numbers of each field, as sets.

use std::str::FromStr;

use ::cron::{Schedule, TimeUnitSpec};

use super::CadenceError;
use super::field::Field;

/// What an expression says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days_of_month: u64,
    months: u64,
    /// From 0 = Sunday.
    days_of_week: u64,
    /// Whether day of month and day of week are both restricted: then either suffices. A field that begins
    /// with `*` does not restrict, also with a step, as in Vixie's cron.
    either_day: bool,
    /// Whether seconds, minutes or hours begin with `*`: then it runs whenever the clock shows such a time, and
    /// not once for each such time of a day.
    pub(super) is_wild: bool,
}

impl Cron {
    /// Reads five fields, six with seconds first, or a word such as `@daily`.
    pub(super) fn parse(value: &str) -> Result<Self, CadenceError> {
        let expression = match value.strip_prefix('@') {
            Some(_) => shorthand(value)?,
            None => value,
        };
        let mut fields: Vec<&str> = expression.split_whitespace().collect();
        match fields.len() {
            5 => fields.insert(0, "0"),
            6 => {}
            count => return Err(CadenceError::Fields { value: value.chars().take(60).collect(), count }),
        }
        let translated: Vec<String> =
            Field::SIX.into_iter().zip(&fields).map(|(field, text)| field.translate(text)).collect::<Result<_, _>>()?;
        let schedule =
            Schedule::from_str(&translated.join(" ")).map_err(|error| CadenceError::Parser(error.to_string()))?;
        let set = |unit: &dyn Includes, range: std::ops::RangeInclusive<u32>| {
            range.filter(|number| unit.has(*number)).fold(0_u64, |set, number| set | 1 << number)
        };
        let star = |place: usize| fields.get(place).is_some_and(|text| text.starts_with('*'));
        Ok(Self {
            seconds: set(schedule.seconds(), 0..=59),
            minutes: set(schedule.minutes(), 0..=59),
            hours: set(schedule.hours(), 0..=23),
            days_of_month: set(schedule.days_of_month(), 1..=31),
            months: set(schedule.months(), 1..=12),
            days_of_week: set(schedule.days_of_week(), 1..=7) >> 1,
            either_day: !star(3) && !star(5),
            is_wild: (0..=2).any(star),
        })
    }

    /// Whether there are times in the month, from 1.
    pub(super) fn has_month(&self, month: i8) -> bool {
        has(self.months, month)
    }

    /// Whether there are times on the day: its number in the month, and in the week from 0 = Sunday.
    pub(super) fn has_day(&self, day_of_month: i8, day_of_week: i8) -> bool {
        let (of_month, of_week) = (has(self.days_of_month, day_of_month), has(self.days_of_week, day_of_week));
        if self.either_day { of_month || of_week } else { of_month && of_week }
    }

    /// The first time of a day that is not before another: hour, minute, second.
    pub(super) fn time_from(&self, (hour, minute, second): (i8, i8, i8)) -> Option<(i8, i8, i8)> {
        let (first_minute, first_second) = (lowest(self.minutes, 0)?, lowest(self.seconds, 0)?);
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = lowest(self.seconds, second)
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = lowest(self.minutes, minute + 1) {
                return Some((hour, minute, first_second));
            }
        }
        lowest(self.hours, hour + 1).map(|hour| (hour, first_minute, first_second))
    }
}

fn shorthand(word: &str) -> Result<&'static str, CadenceError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => return Err(CadenceError::Shorthand(word.chars().take(20).collect())),
    })
}

fn has(set: u64, number: i8) -> bool {
    (0..64).contains(&number) && set >> number & 1 == 1
}

/// The least number of the set from `from` on.
fn lowest(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(u32::try_from(from).ok()?)?;
    let zeros = i8::try_from(rest.trailing_zeros()).ok()?;
    (rest != 0).then(|| from + zeros)
}

/// The crate's trait cannot be an object.
trait Includes {
    fn has(&self, number: u32) -> bool;
}

impl<T: TimeUnitSpec> Includes for T {
    fn has(&self, number: u32) -> bool {
        self.includes(number)
    }
}
