//! What turns said, against what the stand-in says in an undisturbed one: its own pure plan tells.

use std::collections::BTreeMap;
use std::path::Path;

use longshore_protocol::ProviderKind;
use longshore_rehearsal::script::{Conversation, Speaker, Step, plan};
use rusqlite::Connection;

use crate::ledger::store;

/// The longest script that is followed.
const MOST_CALLS: usize = 100;

/// A turn as the store has it.
struct Turn {
    id: String,
    group: String,
    provider: Option<ProviderKind>,
    settled: bool,
    /// What it was told: messages, or a task's prompt.
    told: Vec<String>,
    /// What it said, but for its petitions.
    said: Vec<String>,
    notices: usize,
}

/// What an undisturbed turn does.
struct Undisturbed {
    says: Vec<String>,
    shells: Vec<String>,
}

/// What is wrong with turns and petitions.
pub(super) fn complaints(root: &Path) -> anyhow::Result<Vec<String>> {
    let connection = store(root)?;
    let mut complaints = Vec::new();
    let notes = notes(&connection)?;
    complaints.extend(notes.iter().filter(|(_, rows)| **rows > 1).map(|(text, rows)| format!("`{text}` {rows} times")));
    for turn in turns(&connection)? {
        let Turn { id, said, notices, .. } = &turn;
        let Some(provider) = turn.provider else { continue };
        let expected = undisturbed(&turn.told, provider, &turn.group);
        let right = if turn.settled { *said == expected.says } else { expected.says.starts_with(said) };
        if !right {
            complaints.push(format!("turn {id} said {said:?} and not {:?}", expected.says));
        }
        if !turn.settled && *notices == 0 {
            complaints.push(format!("turn {id} was given up without a word"));
        }
        if turn.settled {
            complaints.extend(ungranted(&connection, &expected, &notes)?);
        }
    }
    Ok(complaints)
}

/// The petitions of a turn that went well and were not done.
fn ungranted(
    connection: &Connection,
    expected: &Undisturbed,
    notes: &BTreeMap<String, usize>,
) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for command in &expected.shells {
        let Some(tag) = crate::script::tags(command).first().map(|tag| (*tag).to_owned()) else { continue };
        if command.contains("/ipc/messages/") && !notes.contains_key(&format!("note {tag}")) {
            complaints.push(format!("`note {tag}` was never said"));
        }
        if command.contains("/ipc/tasks/") {
            // One that was run minutes after it was asked for is refused.
            let there: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?1)
                     OR EXISTS (SELECT 1 FROM petitions WHERE file LIKE ?2 AND answer LIKE '%\"ok\":false%')",
                [format!("t-{tag}"), format!("{tag}%")],
                |row| row.get(0),
            )?;
            if !there {
                complaints.push(format!("task t-{tag} was never made"));
            }
        }
    }
    Ok(complaints)
}

/// How often each petition's text was said.
fn notes(connection: &Connection) -> rusqlite::Result<BTreeMap<String, usize>> {
    connection
        .prepare("SELECT text, count(*) FROM outbox WHERE text LIKE 'note k%' GROUP BY text")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn turns(connection: &Connection) -> rusqlite::Result<Vec<Turn>> {
    let texts = |sql: &str, id: &str| -> rusqlite::Result<Vec<String>> {
        connection.prepare_cached(sql)?.query_map([id], |row| row.get(0))?.collect()
    };
    let mut query = connection.prepare(
        "SELECT t.id, t.group_id, t.provider, t.state, k.prompt FROM turns t LEFT JOIN tasks k ON k.id = t.task
         WHERE t.state IN ('settled', 'gave_up') AND ifnull(t.failure_code, '') <> 'TASK_CALLED_OFF'",
    )?;
    let mut rows = query.query([])?;
    let mut turns = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, provider, state): (String, Option<String>, String) = (row.get(0)?, row.get(2)?, row.get(3)?);
        let told = match row.get::<_, Option<String>>(4)? {
            Some(prompt) => vec![prompt],
            None => texts("SELECT text FROM messages WHERE turn = ?1 ORDER BY seq", &id)?,
        };
        let said = texts(
            "SELECT text FROM outbox WHERE turn = ?1 AND kind = 'reply' AND text NOT LIKE 'note k%' ORDER BY id",
            &id,
        )?;
        let notices = texts("SELECT text FROM outbox WHERE turn = ?1 AND kind = 'notice'", &id)?.len();
        let provider = provider.and_then(|name| name.parse().ok());
        turns.push(Turn { group: row.get(1)?, provider, settled: state == "settled", told, said, notices, id });
    }
    Ok(turns)
}

fn undisturbed(told: &[String], provider: ProviderKind, group: &str) -> Undisturbed {
    let messages: Vec<String> = told
        .iter()
        .map(|text| {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            format!("<message sender=\"Ann\" time=\"x\">{escaped}</message>")
        })
        .collect();
    let said = format!("<messages>\n{}\n</messages>", messages.join("\n"));
    let mut expected = Undisturbed { says: Vec::new(), shells: Vec::new() };
    for results in 0..MOST_CALLS {
        let conversation = Conversation { said: said.clone(), results, ..Conversation::default() };
        match plan(&conversation, Speaker { provider, group }).then.step {
            Step::Say(text) => {
                expected.says.push(text);
                break;
            }
            Step::Shell { command, .. } => expected.shells.push(command),
            _ => break,
        }
    }
    expected
}
