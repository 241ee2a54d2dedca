//! Words in texts: an index in memory, made for one search and gone with it.
//!
//! Nothing of what people said is kept a second time, nothing has to be forgotten when they delete it, and no turn
//! pays for searches.

use rusqlite::{Connection, params};

use super::StoreError;

/// The texts, by their numbers and in their order, in which every one of the words occurs: as it is, or as the
/// beginning of a word, in any case of letters and with any accents. `None` if there is no word in `words`.
///
/// # Errors
/// What SQLite says.
pub fn search<'a>(texts: impl IntoIterator<Item = &'a str>, words: &str) -> Result<Option<Vec<usize>>, StoreError> {
    let Some(query) = query(words) else { return Ok(None) };
    let connection = Connection::open_in_memory()?;
    // No rowid of a text is read back but its number, so the index alone is enough.
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY;
         CREATE VIRTUAL TABLE said USING fts5(text, content = '', tokenize = 'unicode61 remove_diacritics 2');
         BEGIN",
    )?;
    let mut insert = connection.prepare("INSERT INTO said (rowid, text) VALUES (?1, ?2)")?;
    for (number, text) in texts.into_iter().enumerate() {
        insert.execute(params![number, text])?;
    }
    let mut select = connection.prepare("SELECT rowid FROM said WHERE said MATCH ?1 ORDER BY rowid")?;
    let found = select.query_map([query], |row| row.get(0))?.collect::<rusqlite::Result<Vec<usize>>>()?;
    Ok(Some(found))
}

/// Each word in quotes, so that nothing in it is syntax, and as a beginning.
fn query(words: &str) -> Option<String> {
    let quoted: Vec<String> = words
        .split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .map(|word| format!("\"{}\" *", word.replace('"', "\"\"")))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(" AND "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXTS: [&str; 5] = [
        "The Boat leaves at 9 o'clock",
        "boats, boats; and \"more\" boats",
        "Tür auf: NEAR the AND gate",
        "col:umn ^start {a} x*",
        "",
    ];

    #[test]
    fn words_are_found_whatever_stands_around_them() {
        for (words, expected) in [
            ("boat", &[0, 1][..]),
            ("BOATS more", &[1]),
            ("o'clock", &[0]),
            ("tur", &[2]),
            ("AND gate", &[2]),
            ("NEAR(the", &[2]),
            ("col:umn", &[3]),
            ("^start {a}", &[3]),
            ("\"more\"", &[1]),
            ("boat train", &[]),
        ] {
            assert_eq!(search(TEXTS, words).unwrap().unwrap(), expected, "{words}");
        }
        for nothing in ["", "  ", "\"", "* ( ) -", "\0"] {
            assert_eq!(search(TEXTS, nothing).unwrap(), None, "{nothing:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_a_person_types_is_a_syntax_error(words in "\\PC{0,30}|[\"'*(){}:^+\\-ANDORTNEAR ]{0,20}") {
            prop_assert!(search(TEXTS, &words).is_ok());
        }
    }
}
