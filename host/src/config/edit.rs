//! Changes of `.env` that leave everything else in it as it is: comments, order, other settings. Pure.

use std::collections::BTreeMap;

use thiserror::Error;

use super::dotenv;

/// A setting, and its new value; `None` takes it away.
pub type Change<'a> = (&'a str, Option<&'a str>);

/// Why nothing was changed. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The file is not one that can be edited.
    #[error("`.env` has to be repaired by hand first: {0}")]
    Unreadable(String),
    /// No line can hold it.
    #[error("the value for `{0}` cannot be written into `.env`")]
    Value(String),
}

/// The text with the changes made, each in its setting's own place: its line, or below the comment that shows it,
/// or at the end.
///
/// # Errors
/// See [`EditError`].
pub fn edited(text: &str, changes: &[Change<'_>]) -> Result<String, EditError> {
    let before = read(text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (key, value) in changes {
        change(&mut lines, key, *value)?;
    }
    let mut after = lines.join("\n");
    if !after.is_empty() {
        after.push('\n');
    }
    // A value that reads back as another one, or a line that was part of something else.
    let mut expected = before;
    for (key, value) in changes {
        match value {
            Some(value) => _ = expected.insert((*key).to_owned(), (*value).to_owned()),
            None => _ = expected.remove(*key),
        }
    }
    let key = changes.first().map_or_else(String::new, |(key, _)| (*key).to_owned());
    if read(&after)? == expected { Ok(after) } else { Err(EditError::Value(key)) }
}

fn read(text: &str) -> Result<BTreeMap<String, String>, EditError> {
    let mut problems = Vec::new();
    let vars = dotenv::read(text, &mut problems);
    match problems.first() {
        Some(problem) => Err(EditError::Unreadable(problem.to_string())),
        None => Ok(vars),
    }
}

fn change(lines: &mut Vec<String>, key: &str, value: Option<&str>) -> Result<(), EditError> {
    let place = lines.iter().position(|line| assigned(line) == Some(key));
    let line = match value {
        Some(value) => format!("{key}={}", quoted(value).ok_or_else(|| EditError::Value(key.to_owned()))?),
        None => {
            if let Some(place) = place {
                let end = end_of(lines, place);
                lines.drain(place..end);
            }
            return Ok(());
        }
    };
    if let Some(place) = place {
        let end = end_of(lines, place);
        lines.splice(place..end, [line]);
        return Ok(());
    }
    let shown = |line: &str| line.trim_start().strip_prefix('#').and_then(assigned) == Some(key);
    match lines.iter().position(|line| shown(line)) {
        Some(comment) => lines.insert(comment + 1, line),
        None => lines.push(line),
    }
    Ok(())
}

/// The setting that a line assigns, or begins to.
fn assigned(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start_matches('\u{feff}').split_once('=')?;
    let key = key.trim();
    let key = key.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace)).map_or(key, str::trim);
    let plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}

/// Behind the last line of the assignment that begins at `place`: a quoted value may have several.
fn end_of(lines: &[String], place: usize) -> usize {
    let whole = |end: &usize| {
        let mut problems = Vec::new();
        dotenv::read(&lines[place..*end].join("\n"), &mut problems);
        problems.is_empty()
    };
    (place + 1..=lines.len()).find(whole).unwrap_or(place + 1)
}

/// The value as the file has it. In single quotes nothing means anything else than itself.
fn quoted(value: &str) -> Option<String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_./:@,+-=%".contains(character);
    if !value.is_empty() && value.chars().all(plain) {
        return Some(value.to_owned());
    }
    if value.contains(['\n', '\r', '\0']) {
        return None;
    }
    if !value.contains('\'') && !value.contains('\\') {
        return Some(format!("'{value}'"));
    }
    let mut text = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(character);
    }
    Some(text + "\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "# What it is called.\n# ASSISTANT_NAME=Andy\n\n# keys\nANTHROPIC_API_KEY=old  # mine\nexport TZ = 'Europe/Berlin'\nTWO=\"first\nsecond\"\nLAST=1\n";

    #[test]
    fn a_setting_is_changed_where_it_stands_and_all_else_stays() {
        let changes = [
            ("ANTHROPIC_API_KEY", Some("sk-new")),
            ("ASSISTANT_NAME", Some("Bo the 2nd")),
            ("TZ", Some("UTC")),
            ("TWO", Some("one")),
            ("LAST", None),
            ("NEW", Some("it's $5")),
        ];
        insta::assert_snapshot!(edited(FILE, &changes).unwrap(), @r#"
        # What it is called.
        # ASSISTANT_NAME=Andy
        ASSISTANT_NAME='Bo the 2nd'

        # keys
        ANTHROPIC_API_KEY=sk-new
        TZ=UTC
        TWO=one
        NEW="it's \$5"
        "#);
        assert_eq!(edited(FILE, &[]).unwrap(), FILE);
        assert_eq!(edited("", &[("A", Some("b"))]).unwrap(), "A=b\n");
    }

    #[test]
    fn what_cannot_be_read_or_written_is_left_alone() {
        assert!(matches!(edited("A='open\n", &[("B", Some("1"))]), Err(EditError::Unreadable(_))));
        assert_eq!(edited("A=1\n", &[("B", Some("two\nlines"))]), Err(EditError::Value("B".into())));
    }

    proptest! {
        #[test]
        fn any_value_reads_back_as_it_was_given(value in "[^\\x00-\\x1f\\x7f]{0,40}") {
            if let Ok(text) = edited(FILE, &[("ASSISTANT_NAME", Some(&value))]) {
                let mut problems = Vec::new();
                let read = dotenv::read(&text, &mut problems);
                prop_assert!(problems.is_empty());
                prop_assert_eq!(read.get("ASSISTANT_NAME"), Some(&value));
                prop_assert_eq!(read.len(), 5);
                prop_assert!(text.contains("# keys\n") && text.contains("TWO=\"first\nsecond\"\n"));
            }
        }

        #[test]
        fn ordinary_values_can_be_written(value in "[ -~]{1,40}") {
            prop_assert!(edited(FILE, &[("ASSISTANT_NAME", Some(&value))]).is_ok(), "{}", value);
        }
    }
}
