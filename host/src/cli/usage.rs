//! `longshore usage`: what the models' answers used, what that cost, and what is left of the budgets.
//!
//! The store is read directly, with or without a host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{anyhow, bail};
use clap::Args;
use jiff::Span;
use jiff::civil::Date;
use longshore_protocol::{GroupId, ProviderKind};
use serde::Serialize;

use super::registered::registered;
use super::table::table;
use super::{Ending, note, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::groups::Groups;
use crate::store;
use crate::store::usage::read_since;
use crate::usage::budget::{Limit, Standing, spent, usd};
use crate::usage::price_file::PriceFile;
use crate::usage::{Account, Amount, Row, month_of};

/// Arguments of `longshore usage`.
#[derive(Debug, Args)]
pub(super) struct UsageArgs {
    /// Only this group's.
    group: Option<GroupId>,
    /// How many days, today included.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn usage(args: &UsageArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let config = Config::load(root).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("`.env` has problems: {}", problems.join("; "))
    })?;
    let today = Clock::system().now().to_zoned(config.time_zone).date();
    let from = today.saturating_sub(Span::new().days(i64::from(args.days) - 1));
    let rows = read_since(&root.join(store::FILE), from.min(month_of(today)))?;
    let groups = registered(root)?.groups;
    if let Some(group) = &args.group
        && groups.by_id(group).is_none()
        && rows.iter().all(|row| row.account.group != *group)
    {
        bail!("there is no group `{group}`; `longshore groups` lists them");
    }
    let prices = PriceFile::new(root);
    prices.look();
    let report = report(&rows, &groups, today, from, args.group.as_ref());
    if args.json {
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        say(render(&report).trim_end())?;
    }
    for problem in prices.table().problems {
        note(&format!("data/prices.json: {problem}"));
    }
    Ok(Ending::Done)
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// The first day that is shown, in the host's time zone: `2026-02-01`.
    from: String,
    /// The last.
    today: String,
    rows: Vec<UsageRow>,
    total: Used,
    budgets: Vec<BudgetLine>,
    /// Models of the rows with requests that have no price.
    unpriced_models: Vec<String>,
}

#[derive(Debug, Serialize)]
struct UsageRow {
    day: String,
    group: GroupId,
    provider: ProviderKind,
    /// Empty when no answer named it.
    model: String,
    used: Used,
}

#[derive(Debug, Serialize)]
struct Used {
    requests: u64,
    input_tokens: u64,
    cache_write_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    /// Billionths of a US dollar, of the requests that have a price; null if none of them has one.
    cost_nano_usd: Option<u64>,
    /// Requests that used tokens of a model without a price.
    unpriced_requests: u64,
}

impl From<&Amount> for Used {
    fn from(Amount { requests, tokens, nano_usd, unpriced }: &Amount) -> Self {
        Self {
            requests: *requests,
            input_tokens: tokens.input,
            cache_write_tokens: tokens.cache_write,
            cached_input_tokens: tokens.cached_input,
            output_tokens: tokens.output,
            cost_nano_usd: (*nano_usd > 0 || *unpriced == 0).then_some(*nano_usd),
            unpriced_requests: *unpriced,
        }
    }
}

#[derive(Debug, Serialize)]
struct BudgetLine {
    group: GroupId,
    /// `dailyTokens`, `dailyUsd` or `monthlyUsd`.
    limit: &'static str,
    /// Tokens, or billionths of a US dollar.
    used: u64,
    of: u64,
    left: u64,
    /// Requests that are not in `used` because their model has no price.
    unpriced_requests: u64,
    #[serde(skip)]
    kind: Limit,
}

fn report(rows: &[Row], groups: &Groups, today: Date, from: Date, only: Option<&GroupId>) -> Report {
    let wanted = |group: &GroupId| only.is_none_or(|only| only == group);
    let mut all = Amount::default();
    let mut unpriced = BTreeSet::new();
    // By group and then by day, as one reads it.
    let mut shown = BTreeMap::new();
    for Row { account, amount } in rows {
        if account.day >= from && wanted(&account.group) {
            all.add(amount);
            if amount.unpriced > 0 {
                unpriced.insert(account.model.clone());
            }
            let Account { day, group, provider, model } = account.clone();
            let order = (group.clone(), day, provider.as_str(), model.clone());
            shown.insert(order, UsageRow { day: day.to_string(), group, provider, model, used: amount.into() });
        }
    }
    let spent = spent(rows, today);
    let budgets = groups.iter().filter(|group| wanted(&group.id)).flat_map(|group| {
        let standings = group.budget.standings(&spent.get(&group.id).cloned().unwrap_or_default());
        standings.into_iter().map(|Standing { limit, used, of, unpriced }| BudgetLine {
            group: group.id.clone(),
            limit: limit.name(),
            used,
            of,
            left: of.saturating_sub(used),
            unpriced_requests: unpriced,
            kind: limit,
        })
    });
    Report {
        from: from.to_string(),
        today: today.to_string(),
        rows: shown.into_values().collect(),
        total: (&all).into(),
        budgets: budgets.collect(),
        unpriced_models: unpriced.into_iter().collect(),
    }
}

fn render(report: &Report) -> String {
    let mut text = if report.rows.is_empty() {
        format!("nothing was used from {} to {}: `--days N` looks further back\n", report.from, report.today)
    } else {
        let mut rows: Vec<Vec<String>> = report
            .rows
            .iter()
            .map(|row| {
                let model = if row.model.is_empty() { "-" } else { &row.model };
                line([row.group.to_string(), row.day.clone(), model.to_owned()], &row.used)
            })
            .collect();
        rows.push(line(["total".into(), String::new(), String::new()], &report.total));
        table(&["GROUP", "DAY", "MODEL", "REQUESTS", "IN", "CACHE WRITTEN", "CACHED", "OUT", "COST"], &rows)
    };
    if !report.budgets.is_empty() {
        let rows: Vec<Vec<String>> = report
            .budgets
            .iter()
            .map(|line| {
                let amount = |amount| line.kind.shown(amount);
                vec![line.group.to_string(), line.limit.into(), amount(line.used), amount(line.of), amount(line.left)]
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["GROUP", "BUDGET", "USED", "OF", "LEFT"], &rows));
    }
    if !report.unpriced_models.is_empty() {
        let models: Vec<String> = report
            .unpriced_models
            .iter()
            .map(|model| if model.is_empty() { "an unnamed model".into() } else { format!("`{model}`") })
            .collect();
        text.push_str(&format!(
            "\n? no price is known for {}: what they cost is not reckoned; write prices into data/prices.json\n",
            models.join(", ")
        ));
    }
    text
}

fn line(names: [String; 3], used: &Used) -> Vec<String> {
    let cost = match (used.cost_nano_usd, used.unpriced_requests) {
        (None, _) => "?".to_owned(),
        (Some(cost), 0) => usd(cost),
        (Some(cost), _) => format!("{} + ?", usd(cost)),
    };
    let counts =
        [used.requests, used.input_tokens, used.cache_write_tokens, used.cached_input_tokens, used.output_tokens];
    names.into_iter().chain(counts.map(|count| count.to_string())).chain([cost]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::load;
    use crate::usage::Tokens;

    fn row(day: &str, group: &str, model: &str, input: u64, nano_usd: u64, unpriced: u64) -> Row {
        let account = Account {
            day: day.parse().unwrap(),
            group: group.parse().unwrap(),
            provider: ProviderKind::Claude,
            model: model.into(),
        };
        let tokens = Tokens { input, cache_write: 20, cached_input: 3000, output: 45 };
        Row { account, amount: Amount { requests: 2, tokens, nano_usd, unpriced } }
    }

    fn example(only: Option<&str>) -> Report {
        let file = r#"{
            "console:a": {"name": "A", "folder": "a", "budget": {"dailyTokens": 4000, "monthlyUsd": 1.5}},
            "console:b": {"name": "B", "folder": "b"}
        }"#;
        let loaded = load(file.as_bytes(), &Groups::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let rows = [
            row("2026-02-01", "a", "m-1", 7, 500_000_000, 0),
            row("2026-02-03", "b", "m-2", 100, 0, 2),
            row("2026-02-04", "a", "m-1", 1000, 750_000_000, 0),
            row("2026-02-04", "a", "", 0, 0, 0),
        ];
        let (today, from) = ("2026-02-04".parse().unwrap(), "2026-02-03".parse().unwrap());
        let only = only.map(|group| group.parse().unwrap());
        report(&rows, &loaded.groups, today, from, only.as_ref())
    }

    #[test]
    fn it_reads_well() {
        insta::assert_snapshot!("usage", render(&example(None)));
        insta::assert_snapshot!("usage_json", serde_json::to_string_pretty(&example(Some("b"))).unwrap());
        let nothing = report(&[], &Groups::default(), Date::MIN, Date::MIN, None);
        assert_eq!(
            render(&nothing),
            "nothing was used from -009999-01-01 to -009999-01-01: `--days N` looks further back\n"
        );
    }
}
