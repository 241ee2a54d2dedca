//! A copy of the source's database, as it is at one moment.

use std::time::Duration;

use tempfile::TempDir;

use super::source::SourceError;
use super::tree::{Folder, face};
use crate::store::nanoclaw::Foreign;

/// The database and what SQLite keeps beside it.
const DATABASE: [&str; 3] = ["messages.db", "messages.db-wal", "messages.db-journal"];
/// The largest of them that is copied.
const MAX_DATABASE: u64 = 8 * 1024 * 1024 * 1024;
/// How often the copy of a database that is written meanwhile is made anew.
const TRIES: usize = 20;
/// Longer than a tick of the clock that file times are taken from: a write after it shows.
const TICK: Duration = Duration::from_millis(20);

/// A copy of the database in a folder of its own, gone when dropped.
pub(super) struct Copy {
    pub(super) foreign: Foreign,
    _folder: TempDir,
}

/// Copies the database as it is at one moment: with what lies beside it, and again when something of it was
/// written meanwhile. SQLite itself is never let near the original, where even reading may leave files.
pub(super) fn copy(store: &Folder) -> Result<Option<Copy>, SourceError> {
    let path = store.path().join(DATABASE[0]);
    let fail = |error| SourceError::Unreadable { path: path.clone(), error };
    for _ in 0..TRIES {
        let faces = || DATABASE.map(|name| store.file(name)?.map(|file| face(&file)).transpose());
        let gather = |faces: [std::io::Result<_>; 3]| faces.into_iter().collect::<std::io::Result<Vec<_>>>();
        let before = gather(faces()).map_err(fail)?;
        let Some(Some((_, size, ..))) = before.first() else { return Ok(None) };
        if *size > MAX_DATABASE {
            return Err(fail(std::io::Error::other("is larger than 8 GiB")));
        }
        std::thread::sleep(TICK);
        let home = tempfile::tempdir().map_err(fail)?;
        let target = Folder::open(home.path()).map_err(fail)?;
        for name in DATABASE {
            if let Some(mut file) = store.file(name).map_err(fail)? {
                target.put(name, &mut file, 0o600).map_err(fail)?;
            }
        }
        if gather(faces()).map_err(fail)? != before {
            continue;
        }
        let foreign = Foreign::open(&home.path().join(DATABASE[0]))?;
        return match foreign.damage()? {
            Some(damage) => Err(SourceError::Damaged { path, damage }),
            None => Ok(Some(Copy { foreign, _folder: home })),
        };
    }
    Err(SourceError::Busy(path))
}
