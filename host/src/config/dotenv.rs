//! The text of `.env`, read by `dotenvy` and never put into the process environment.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::rc::Rc;

use super::{ConfigProblem, FILE};

/// All assignments of `text`; whatever is wrong with it goes to `problems`.
pub(super) fn read(text: &str, problems: &mut Vec<ConfigProblem>) -> BTreeMap<String, String> {
    // `dotenvy` takes blanks at the very end of the file for an unfinished line.
    let text = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
    let line = Rc::new(Cell::new(0));
    let mut vars = BTreeMap::new();
    for item in dotenvy::from_read_iter(Lines { rest: text.as_bytes(), finished: Rc::clone(&line) }) {
        match item {
            Ok((key, value)) => {
                if vars.contains_key(&key) {
                    let wrong = format!("is set again in line {} of `{FILE}`", line.get());
                    problems.push(ConfigProblem::new(&key, wrong, "keep one of them"));
                }
                vars.insert(key, value);
            }
            // The line itself may hold a credential, so only its number is told.
            Err(dotenvy::Error::LineParse(unread, _)) => {
                let further = unread.strip_suffix('\n').unwrap_or(&unread).matches('\n').count();
                let number = line.get().saturating_sub(further);
                let wrong = if further == 0 {
                    format!("line {number} is not `KEY=value`")
                } else {
                    format!("line {number} opens a quote that is never closed")
                };
                let write = "write `KEY=value`, with the value in single quotes if it has blanks, quotes, `$` or `#`";
                problems.push(ConfigProblem::new(FILE, wrong, write));
            }
            Err(error) => {
                let wrong = format!("line {} cannot be read: {error}", line.get());
                problems.push(ConfigProblem::new(FILE, wrong, "save it as plain text"));
            }
        }
    }
    vars
}

/// Gives out one line for each read, so that the number of lines taken is known outside.
struct Lines<'a> {
    rest: &'a [u8],
    finished: Rc<Cell<usize>>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let newline = self.rest.iter().position(|byte| *byte == b'\n');
        let length = newline.map_or(self.rest.len(), |at| at + 1).min(buffer.len());
        let (line, rest) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(line);
        self.rest = rest;
        if line.ends_with(b"\n") {
            self.finished.set(self.finished.get() + 1);
        }
        Ok(length)
    }
}
