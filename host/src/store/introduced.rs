//! The chats that a channel has introduced, read from the file directly: with a host beside, or without.

use std::path::Path;

use rusqlite::params;

use super::StoreError;
use super::beside::Beside;

/// How many chats are told.
const LIMIT: usize = 1000;

/// Those with several people first; of either kind the one with the latest message.
const CHATS: &str = "SELECT chat, name, is_group FROM chats WHERE channel = ?1
    ORDER BY is_group DESC, last_activity_at DESC, chat LIMIT ?2";

/// A chat as its channel introduced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduced {
    /// Its id.
    pub chat: String,
    /// Its name.
    pub name: String,
    /// Whether several people are in it.
    pub is_group: bool,
}

/// The chats of a channel, as far as they are known.
///
/// # Errors
/// [`StoreError::Newer`]; otherwise what SQLite says.
pub fn introduced(file: &Path, channel: &str) -> Result<Vec<Introduced>, StoreError> {
    let beside = Beside::open_to_read(file)?;
    beside.schema(file)?;
    let mut chats = beside.connection().prepare(CHATS)?;
    let chats = chats.query_map(params![channel, LIMIT], |row| {
        Ok(Introduced { chat: row.get(0)?, name: row.get(1)?, is_group: row.get(2)? })
    })?;
    Ok(chats.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::Store;

    #[tokio::test]
    async fn chats_are_told_by_channel_and_groups_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("longshore.db");
        let store = Store::open(&file).unwrap();
        let now = Clock::system().now();
        for (chat, channel, name, is_group) in
            [("1@s", "a", Some("Ann"), false), ("2@g", "a", Some("Family"), true), ("3@g", "b", None, true)]
        {
            store.touch_chat(chat.into(), channel.into(), name.map(str::to_owned), is_group, now).await.unwrap();
        }
        let names = |channel| -> Vec<(String, bool)> {
            introduced(&file, channel).unwrap().into_iter().map(|chat| (chat.name, chat.is_group)).collect()
        };
        assert_eq!(names("a"), [("Family".to_owned(), true), ("Ann".to_owned(), false)]);
        assert_eq!(names("b"), [("3@g".to_owned(), true)], "without a name it is its id");
        assert_eq!(names("c"), []);
    }
}
