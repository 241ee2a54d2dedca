//! What was said in a group, read from the file directly: with a host beside, or without.

use std::path::Path;

use jiff::Timestamp;
use longshore_protocol::GroupId;
use rusqlite::{Connection, Row, params};

use super::beside::Beside;
use super::{StoreError, migrate, millis, timestamp};
use crate::transcript::{Entry, Kind, State, Window};

/// Messages of chats that the group has or had, but for those that a turn of another group answered.
const MESSAGES: &str = "SELECT m.received_at, m.turn, m.sender_name, m.sender, m.text, m.platform_id, m.reply_to,
        m.edited_at IS NOT NULL, m.deleted_at IS NOT NULL
    FROM messages m LEFT JOIN turns t ON t.id = m.turn
    WHERE m.chat IN (SELECT ?2 UNION SELECT chat FROM turns WHERE group_id = ?1)
        AND iif(t.id IS NULL, m.chat = ?2, t.group_id = ?1) AND m.received_at >= ?3
    ORDER BY m.seq DESC LIMIT ?4";
/// What was said in the group's chat, and what its turns said elsewhere.
const SAID: &str =
    "SELECT o.created_at, o.turn, o.kind, o.text, o.message_id, o.reply_to, o.state, ifnull(t.provider, '')
    FROM outbox o LEFT JOIN turns t ON t.id = o.turn
    WHERE (o.chat = ?2 OR t.group_id = ?1) AND o.created_at >= ?3 ORDER BY o.id DESC LIMIT ?4";
const PROMPTS: &str = "SELECT t.started_at, t.id, k.id, k.prompt FROM turns t JOIN tasks k ON k.id = t.task
    WHERE t.group_id = ?1 AND t.started_at >= ?2 ORDER BY t.started_at DESC LIMIT ?3";
/// A turn over messages begins when it is made, whatever its attempts; one of a task has waited before.
const WINDOWS: &str = "SELECT id, iif(task IS NULL, created_at, started_at) AS begun, ended_at FROM turns
    WHERE group_id = ?1 AND started_at IS NOT NULL AND (ended_at IS NULL OR ended_at >= ?2)
    ORDER BY begun DESC, id DESC LIMIT ?3";

/// What was said in a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// In the order of time, without what tools did.
    pub entries: Vec<Entry>,
    /// When its turns ran, in the order of their beginnings.
    pub windows: Vec<Window>,
    /// Whether older entries were left out.
    pub cut: bool,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transcribed {
    /// The file is of an older release and is brought up to date when a host starts.
    Older {
        /// Its schema version.
        found: i64,
    },
    /// What was said.
    Read(Said),
}

/// Reads what was said in a group since a time, the newest `limit` of each kind. `chat` is the one that it has now.
///
/// # Errors
/// [`StoreError::Newer`]; otherwise what SQLite says.
pub fn said(
    file: &Path,
    group: &GroupId,
    chat: Option<&str>,
    since: Option<Timestamp>,
    limit: usize,
) -> Result<Transcribed, StoreError> {
    let beside = Beside::open_to_read(file)?;
    let found = beside.schema(file)?;
    if found < migrate::NEWEST {
        return Ok(Transcribed::Older { found });
    }
    let connection = beside.connection();
    connection.execute_batch("BEGIN")?;
    let since = since.map_or(i64::MIN, millis);
    let mut messages = rows(connection, MESSAGES, params![group.as_str(), chat, since, limit], person)?;
    let mut texts = rows(connection, SAID, params![group.as_str(), chat, since, limit], text)?;
    let mut prompts = rows(connection, PROMPTS, params![group.as_str(), since, limit], prompt)?;
    let mut windows = rows(connection, WINDOWS, params![group.as_str(), since, limit], window)?;
    windows.reverse();
    let cut = [messages.len(), texts.len(), prompts.len()].into_iter().any(|number| number == limit);
    let mut entries = Vec::with_capacity(messages.len() + texts.len() + prompts.len());
    for kind in [&mut messages, &mut prompts, &mut texts] {
        entries.extend(kind.drain(..).rev());
    }
    entries.sort_by_key(|entry| entry.at);
    Ok(Transcribed::Read(Said { entries, windows, cut }))
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(sql)?.query_map(parameters, read)?.collect()
}

fn entry(at: i64, turn: Option<String>, kind: Kind, author: String, text: String) -> Entry {
    let at = timestamp(at);
    Entry { at, turn, kind, author, text, message: None, reply_to: None, state: None, tool: None, call: None }
}

fn person(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let (name, sender): (String, String) = (row.get(2)?, row.get(3)?);
    let author = if name.is_empty() { sender } else { name };
    let (edited, deleted): (bool, bool) = (row.get(7)?, row.get(8)?);
    let state = if deleted { Some(State::Deleted) } else { edited.then_some(State::Edited) };
    // Nothing of a deleted message's text is in its row, and nothing shall be told of it if something were.
    let text = if deleted { String::new() } else { row.get(4)? };
    let said = entry(row.get(0)?, row.get(1)?, Kind::Person, author, text);
    Ok(Entry { message: row.get(5)?, reply_to: row.get(6)?, state, ..said })
}

fn text(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let (kind, state, provider): (String, String, String) = (row.get(2)?, row.get(6)?, row.get(7)?);
    let (kind, author) = match kind.as_str() {
        "notice" => (Kind::Notice, "longshore".to_owned()),
        _ if provider.is_empty() => (Kind::Agent, "agent".to_owned()),
        _ => (Kind::Agent, provider),
    };
    let state = match state.as_str() {
        "pending" => Some(State::Pending),
        "dead" => Some(State::Dead),
        _ => None,
    };
    let said = entry(row.get(0)?, row.get(1)?, kind, author, row.get(3)?);
    Ok(Entry { message: row.get(4)?, reply_to: row.get(5)?, state, ..said })
}

fn prompt(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(entry(row.get(0)?, row.get(1)?, Kind::TaskPrompt, row.get(2)?, row.get(3)?))
}

fn window(row: &Row<'_>) -> rusqlite::Result<Window> {
    let until: Option<i64> = row.get(2)?;
    Ok(Window { turn: row.get(0)?, from: timestamp(row.get(1)?), until: until.map(timestamp) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::search::search;
    use crate::store::tests::{at, begin, begun, failure, message, open, record};
    use crate::store::turns::EndTurn;

    fn read(folder: &tempfile::TempDir, chat: Option<&str>) -> Said {
        let (file, group) = (folder.path().join("longshore.db"), "family".parse().unwrap());
        match said(&file, &group, chat, None, 100).unwrap() {
            Transcribed::Read(said) => said,
            older => panic!("{older:?}"),
        }
    }

    fn told(said: &Said) -> Vec<(Kind, String, String, bool)> {
        let told = |entry: &Entry| (entry.kind, entry.author.clone(), entry.text.clone(), entry.turn.is_some());
        said.entries.iter().map(told).collect()
    }

    #[tokio::test]
    async fn what_was_said_is_told_in_its_order_with_its_turn() {
        let (folder, store) = open();
        record(&store, "a", false).await;
        record(&store, "b", true).await;
        let turn = begun(&store, at(1)).await;
        store.say(turn.id.clone(), "test:1".into(), None, vec!["an answer".into()], at(2)).await.unwrap();
        let gave_up =
            EndTurn::GaveUp { failure: failure(), notice: vec!["I could not finish.".into()], pause_task: false };
        store.end_turn(turn.id.clone(), gave_up, at(3)).await.unwrap();
        record(&store, "c", false).await;
        let person = |text: &str, turn| (Kind::Person, "Ann".to_owned(), text.to_owned(), turn);
        let said = read(&folder, Some("test:1"));
        assert_eq!(
            told(&said),
            [
                person("text of a", true),
                person("text of b", true),
                person("text of c", false),
                (Kind::Agent, "claude".into(), "an answer".into(), true),
                (Kind::Notice, "longshore".into(), "I could not finish.".into(), true),
            ]
        );
        assert_eq!(said.entries[3].state, Some(State::Pending));
        assert_eq!(said.windows, [Window { turn: turn.id.to_string(), from: at(1), until: Some(at(3)) }]);
        // A group that is in no file any more has what its turns answered.
        assert_eq!(told(&read(&folder, None)).len(), 4);
    }

    #[tokio::test]
    async fn what_another_groups_turn_answered_in_the_chat_is_not_this_groups() {
        let (folder, store) = open();
        record(&store, "a", true).await;
        let other = begin();
        let other = crate::store::turns::BeginTurn { group: "other".parse().unwrap(), ..other };
        store.begin_turn(other, at(1)).await.unwrap();
        record(&store, "b", false).await;
        let said = read(&folder, Some("test:1"));
        assert_eq!(told(&said), [(Kind::Person, "Ann".into(), "text of b".into(), false)]);
    }

    #[tokio::test]
    async fn a_deleted_message_is_never_found() {
        let (folder, store) = open();
        let secret =
            crate::store::messages::NewMessage { text: "the password is swordfish".into(), ..message("a", true) };
        store.record(secret).await.unwrap().committed().await.unwrap();
        let find = |said: &Said| {
            let texts: Vec<&str> = said.entries.iter().map(|entry| entry.text.as_str()).collect();
            search(texts, "swordfish").unwrap().unwrap().len()
        };
        assert_eq!(find(&read(&folder, Some("test:1"))), 1);
        store.delete("test:1".into(), "ann".into(), "a".into(), at(2)).await.unwrap();
        let said = read(&folder, Some("test:1"));
        assert_eq!(find(&said), 0);
        assert_eq!((said.entries[0].state, said.entries[0].text.as_str()), (Some(State::Deleted), ""));
    }
}
