//! The conversation that a provider keeps for a group.

use jiff::Timestamp;
use longshore_protocol::{GroupId, ProviderKind, SessionId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, millis};

impl Store {
    /// Remembers the conversation to continue at the group's next turn with this provider.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remember_session(
        &self,
        group: GroupId,
        provider: ProviderKind,
        session: SessionId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO sessions VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (group_id, provider) DO UPDATE SET session = excluded.session, updated_at = excluded.updated_at",
                )?
                .execute(params![group.as_str(), provider.as_str(), session.as_str(), millis(now)])
                .map(drop)
        })
        .await
    }
}

/// The conversation to continue, if there is one. One that no longer parses counts as none.
pub(super) fn session(
    connection: &Connection,
    group: &GroupId,
    provider: ProviderKind,
) -> rusqlite::Result<Option<SessionId>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT session FROM sessions WHERE group_id = ?1 AND provider = ?2")?
        .query_row([group.as_str(), provider.as_str()], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Forgets the conversation.
pub(super) fn forget(connection: &Connection, group: &GroupId, provider: ProviderKind) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM sessions WHERE group_id = ?1 AND provider = ?2")?
        .execute([group.as_str(), provider.as_str()])
        .map(drop)
}
