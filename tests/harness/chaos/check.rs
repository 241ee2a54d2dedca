//! Tasks, and what shells in the containers wrote down.

use std::fmt;
use std::path::Path;

use rusqlite::Connection;

use super::GROUPS;
use crate::ledger::store;
use crate::platform::Platform;

/// What there was.
#[derive(Debug)]
pub(super) struct Counts {
    messages: usize,
    sends: usize,
    starts: usize,
    turns: i64,
    retried: i64,
    incomplete: i64,
    given_up: i64,
    petitions: i64,
    runs: i64,
    dead: i64,
}

impl Counts {
    pub(super) fn read(root: &Path, platform: &Platform) -> anyhow::Result<Self> {
        let connection = store(root)?;
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
        Ok(Self {
            messages: platform.brought.len(),
            sends: platform.sends.len(),
            starts: platform.starts,
            turns: count("SELECT count(*) FROM turns")?,
            retried: count("SELECT count(*) FROM turns WHERE attempt > 1")?,
            incomplete: count("SELECT count(*) FROM turns WHERE state = 'gave_up' AND said = 1")?,
            given_up: count("SELECT count(*) FROM turns WHERE state = 'gave_up' AND said = 0")?,
            petitions: count("SELECT count(*) FROM petitions")?,
            runs: count("SELECT count(*) FROM runs WHERE outcome IN ('ok', 'failed')")?,
            dead: count("SELECT count(*) FROM outbox WHERE state = 'dead'")?,
        })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, sends, starts, turns, retried, incomplete, given_up, petitions, runs, dead } = self;
        write!(f, "adapter starts {starts}, messages {messages}, sends {sends}, dead letters {dead}; ")?;
        write!(
            f,
            "turns {turns}, tried again {retried}, interrupted after a word {incomplete}, given up or called off {given_up}; "
        )?;
        write!(f, "petitions {petitions}, runs of tasks {runs}")
    }
}

/// Each time of each task has one run and one turn, none is left out, and each says its text once.
pub(super) fn tasks(root: &Path, interval: i64) -> anyhow::Result<Vec<String>> {
    let connection = store(root)?;
    let mut complaints = Vec::new();
    let mut find = |what: &str, sql: &str| -> anyhow::Result<()> {
        let found = texts(&connection, sql)?;
        if !found.is_empty() {
            complaints.push(format!("{} {what}: {:?}", found.len(), &found[..found.len().min(5)]));
        }
        Ok(())
    };
    find(
        "times have two turns",
        "SELECT task || '@' || scheduled_for FROM turns WHERE task IS NOT NULL GROUP BY task, scheduled_for HAVING count(*) > 1",
    )?;
    find(
        "tasks for one time did not run once",
        "SELECT k.id || ' ' || ifnull(group_concat(r.outcome), 'never') FROM tasks k LEFT JOIN runs r ON r.task = k.id
         WHERE k.schedule_type = 'once' GROUP BY k.id HAVING count(r.task) <> 1 OR max(r.outcome) NOT IN ('ok', 'failed')",
    )?;
    find(
        "runs said their text another number of times than once",
        "SELECT k.prompt || ' in ' || r.turn FROM runs r JOIN tasks k ON k.id = r.task
         WHERE (SELECT count(*) FROM outbox o WHERE o.turn = r.turn AND o.kind = 'reply'
                AND k.prompt = '#rehearse say ' || o.text) <> (r.outcome = 'ok') AND r.outcome = 'ok'",
    )?;
    find(
        "texts of tasks were said twice",
        "SELECT text FROM outbox WHERE text LIKE 'tick %' OR text LIKE 'tock %' GROUP BY text HAVING count(*) > 1",
    )?;
    find(
        "runs were left out for no reason",
        "SELECT task || ' ' || scheduled_for || ' ' || outcome FROM runs
         WHERE outcome IN ('waiting', 'running') OR (outcome = 'skipped' AND error <> 'the last run was not over')",
    )?;
    find(
        "times of the interval are missing",
        &format!(
            "SELECT scheduled_for || ' after ' || before FROM
                (SELECT r.scheduled_for, lag(r.scheduled_for) OVER (ORDER BY r.scheduled_for) AS before
                 FROM runs r JOIN tasks k ON k.id = r.task WHERE k.schedule_type = 'interval')
             WHERE scheduled_for - before <> {interval}"
        ),
    )?;
    Ok(complaints)
}

/// Shells of one group's turns never ran side by side: what one began it ended before the next began, or
/// never.
pub(super) fn logs(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for group in 0..GROUPS {
        let text = std::fs::read_to_string(root.join(format!("groups/g{group}/log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            if let Some(tag) = pair[1].strip_prefix("end ")
                && pair[0].strip_prefix("begin ") != Some(tag)
            {
                complaints.push(format!("in g{group} two turns ran at once: `{}`, then `{}`", pair[0], pair[1]));
            }
        }
    }
    Ok(complaints)
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
