//! `longshore transcript`: what was said and done in a group.
//!
//! The store and the providers' files are read directly, with or without a host.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use longshore_protocol::{GroupId, ProviderKind};

use super::registered::registered;
use super::{Ending, note, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::store;
use crate::store::search::search;
use crate::store::transcript::{Said, Transcribed, said};
use crate::transcript::files::{LeftOut, lines};
use crate::transcript::markdown::markdown;
use crate::transcript::text::text;
use crate::transcript::{Entry, Window, dated, merge, read_line};

/// How many entries of a kind are read at most.
const MOST: usize = 100_000;
/// How many are printed when nothing says which.
const LAST: usize = 200;

/// Arguments of `longshore transcript`.
#[derive(Debug, Args)]
pub(super) struct TranscriptArgs {
    /// The group's folder or name.
    group: String,
    /// Only from this time on: `2h`, `7d`, `2026-02-01` or `2026-02-01T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only this turn, by the beginning of its id.
    #[arg(long, value_name = "ID")]
    turn: Option<String>,
    /// Only the last N entries; 0 for all. Without this, --since, --turn and --search, the last 200.
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Only entries in which all of these words occur, or words that begin so.
    #[arg(long, value_name = "WORDS", conflicts_with = "raw")]
    search: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "raw")]
    format: Format,
    /// Print the lines of the provider's own files as they are.
    #[arg(long, conflicts_with = "last")]
    raw: bool,
    /// Write it to a new file, readable for its owner alone.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// A page.
    Markdown,
    /// One entry a line.
    Json,
}

pub(super) fn transcript(args: &TranscriptArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let zone = Config::load(root).map_or(TimeZone::UTC, |config| config.time_zone);
    let since = args.since.as_deref().map(|since| time(since, Clock::system().now(), &zone)).transpose()?;
    let (group, chat) = group(&args.group, root)?;
    let said = read_said(root, &group, chat.as_deref(), since)?;
    let window = args.turn.as_deref().map(|turn| window(turn, &said)).transpose()?;
    let from = window.as_ref().map(|window| window.from).or(since);
    if args.raw {
        return raw(args, root, &group, from, window.and_then(|window| window.until));
    }
    let entries = entries(args, root, &group, said, from)?;
    let printed = match args.format {
        Format::Text => text(&entries, &zone),
        Format::Markdown => markdown(group.as_str(), &entries, &zone),
        Format::Json => {
            let lines: Result<Vec<String>, _> = entries.iter().map(serde_json::to_string).collect();
            lines?.into_iter().map(|line| line + "\n").collect()
        }
    };
    match &args.output {
        Some(file) => {
            new_file(file)?.write_all(printed.as_bytes()).with_context(|| cannot_write(file))?;
            note(&format!("{} entries are in `{}`", entries.len(), file.display()));
        }
        None if entries.is_empty() => note("nothing was said that fits"),
        None => say(printed.trim_end())?,
    }
    Ok(if entries.is_empty() && args.search.is_some() { Ending::Failed } else { Ending::Done })
}

fn entries(
    args: &TranscriptArgs,
    root: &Path,
    group: &GroupId,
    said: Said,
    from: Option<Timestamp>,
) -> anyhow::Result<Vec<Entry>> {
    let last = match (args.last, from, &args.search) {
        (Some(last), ..) => Some(last).filter(|last| *last > 0),
        (None, None, None) => Some(LAST),
        (None, ..) => None,
    };
    let Said { entries: mut rows, windows, cut } = said;
    // What is older than the last rows is not among the last entries either.
    if let (Some(last), None) = (last, &args.search) {
        rows.drain(..rows.len().saturating_sub(last));
    }
    let from = if last.is_some() && args.search.is_none() { rows.first().map(|row| row.at).or(from) } else { from };
    if cut {
        note(&format!("only the newest {MOST} messages are looked at; see --since"));
    }
    let mut all = merge(rows, tools(root, group, from)?, &windows);
    if let Some(turn) = &args.turn {
        all.retain(|entry| entry.turn.as_ref().is_some_and(|id| id.starts_with(turn)));
    }
    if let Some(words) = &args.search {
        let texts: Vec<String> = all.iter().map(searched).collect();
        let Some(found) = search(texts.iter().map(String::as_str), words)? else {
            bail!("there is no word in `{words}`");
        };
        all = found.into_iter().filter_map(|number| all.get(number).cloned()).collect();
    }
    if let Some(last) = last {
        all.drain(..all.len().saturating_sub(last));
    }
    Ok(all)
}

/// What of an entry is searched.
fn searched(entry: &Entry) -> String {
    match &entry.tool {
        Some(tool) => format!("{tool} {}", entry.text),
        None => entry.text.clone(),
    }
}

fn read_said(root: &Path, group: &GroupId, chat: Option<&str>, since: Option<Timestamp>) -> anyhow::Result<Said> {
    let file = root.join(store::FILE);
    if !file.exists() {
        return Ok(Said::default());
    }
    match said(&file, group, chat, since, MOST)? {
        Transcribed::Read(said) => Ok(said),
        Transcribed::Older { found } => {
            bail!("the database is of an older release (schema {found}); a host that starts brings it up to date")
        }
    }
}

/// What tools did since a time, the newest.
fn tools(root: &Path, group: &GroupId, from: Option<Timestamp>) -> anyhow::Result<Vec<Entry>> {
    let mut tools = VecDeque::new();
    for provider in ProviderKind::ALL {
        let mut beyond = false;
        let left_out = lines(root, group, provider, from, &mut |line| {
            let entries = read_line(provider, line).into_iter();
            tools.extend(entries.filter(|entry| from.is_none_or(|from| entry.at >= from)));
            while tools.len() > MOST {
                tools.pop_front();
                beyond = true;
            }
        })?;
        tell(provider, &LeftOut { beyond_bounds: left_out.beyond_bounds || beyond, ..left_out });
    }
    Ok(tools.into())
}

fn raw(
    args: &TranscriptArgs,
    root: &Path,
    group: &GroupId,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> anyhow::Result<Ending> {
    let mut file = args.output.as_deref().map(new_file).transpose()?;
    let is_wanted = |line: &[u8]| {
        if from.is_none() && until.is_none() {
            return true;
        }
        let within = |at| from.is_none_or(|from| from <= at) && until.is_none_or(|until| at <= until);
        dated(line).is_some_and(|(at, _)| within(at))
    };
    let (mut count, mut outcome) = (0_u64, Ok(()));
    for provider in ProviderKind::ALL {
        let left_out = lines(root, group, provider, from, &mut |line| {
            if outcome.is_err() || !is_wanted(line) {
                return;
            }
            count += 1;
            outcome = match &mut file {
                // As it is: who reads a file knows what is in it.
                Some(file) => file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(Into::into),
                None => say(&String::from_utf8_lossy(line)),
            };
        })?;
        tell(provider, &left_out);
    }
    outcome?;
    if let Some(file) = &args.output {
        note(&format!("{count} lines are in `{}`", file.display()));
    }
    Ok(Ending::Done)
}

fn tell(provider: ProviderKind, left_out: &LeftOut) {
    if left_out.beyond_bounds {
        note(&format!("{provider} has written more than is read: the oldest is left out"));
    }
    if left_out.long_lines > 0 {
        note(&format!("{} lines of {provider}'s files are too long and left out", left_out.long_lines));
    }
    if left_out.unreadable > 0 {
        note(&format!("{} of {provider}'s files are links or cannot be read, and left out", left_out.unreadable));
    }
}

/// The group's folder, and its chat if it is in the groups file.
fn group(wanted: &str, root: &Path) -> anyhow::Result<(GroupId, Option<String>)> {
    let groups = registered(root)?.groups;
    let found = groups.iter().find(|group| group.id.as_str() == wanted || group.name == wanted);
    match found {
        Some(group) => Ok((group.id.clone(), Some(group.chat.clone()))),
        // One that is not served any more has its rows and files still.
        None if let Ok(group) = wanted.parse::<GroupId>()
            && root.join("groups").join(group.as_str()).is_dir() =>
        {
            Ok((group, None))
        }
        None => bail!("there is no group `{wanted}`; `longshore groups` lists them"),
    }
}

fn window(turn: &str, said: &Said) -> anyhow::Result<Window> {
    let mut found = said.windows.iter().filter(|window| !turn.is_empty() && window.turn.starts_with(turn));
    match (found.next(), found.next()) {
        (Some(window), None) => Ok(window.clone()),
        (Some(_), Some(_)) => bail!("more than one turn's id begins with `{turn}`"),
        (None, _) => bail!("the group has no turn `{turn}`, or it has not begun"),
    }
}

/// `2h`, `7d` ago; the beginning of a day; or a time.
fn time(text: &str, now: Timestamp, zone: &TimeZone) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<Date>() {
        return Ok(date.to_zoned(zone.clone())?.timestamp());
    }
    let ago = text.parse::<Span>().ok().filter(|span| !span.is_negative());
    let then = ago.and_then(|span| now.to_zoned(zone.clone()).checked_sub(span).ok());
    match then {
        Some(then) => Ok(then.timestamp()),
        None => bail!("`{text}` is no time; write for example `2h`, `7d`, `2026-02-01` or `2026-02-01T12:00:00Z`"),
    }
}

fn new_file(file: &Path) -> anyhow::Result<std::fs::File> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(file).with_context(|| cannot_write(file))
}

fn cannot_write(file: &Path) -> String {
    format!("`{}` cannot be written", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_several_ways() {
        let now: Timestamp = "2026-02-03T12:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2h", "2026-02-03T10:00:00Z"),
            ("7d", "2026-01-27T12:00:00Z"),
            ("1d 30m", "2026-02-02T11:30:00Z"),
            ("2026-02-01", "2026-01-31T23:00:00Z"),
            ("2026-02-01T12:00:00Z", "2026-02-01T12:00:00Z"),
        ] {
            assert_eq!(time(text, now, &zone).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "yesterday", "-2h", "99999999y"] {
            assert!(time(wrong, now, &zone).is_err(), "{wrong}");
        }
    }
}
