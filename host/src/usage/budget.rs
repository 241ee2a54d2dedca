//! What a group may use: pure.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use longshore_protocol::GroupId;

use super::{Amount, Row};

/// At most so many models without a price are remembered of a group: one is enough to refuse.
const MAX_UNPRICED: usize = 16;

/// What the operator allows a group. Absent means as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Tokens a day, of every kind.
    pub daily_tokens: Option<u64>,
    /// Billionths of a US dollar a day.
    pub daily_nano_usd: Option<u64>,
    /// Billionths of a US dollar a calendar month.
    pub monthly_nano_usd: Option<u64>,
}

/// One of the limits of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// `dailyTokens`.
    DailyTokens,
    /// `dailyUsd`.
    DailyUsd,
    /// `monthlyUsd`.
    MonthlyUsd,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DailyTokens, Self::DailyUsd, Self::MonthlyUsd];

    /// Its name in the groups file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DailyTokens => "dailyTokens",
            Self::DailyUsd => "dailyUsd",
            Self::MonthlyUsd => "monthlyUsd",
        }
    }

    /// What it is a limit for, in words that follow on `for`.
    #[must_use]
    pub fn period(self) -> &'static str {
        match self {
            Self::DailyTokens | Self::DailyUsd => "today",
            Self::MonthlyUsd => "this month",
        }
    }

    /// Whether it is one of money.
    #[must_use]
    pub fn is_money(self) -> bool {
        self != Self::DailyTokens
    }

    /// When it starts anew: at the beginning of a day, which is later than midnight where a clock skips midnight.
    #[must_use]
    pub fn anew(self, today: Date, zone: &TimeZone) -> Option<Zoned> {
        let first = match self {
            Self::DailyTokens | Self::DailyUsd => today.tomorrow().ok()?,
            Self::MonthlyUsd => today.first_of_month().checked_add(Span::new().months(1)).ok()?,
        };
        first.to_zoned(zone.clone()).ok()
    }

    /// An amount as people write it.
    #[must_use]
    pub fn shown(self, amount: u64) -> String {
        if self.is_money() { usd(amount) } else { amount.to_string() }
    }
}

/// What a group has used, of which budgets are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spent {
    /// Today.
    pub today: Amount,
    /// This month, today included.
    pub month: Amount,
    /// The models that were used without a price, and the last day of each.
    unpriced: BTreeMap<String, Date>,
}

impl Spent {
    /// Adds what was used of a model today.
    pub fn add(&mut self, model: &str, amount: &Amount, today: Date) {
        self.today.add(amount);
        self.add_before(model, amount, today);
    }

    /// Adds what was used of a model on an earlier day of the month.
    fn add_before(&mut self, model: &str, amount: &Amount, day: Date) {
        self.month.add(amount);
        if amount.unpriced > 0 && (self.unpriced.len() < MAX_UNPRICED || self.unpriced.contains_key(model)) {
            let last = self.unpriced.entry(model.to_owned()).or_insert(day);
            *last = day.max(*last);
        }
    }
}

/// How far one limit is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub limit: Limit,
    /// How much is used: tokens, or billionths of a US dollar.
    pub used: u64,
    /// Of how much.
    pub of: u64,
    /// Requests of models without a price, which are not in `used`; 0 for a limit of tokens.
    pub unpriced: u64,
}

impl Standing {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used >= self.of
    }
}

impl Budget {
    /// How far each limit that is set is used.
    #[must_use]
    pub fn standings(&self, spent: &Spent) -> Vec<Standing> {
        let limits = [
            (Limit::DailyTokens, self.daily_tokens, spent.today.tokens.all(), 0),
            (Limit::DailyUsd, self.daily_nano_usd, spent.today.nano_usd, spent.today.unpriced),
            (Limit::MonthlyUsd, self.monthly_nano_usd, spent.month.nano_usd, spent.month.unpriced),
        ];
        let set = |(limit, of, used, unpriced): (Limit, Option<u64>, u64, u64)| {
            of.map(|of| Standing { limit, used, of, unpriced })
        };
        limits.into_iter().filter_map(set).collect()
    }

    /// The limit that keeps the group from asking a model, if one does; of several the one that lasts longest.
    #[must_use]
    pub fn used_up(&self, spent: &Spent) -> Option<Standing> {
        self.standings(spent).into_iter().rfind(Standing::is_used_up)
    }

    /// The limit in dollars that cannot be kept, and the model that it cannot be kept for: one that was used in
    /// its time and has no price, neither then nor now.
    #[must_use]
    pub fn unpriced<'a>(
        &self,
        spent: &'a Spent,
        today: Date,
        knows: impl Fn(&str) -> bool,
    ) -> Option<(Limit, &'a str)> {
        let limit = match (self.daily_nano_usd, self.monthly_nano_usd) {
            (None, None) => return None,
            (_, Some(_)) => Limit::MonthlyUsd,
            (Some(_), None) => Limit::DailyUsd,
        };
        let counts = |day: Date| limit == Limit::MonthlyUsd || day == today;
        let (model, _) = spent.unpriced.iter().find(|(model, day)| counts(**day) && !knows(model))?;
        Some((limit, model))
    }
}

/// What each group has used today and this month.
#[must_use]
pub fn spent(rows: &[Row], today: Date) -> HashMap<GroupId, Spent> {
    let mut all: HashMap<GroupId, Spent> = HashMap::new();
    for Row { account, amount } in rows {
        if account.day.first_of_month() != today.first_of_month() {
            continue;
        }
        let spent = all.entry(account.group.clone()).or_default();
        if account.day == today {
            spent.add(&account.model, amount, today);
        } else {
            spent.add_before(&account.model, amount, account.day);
        }
    }
    all
}

/// An amount of money: cents, and below a dollar hundredths of a cent.
#[must_use]
pub fn usd(nano: u64) -> String {
    const DOLLAR: u64 = 1_000_000_000;
    if nano == 0 {
        "$0.00".to_owned()
    } else if nano < DOLLAR {
        format!("$0.{:04}", nano.div_ceil(100_000).min(9_999))
    } else {
        let cents = nano.saturating_add(5_000_000) / 10_000_000;
        format!("${}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use longshore_protocol::ProviderKind;

    use super::super::{Account, Tokens};
    use super::*;

    const DOLLAR: u64 = 1_000_000_000;

    fn amount(tokens: u64, nano_usd: u64, unpriced: u64) -> Amount {
        Amount { requests: 1, tokens: Tokens { input: tokens, ..Tokens::default() }, nano_usd, unpriced }
    }

    #[test]
    fn a_limit_is_used_up_when_nothing_is_left_and_the_longest_lasting_one_is_told() {
        let budget =
            Budget { daily_tokens: Some(1000), daily_nano_usd: Some(2 * DOLLAR), monthly_nano_usd: Some(30 * DOLLAR) };
        let rows = [
            (amount(0, 0, 0), amount(0, 0, 0), None),
            (amount(999, DOLLAR, 0), amount(9_999, 29 * DOLLAR, 0), None),
            (amount(1000, 0, 0), amount(1000, 0, 0), Some(Limit::DailyTokens)),
            (amount(1000, 2 * DOLLAR, 0), amount(0, 2 * DOLLAR, 0), Some(Limit::DailyUsd)),
            (amount(5000, 2 * DOLLAR, 0), amount(0, 30 * DOLLAR, 0), Some(Limit::MonthlyUsd)),
            (amount(0, 0, 7), amount(0, 0, 7), None),
        ];
        for (today, month, expected) in rows {
            let spent = Spent { today, month, ..Spent::default() };
            let found = budget.used_up(&spent);
            assert_eq!(found.map(|standing| standing.limit), expected, "{today:?} {month:?}");
            assert_eq!(Budget::default().used_up(&spent), None);
        }
        let nothing = Budget { daily_tokens: Some(0), ..Budget::default() };
        assert!(nothing.used_up(&Spent::default()).is_some(), "a budget of nothing allows nothing");
    }

    #[test]
    fn a_day_and_a_month_begin_anew() {
        let row = |day: &str, group: &str, tokens| Row {
            account: Account {
                day: day.parse().unwrap(),
                group: group.parse().unwrap(),
                provider: ProviderKind::Claude,
                model: String::new(),
            },
            amount: amount(tokens, 0, 0),
        };
        let rows = [
            row("2026-01-31", "a", 1),
            row("2026-02-01", "a", 2),
            row("2026-02-03", "a", 4),
            row("2026-02-03", "b", 8),
        ];
        let found = |today: &str, group: &str| {
            let all = spent(&rows, today.parse().unwrap());
            all.get(&group.parse().unwrap()).map(|spent| (spent.today.tokens.input, spent.month.tokens.input))
        };
        assert_eq!(found("2026-02-03", "a"), Some((4, 6)));
        assert_eq!(found("2026-02-03", "b"), Some((8, 8)));
        assert_eq!(found("2026-02-04", "a"), Some((0, 6)));
        assert_eq!(found("2026-03-01", "a"), None);
    }

    #[test]
    fn a_limit_in_dollars_cannot_be_kept_for_a_model_without_a_price() {
        let today = "2026-02-03".parse().unwrap();
        let mut spent = Spent::default();
        spent.add_before("old", &amount(5, 0, 1), "2026-02-01".parse().unwrap());
        spent.add("priced", &amount(5, DOLLAR, 0), today);
        let daily = Budget { daily_nano_usd: Some(DOLLAR), ..Budget::default() };
        let monthly = Budget { monthly_nano_usd: Some(DOLLAR), ..Budget::default() };
        let tokens = Budget { daily_tokens: Some(1), ..Budget::default() };
        assert_eq!(daily.unpriced(&spent, today, |_| false), None, "it was used on another day");
        assert_eq!(monthly.unpriced(&spent, today, |_| false), Some((Limit::MonthlyUsd, "old")));
        assert_eq!(monthly.unpriced(&spent, today, |model| model == "old"), None, "the operator has added it");
        spent.add("new", &amount(5, 0, 1), today);
        assert_eq!(daily.unpriced(&spent, today, |_| false), Some((Limit::DailyUsd, "new")));
        assert_eq!(tokens.unpriced(&spent, today, |_| false), None, "tokens are counted without a price");
        for number in 0..1_000 {
            spent.add(&format!("made-up-{number}"), &amount(5, 0, 1), today);
        }
        assert_eq!(spent.unpriced.len(), MAX_UNPRICED);
    }

    #[test]
    fn a_limit_starts_anew_where_the_calendar_says_so() {
        for (limit, zone, today, expected) in [
            (Limit::DailyTokens, "UTC", "2026-02-28", "2026-03-01T00:00:00+00:00[UTC]"),
            // The days on which the clocks change are 23 and 25 hours long.
            (Limit::DailyUsd, "Europe/Berlin", "2026-03-29", "2026-03-30T00:00:00+02:00[Europe/Berlin]"),
            (Limit::DailyUsd, "Europe/Berlin", "2026-10-25", "2026-10-26T00:00:00+01:00[Europe/Berlin]"),
            // Here a day had no midnight.
            (Limit::DailyTokens, "America/Sao_Paulo", "2018-11-03", "2018-11-04T01:00:00-02:00[America/Sao_Paulo]"),
            (Limit::MonthlyUsd, "UTC", "2026-01-31", "2026-02-01T00:00:00+00:00[UTC]"),
            (Limit::MonthlyUsd, "Europe/Berlin", "2026-12-31", "2027-01-01T00:00:00+01:00[Europe/Berlin]"),
            (Limit::MonthlyUsd, "UTC", "2028-02-01", "2028-03-01T00:00:00+00:00[UTC]"),
        ] {
            let anew = limit.anew(today.parse().unwrap(), &TimeZone::get(zone).unwrap()).unwrap();
            assert_eq!(anew.to_string(), expected);
        }
        assert_eq!(Limit::DailyTokens.anew(Date::MAX, &TimeZone::UTC), None);
    }

    #[test]
    fn money_is_written_as_people_write_it() {
        for (nano, text) in [
            (0, "$0.00"),
            (1, "$0.0001"),
            (12_345_678, "$0.0124"),
            (999_999_999, "$0.9999"),
            (DOLLAR, "$1.00"),
            (1_999_000_000, "$2.00"),
            (1_234_567 * DOLLAR + 500_000_000, "$1234567.50"),
            (u64::MAX, "$18446744073.70"),
        ] {
            assert_eq!(usd(nano), text, "{nano}");
        }
    }
}
