//! `longshore trace`: what became of one message, turn or outbox row.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::logs::{one_line, zone};
use super::registered::registered;
use super::table::table;
use super::{Ending, note, say};
use crate::app;
use crate::clock::Clock;
use crate::control::client::Client;
use crate::operator::Operator;
use crate::record::FOLDER;
use crate::record::read::Reader;
use crate::senders;
use crate::store::FILE;
use crate::store::story::{Candidate, Stories, Story, Subject};
use crate::trace::timeline::{Step, timeline};
use crate::trace::verdict::{Verdict, verdict};
use crate::trace::{About, Seen, belongs, needles};

/// How many messages of one id that were not kept are looked at.
const MOST_UNKEPT: usize = 20;

/// Arguments of `longshore trace`.
#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// The platform's id of a message, the number of its row, a turn's id or how it begins, the number or the
    /// message id of an outbox row; `message:5`, `turn:…` and `outbox:5` say which.
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    about: &'a str,
    verdict: Verdict,
    steps: Vec<Step>,
    /// Lines of the record that could not be read.
    unreadable_lines: u64,
}

/// What an id may mean.
struct Found {
    /// How to ask for it alone.
    name: String,
    about: About,
    chat: String,
    at: jiff::Timestamp,
}

pub(super) async fn trace(args: TraceArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let file = root.join(FILE);
    if !file.exists() {
        bail!("there is no database yet; `longshore run` makes it");
    }
    let stories = Stories::open(&file).context("the database cannot be read")?;
    let Some(stories) = stories else {
        bail!("the database is of an older release; `longshore run` brings it up to date");
    };
    let mut found = find(&stories, root, &args.id)?;
    if found.len() > 1 {
        let zone = zone(root);
        note(&format!("longshore: `{}` means {} things; ask for one of them:", args.id, found.len()));
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|Found { name, chat, at, .. }| {
                vec![name.clone(), one_line(chat), time(*at, &zone, "%Y-%m-%d %H:%M:%S")]
            })
            .collect();
        note(table(&["ASK FOR", "CHAT", "AT"], &rows).trim_end());
        return Ok(Ending::Failed);
    }
    let Some(Found { name, about, chat, .. }) = found.pop() else {
        note(&format!(
            "longshore: nothing is known of `{}`: the channel never brought it, or it is forgotten; `longshore status` shows the channels and when one was down",
            args.id
        ));
        return Ok(Ending::Failed);
    };
    let now = Clock::system().now();
    let story = match &about {
        About::Row(subject) => stories.story(subject).context("the database cannot be read")?,
        About::Unkept { .. } => Story::default(),
    };
    let mut reader = Reader::new(&root.join(FOLDER));
    let lines = lines(&mut reader, &about, &story, now)?;
    let groups = registered(root)?.groups;
    let seen = Seen {
        now,
        story,
        lines,
        host_runs: Client::connect(root).await.is_ok(),
        group: groups.by_chat(&chat).map(|group| group.id.to_string()),
        senders_file: Operator::of_environment().settings.join(senders::FILE_NAME).display().to_string(),
        about,
    };
    let (verdict, steps) = (verdict(&seen), timeline(&seen));
    if args.json {
        let report = Report { about: &name, verdict, steps, unreadable_lines: reader.skipped };
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        say(&one_line(&verdict.text))?;
        say("")?;
        say(render(&steps, &zone(root)).trim_end())?;
        if !steps.iter().any(|step| step.from == crate::trace::timeline::Source::Log) {
            note("(the record in data/logs has no line of it: the steps are the database's alone)");
        }
    }
    Ok(Ending::Done)
}

/// Everything that the id may mean: rows, or else messages that are not kept.
fn find(stories: &Stories, root: &Path, id: &str) -> anyhow::Result<Vec<Found>> {
    let exact = match id.split_once(':') {
        Some(("message", number)) => number.parse().ok().map(Subject::Message),
        Some(("turn", turn)) => Some(Subject::Turn(turn.to_owned())),
        Some(("outbox", number)) => number.parse().ok().map(Subject::Outbox),
        _ => None,
    };
    let key = match &exact {
        Some(Subject::Message(number) | Subject::Outbox(number)) => number.to_string(),
        Some(Subject::Turn(turn)) => turn.clone(),
        None => id.to_owned(),
    };
    let rows = stories.candidates(&key).context("the database cannot be read")?;
    let mut found: Vec<Found> = rows
        .into_iter()
        .filter(|Candidate { subject, .. }| match &exact {
            None => true,
            // How it begins is enough.
            Some(Subject::Turn(_)) => matches!(subject, Subject::Turn(_)),
            Some(exact) => subject == exact,
        })
        .map(|Candidate { subject, chat, at }| {
            let name = match &subject {
                Subject::Message(seq) => format!("message:{seq}"),
                Subject::Turn(turn) => format!("turn:{turn}"),
                Subject::Outbox(row) => format!("outbox:{row}"),
            };
            Found { name, about: About::Row(subject), chat, at }
        })
        .collect();
    if found.is_empty() && exact.is_none() {
        let needle = serde_json::to_string(id)?;
        let finder = memchr::memmem::Finder::new(&needle);
        let mut reader = Reader::new(&root.join(FOLDER));
        reader.read(
            |bytes| finder.find(bytes).is_some(),
            |line, _| {
                if let Some(about @ About::Unkept { .. }) = About::unkept(&line)
                    && let About::Unkept { id: of, chat, .. } = &about
                    && of == id
                    // One that the platform brought again is the same; what came of it last counts.
                    && found.len() < MOST_UNKEPT
                {
                    found.retain(|earlier: &Found| earlier.chat != *chat);
                    found.push(Found { name: id.to_owned(), chat: chat.clone(), at: line.time, about });
                }
            },
        )?;
    }
    Ok(found)
}

fn lines(
    reader: &mut Reader,
    about: &About,
    story: &Story,
    now: jiff::Timestamp,
) -> anyhow::Result<Vec<crate::record::line::LogLine>> {
    let mut needles = needles(story);
    if let About::Unkept { id, .. } = about {
        needles.push(serde_json::to_string(id)?);
    }
    let finders: Vec<_> = needles.iter().map(|needle| memchr::memmem::Finder::new(needle.as_bytes())).collect();
    let mut lines = Vec::new();
    reader.read(
        |bytes| finders.iter().any(|finder| finder.find(bytes).is_some()),
        |line, _| {
            let belongs = match about {
                About::Row(_) => belongs(story, &line, now),
                About::Unkept { .. } => About::unkept(&line).as_ref() == Some(about),
            };
            if belongs {
                lines.push(line);
            }
        },
    )?;
    Ok(lines)
}

fn time(at: jiff::Timestamp, zone: &TimeZone, format: &str) -> String {
    at.to_zoned(zone.clone()).strftime(format).to_string()
}

/// The steps as a table.
fn render(steps: &[Step], zone: &TimeZone) -> String {
    let seconds = |millis: i64| format!("{}.{:03} s", millis / 1000, millis % 1000);
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            vec![
                time(step.at, zone, "%Y-%m-%d %H:%M:%S%.3f"),
                format!("+{}", seconds(step.offset_ms)),
                step.took_ms.map(seconds).unwrap_or_default(),
                step.step.clone(),
                one_line(&step.text),
            ]
        })
        .collect();
    table(&["TIME", "OFFSET", "TOOK", "STEP", "WHAT"], &rows)
}

#[cfg(test)]
mod tests;
