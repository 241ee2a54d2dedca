//! Why a budget keeps a group from asking a model, in words that are known again after their way through a CLI:
//! pure.

use std::fmt;

use jiff::Zoned;
use longshore_protocol::{Failure, FailureKind};

use super::budget::{Limit, Standing};

/// What only these texts say.
const USED_UP: &str = "has used its budget for";
const NO_PRICE: &str = "has a budget in dollars,";
/// Longer than any time that is told.
const MAX_TIME: usize = 30;

/// Why a group may not ask a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// A limit is used up.
    UsedUp {
        /// How far.
        standing: Standing,
        /// When it starts anew; absent at the end of all days.
        anew: Option<Zoned>,
    },
    /// What it has used cannot be reckoned in dollars.
    NoPrice {
        /// The limit that cannot be kept.
        limit: Limit,
        /// The model that it cannot be kept for; empty if no answer named it.
        model: String,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedUp { standing: Standing { limit, used, of, .. }, anew } => {
                let (used, of) = (limit.shown(*used), limit.shown(*of));
                write!(f, "this group {USED_UP} {}: {used} of {of}, `{}`", limit.period(), limit.name())?;
                match anew {
                    Some(anew) => write!(f, ", anew `{}`", time(*limit, anew)),
                    None => Ok(()),
                }
            }
            Self::NoPrice { limit, model } => {
                write!(f, "this group {NO_PRICE} `{}`, and no price is known for the model `{model}`", limit.name())
            }
        }
    }
}

fn time(limit: Limit, anew: &Zoned) -> String {
    match limit {
        Limit::DailyTokens | Limit::DailyUsd => anew.strftime("at %H:%M").to_string(),
        Limit::MonthlyUsd => anew.strftime("on %-d %B at %H:%M").to_string(),
    }
}

/// What a text tells of a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A limit is used up.
    UsedUp {
        /// Which.
        limit: Limit,
        /// When it starts anew: `at 00:00` or `on 1 March at 00:00`.
        anew: Option<String>,
    },
    /// A limit in dollars cannot be kept for want of a price.
    NoPrice {
        /// Which.
        limit: Limit,
    },
}

impl Told {
    /// Reads a failure's message, the broker's own words or what a CLI made of them.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        if let Some((_, rest)) = text.split_once(USED_UP) {
            let anew = rest.split_once(", anew `").and_then(|(_, rest)| rest.split_once('`')).map(|(time, _)| time);
            // A chat is told it, so it is nothing but a time.
            let is_time = |time: &&str| {
                time.len() <= MAX_TIME && time.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == ':')
            };
            return Some(Self::UsedUp { limit: limit_in(rest)?, anew: anew.filter(is_time).map(str::to_owned) });
        }
        let (_, rest) = text.split_once(NO_PRICE)?;
        Some(Self::NoPrice { limit: limit_in(rest)? })
    }
}

fn limit_in(text: &str) -> Option<Limit> {
    Limit::ALL.into_iter().find(|limit| text.contains(&format!("`{}`", limit.name())))
}

/// The failure of a turn that a budget keeps from beginning.
#[must_use]
pub fn failure(denial: &Denial) -> Failure {
    known_again(Failure::new("host", FailureKind::Config, denial.to_string()))
}

/// The same failure; one that is a CLI's account of a denial has its kind and code.
#[must_use]
pub fn known_again(failure: Failure) -> Failure {
    let code = match Told::of(&failure.message) {
        None => return failure,
        Some(Told::UsedUp { .. }) => "BUDGET_USED_UP",
        Some(Told::NoPrice { .. }) => "BUDGET_WITHOUT_PRICE",
    };
    Failure { kind: FailureKind::Config, code: code.to_owned(), retry_after_seconds: None, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used_up(limit: Limit, anew: &str) -> Denial {
        let standing = Standing { limit, used: 2_000_000_000, of: 1_000_000_000, unpriced: 0 };
        Denial::UsedUp { standing, anew: Some(anew.parse().unwrap()) }
    }

    #[test]
    fn a_denial_is_known_again_after_its_way_through_a_cli() {
        let daily = used_up(Limit::DailyTokens, "2026-10-26T00:00[Europe/Berlin]");
        let monthly = used_up(Limit::MonthlyUsd, "2026-03-01T00:00[UTC]");
        let no_price = Denial::NoPrice { limit: Limit::DailyUsd, model: "m `x`".into() };
        let told = |limit, anew: &str| Told::UsedUp { limit, anew: Some(anew.into()) };
        for (denial, code, expected) in [
            (daily, "BUDGET_USED_UP", told(Limit::DailyTokens, "at 00:00")),
            (monthly, "BUDGET_USED_UP", told(Limit::MonthlyUsd, "on 1 March at 00:00")),
            (no_price, "BUDGET_WITHOUT_PRICE", Told::NoPrice { limit: Limit::DailyUsd }),
        ] {
            assert_eq!(failure(&denial).code, code);
            let body = serde_json::json!({"error": {"message": denial.to_string()}}).to_string();
            for text in [format!("API Error: 400 {denial}"), body] {
                let again = known_again(Failure::new("codex", FailureKind::Internal, text));
                assert_eq!((again.kind, again.code.as_str()), (FailureKind::Config, code));
                assert_eq!(Told::of(&again.message).as_ref(), Some(&expected));
            }
        }
        let other = Failure::new("codex", FailureKind::Config, "the budget `dailyTokens` is fine");
        assert_eq!(known_again(other.clone()), other);
    }

    #[test]
    fn a_time_that_is_none_is_not_told() {
        for rest in
            ["`; rm -rf`", "`at 00:00", "`https://example.com/`", "`a very long time that nobody would ever wait for`"]
        {
            let text = format!("this group {USED_UP} today: 1 of 1, `dailyTokens`, anew {rest}");
            assert_eq!(Told::of(&text), Some(Told::UsedUp { limit: Limit::DailyTokens, anew: None }), "{text}");
        }
    }
}
