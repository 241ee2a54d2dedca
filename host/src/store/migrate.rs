//! Schema versions, counted in SQLite's own `user_version`.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// One file a version, in order. A released file is never changed; a new one is added.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
];

/// The newest version.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// The database's version, if this release knows it.
pub(super) fn known_version(connection: &Connection, file: &Path) -> Result<i64, StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > NEWEST {
        return Err(StoreError::Newer { file: file.display().to_string(), found, known: NEWEST });
    }
    Ok(found)
}

/// Brings the database to the newest version, each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), StoreError> {
    let found = known_version(connection, file)?;
    for (version, sql) in (1..).zip(MIGRATIONS).skip_while(|(version, _)| *version <= found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_newer_release_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("longshore.db");
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let mut connection = Connection::open(&file).unwrap();
        let error = migrate(&mut connection, &file).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new("x")).unwrap();
        connection.execute("INSERT INTO cursors VALUES ('main', 7)", []).unwrap();
        migrate(&mut connection, Path::new("x")).unwrap();
        let cursor: i64 = connection.query_row("SELECT settled_seq FROM cursors", [], |row| row.get(0)).unwrap();
        assert_eq!(cursor, 7);
    }
}
