//! The price table's file: looked at when a request begins, and the last good version stays in use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::prices::{MAX_FILE_BYTES, Prices, built_in};
use crate::follow::read::{Reading, Stamp, read};
use crate::strict::Mistake;

/// The file, under an installation's root.
pub const FILE: &str = "data/prices.json";

/// What the file says now.
#[derive(Debug, Clone, Default)]
pub struct PriceTable {
    /// The prices in use: of the last version that was without a mistake.
    pub prices: Arc<Prices>,
    /// What is wrong with the file as it is.
    pub problems: Vec<Mistake>,
}

/// Follows the file.
#[derive(Debug)]
pub struct PriceFile {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    stamp: Option<Stamp>,
    table: PriceTable,
}

impl PriceFile {
    /// Of an installation: the prices that the host brings along, until it is looked at.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let table = PriceTable { prices: built_in().into(), problems: Vec::new() };
        Self { path: root.join(FILE), seen: Mutex::new(Seen { stamp: None, table }) }
    }

    /// What was seen last.
    #[must_use]
    pub fn table(&self) -> PriceTable {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).table.clone()
    }

    /// Reads the file if it has changed. Blocks for as long as the disk does.
    pub fn look(&self) {
        let stamp = fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.stamp == stamp {
            return;
        }
        // A file that is gone leaves those that the host brings along; one that cannot be used leaves those that are known.
        let read = read(&self.path, MAX_FILE_BYTES).map(|reading| match reading {
            Reading::Content { bytes, .. } => bytes,
            Reading::Missing => b"{\"models\":{}}".to_vec(),
        });
        let whole = |error: io::Error| vec![Mistake::of_file(error.to_string())];
        match read.map_err(whole).and_then(|bytes| Prices::parse(&bytes)) {
            Ok(prices) => seen.table = PriceTable { prices: prices.over(built_in()).into(), problems: Vec::new() },
            Err(problems) => {
                for problem in &problems {
                    tracing::warn!(file = FILE, %problem, "the prices cannot be used; those before stay in use");
                }
                seen.table.problems = problems;
            }
        }
        seen.stamp = stamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_in_use_at_the_next_look_and_a_mistake_leaves_what_was_good() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE);
        fs::create_dir(root.path().join("data")).unwrap();
        let file = PriceFile::new(root.path());
        let look = |text: Option<&str>| {
            match text {
                // As editors do it: a new file in the old one's place.
                Some(text) => {
                    fs::write(path.with_extension("new"), text).unwrap();
                    fs::rename(path.with_extension("new"), &path).unwrap();
                }
                None => drop(fs::remove_file(&path)),
            }
            file.look();
            let table = file.table();
            (table.prices.knows("a"), table.problems.len())
        };
        assert_eq!(look(None), (false, 0));
        assert_eq!(look(Some(r#"{"models": {"a": {"input": 1, "output": 1}}}"#)), (true, 0));
        assert_eq!(look(Some(r#"{"models": {"a": {"input": 1}}"#)), (true, 1));
        assert_eq!(look(Some(r#"{"models": {"b": {}}}"#)), (true, 2));
        assert_eq!(look(Some(r#"{"models": {}}"#)), (false, 0));
        assert_eq!(look(None), (false, 0));
    }

    #[test]
    fn what_is_no_file_is_a_problem_and_nobody_waits_for_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(FILE)).unwrap();
        let file = PriceFile::new(root.path());
        file.look();
        assert_eq!(file.table().problems.len(), 1);
    }
}
