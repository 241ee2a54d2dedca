//! `longshore logs`: the record, for a person.

use std::collections::VecDeque;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use jiff::tz::TimeZone;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::shown::shown;
use super::{Ending, note};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::record::line::{Level, LogLine, text};
use crate::record::read::Reader;
use crate::record::select::{self, Select};
use crate::record::{FILE, FOLDER, file};

/// How many lines are shown when nothing says which.
const LAST: usize = 100;
/// How long a line may wait that the kernel did not tell of.
const SWEEP: Duration = Duration::from_secs(1);

/// Arguments of `longshore logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Lines of this group alone: its folder.
    group: Option<String>,
    /// Go on with what is logged from now on.
    #[arg(long, short)]
    follow: bool,
    /// Lines of this turn alone; the beginning of its id is enough.
    #[arg(long, value_name = "ID")]
    turn: Option<String>,
    /// Lines that matter at least so much; `info`, or `debug` with --turn.
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Not older than this: `10m`, `2h 30m`, `14:30`, `2026-01-31 14:30`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Print the lines as they are: JSON.
    #[arg(long)]
    json: bool,
    /// The last N of them; 100, or all with --since or --turn.
    #[arg(short = 'n', value_name = "N")]
    last: Option<usize>,
}

/// How a line is printed.
struct Printer {
    zone: TimeZone,
    colour: bool,
    json: bool,
}

pub(super) async fn logs(args: LogsArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let zone = zone(root);
    let since = args.since.as_deref().map(|text| select::since(text, Clock::system().now(), &zone));
    let select = Select {
        level: args.level.unwrap_or(if args.turn.is_some() { Level::Debug } else { Level::Info }),
        since: since.transpose().map_err(|error| anyhow!(error))?,
        group: args.group,
        turn: args.turn,
    };
    let all = select.since.is_some() || select.turn.is_some();
    let last = args.last.unwrap_or(if all { usize::MAX } else { LAST });
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let printer = Printer { zone, colour, json: args.json };
    let folder = root.join(FOLDER);
    if !args.follow && !file(&folder, 0).exists() {
        bail!("there is no `{FOLDER}/{FILE}`: no host has run here yet, or `LOG_FILE_LEVEL` is `off`");
    }
    let (changed, mut changes) = mpsc::channel(1);
    // Before the first look: nothing falls in between.
    let _watcher = if args.follow { watch(&folder, changed) } else { None };
    let mut reader = Reader::new(&folder);
    let mut kept = VecDeque::new();
    reader.read(
        |_| true,
        |line, bytes| {
            if select.takes(&line) {
                kept.push_back(printer.line(&line, bytes));
                if kept.len() > last {
                    kept.pop_front();
                }
            }
        },
    )?;
    let mut told = 0;
    let mut listened = print(&kept)?;
    tell_skipped(reader.skipped, &mut told);
    while args.follow && listened {
        tokio::select! {
            Some(()) = changes.recv() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
        let mut fresh = VecDeque::new();
        reader.read(
            |_| true,
            |line, bytes| {
                if select.takes(&line) {
                    fresh.push_back(printer.line(&line, bytes));
                }
            },
        )?;
        listened = print(&fresh)?;
        tell_skipped(reader.skipped, &mut told);
    }
    Ok(Ending::Done)
}

/// The zone in which the operator reads times.
pub(super) fn zone(root: &Path) -> TimeZone {
    Config::load(root).map_or_else(|_| TimeZone::system(), |config| config.time_zone)
}

/// Listens to the folder; without that lines are found by sweeping.
fn watch(folder: &Path, changed: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let told = move |_| {
        // One that waits is as good as two.
        let _ = changed.try_send(());
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watcher.ok()
}

/// Prints lines; whether anybody reads them.
fn print(lines: &VecDeque<String>) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            written => written.context("the lines cannot be printed")?,
        }
    }
    Ok(true)
}

fn tell_skipped(skipped: u64, told: &mut u64) {
    if skipped > *told {
        note(&format!("({} lines cannot be read and are left out)", skipped - *told));
        *told = skipped;
    }
}

impl Printer {
    fn line(&self, line: &LogLine, bytes: &[u8]) -> String {
        if self.json {
            return shown(&String::from_utf8_lossy(bytes)).into_owned();
        }
        let time = line.time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
        let level = line.level.to_string().to_uppercase();
        let group = line.text("group").map(|group| one_line(&group)).unwrap_or_else(|| "-".into());
        let mut rest = String::new();
        let spans = line.spans.iter().rev().flat_map(|span| &span.fields);
        let mut seen = vec!["group", "step"];
        for (name, value) in line.fields.iter().chain(spans) {
            if !seen.contains(&name.as_str()) {
                rest.push_str(&self.dim(&format!("  {}=", one_line(name))));
                rest.push_str(&quoted(&one_line(&text(value))));
                seen.push(name);
            }
        }
        format!(
            "{}  {}  {group:<12}  {}{rest}",
            self.dim(&time),
            self.level(line.level, &level),
            one_line(&line.message)
        )
    }

    fn dim(&self, text: &str) -> String {
        if self.colour { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn level(&self, level: Level, text: &str) -> String {
        let code = match level {
            Level::Error => "31",
            Level::Warn => "33",
            Level::Info => "32",
            Level::Debug | Level::Trace => "34",
        };
        if self.colour { format!("\u{1b}[{code}m{text:<5}\u{1b}[0m") } else { format!("{text:<5}") }
    }
}

/// The text in one line that gives a terminal no orders.
pub(super) fn one_line(text: &str) -> String {
    shown(text).replace('\n', "␊").replace('\t', " ")
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains(' ') { format!("`{text}`") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_well_and_gives_a_terminal_no_orders() {
        let bytes = r#"{"time":"2026-01-31T12:00:00.123456Z","level":"warn","message":"tried\nagain",
            "fields":{"code":"X","why":"it\u001b[2J was slow"},
            "spans":[{"name":"turn","fields":{"turn":"t1","group":"family","code":"Y"}}]}"#;
        let line: LogLine = serde_json::from_str(bytes).unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let printer = Printer { zone, colour: false, json: false };
        assert_eq!(
            printer.line(&line, bytes.as_bytes()),
            "2026-01-31 13:00:00.123  WARN   family        tried␊again  code=X  why=`it␛[2J was slow`  turn=t1"
        );
        let coloured = Printer { colour: true, ..printer }.line(&line, bytes.as_bytes());
        assert!(coloured.contains("\u{1b}[33mWARN \u{1b}[0m"), "{coloured}");
    }
}
