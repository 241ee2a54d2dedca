//! What is wrong with the file, and where.

use std::fmt;

/// At most this many problems are listed; one more says how many were left out.
const MAX_PROBLEMS: usize = 500;
/// At most this much of a text from the file is shown in a message, in characters.
const MAX_SHOWN: usize = 60;

/// One thing that is wrong with the groups file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the text; absent when the file could not be read at all.
    pub position: Option<Position>,
    /// Where in the document: an RFC 9535 path such as `$['1@g.us'].folder`.
    pub path: String,
    /// The chat whose entry it is in, if it is in one.
    pub chat: Option<String>,
    /// What is wrong: a lowercase fragment.
    pub text: String,
    /// What follows from it.
    pub effect: Effect,
}

/// A place in the text, counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Position {
    /// Of a byte of a text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        Locator::new(text).at(offset)
    }
}

/// What follows from a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The file as a whole is not used: every group stays as it was.
    NothingChanged,
    /// There is no usable file and never was one.
    NothingServed,
    /// The entry is not used: its group stays as it last was.
    KeepsLastGood,
    /// The entry is not used and was never good: its chat is not served.
    NotServed,
    /// Only the named thing is not used.
    Ignored,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingChanged => "every group stays as it was",
            Self::NothingServed => "no chat is served",
            Self::KeepsLastGood => "the group stays as it last was",
            Self::NotServed => "the chat is not served",
            Self::Ignored => "this alone is ignored",
        })
    }
}

impl Problem {
    /// A problem of the file as a whole, without a place in it.
    pub(crate) fn of_file(text: String, effect: Effect) -> Self {
        Self { position: None, path: "$".to_owned(), chat: None, text, effect }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "`{}`: {} ({})", self.path, self.text, self.effect)
    }
}

/// A text from the file, fit for a message: shortened, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The way from the root to a value, as a list on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("$"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Self::Key(parent, key) => {
                let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && key.len() <= MAX_SHOWN
                    && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if plain { write!(f, "{parent}.{key}") } else { write!(f, "{parent}['{}']", shown(key)) }
            }
        }
    }
}

/// A problem before its place and its effect are known.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Bytes from the start of the text.
    pub(crate) offset: usize,
    pub(crate) path: String,
    pub(crate) chat: Option<String>,
    pub(crate) text: String,
    /// `None`: it rejects the entry, and what follows is known when all entries are.
    pub(crate) effect: Option<Effect>,
}

/// Collects findings, as many as are worth listing, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    listed: Vec<Finding>,
    unlisted: usize,
    rejections: usize,
    /// The chat whose entry is looked at.
    pub(crate) chat: Option<String>,
}

impl Findings {
    /// Something that rejects the entry.
    pub(crate) fn reject(&mut self, offset: usize, path: &Path<'_>, text: impl Into<String>) {
        self.add(offset, path, text, None);
    }

    pub(crate) fn add(&mut self, offset: usize, path: &Path<'_>, text: impl Into<String>, effect: Option<Effect>) {
        self.rejections += usize::from(effect.is_none());
        if self.listed.len() >= MAX_PROBLEMS {
            self.unlisted += 1;
            return;
        }
        self.listed.push(Finding {
            offset,
            path: path.to_string(),
            chat: self.chat.clone(),
            text: text.into(),
            effect,
        });
    }

    /// Whether one is about this place.
    pub(crate) fn is_about(&self, path: &Path<'_>) -> bool {
        let path = path.to_string();
        self.listed.iter().rev().any(|finding| finding.path == path)
    }

    /// How many reject an entry, listed or not: an entry during whose check it grew is not used.
    pub(crate) fn rejections(&self) -> usize {
        self.rejections
    }

    /// The problems in the order of the text. `kept` tells whether a chat is still served by an earlier version.
    pub(crate) fn into_problems(mut self, text: &str, kept: impl Fn(&str) -> bool) -> Vec<Problem> {
        self.listed.sort_by_key(|finding| finding.offset);
        let mut locator = Locator::new(text);
        let mut problems: Vec<Problem> = self
            .listed
            .into_iter()
            .map(|Finding { offset, path, chat, text, effect }| {
                let effect = effect.unwrap_or_else(|| match &chat {
                    Some(chat) if kept(chat) => Effect::KeepsLastGood,
                    Some(_) => Effect::NotServed,
                    None => Effect::NothingChanged,
                });
                Problem { position: Some(locator.at(offset)), path, chat, text, effect }
            })
            .collect();
        if self.unlisted > 0 {
            let text = format!("{} more problems are not listed", self.unlisted);
            problems.push(Problem::of_file(text, Effect::Ignored));
        }
        problems
    }
}

/// Turns ascending offsets into positions in one pass.
struct Locator<'a> {
    text: &'a str,
    offset: usize,
    position: Position,
}

impl<'a> Locator<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, offset: 0, position: Position { line: 1, column: 1 } }
    }

    fn at(&mut self, offset: usize) -> Position {
        let end = self.text.floor_char_boundary(offset);
        for character in self.text.get(self.offset..end).unwrap_or_default().chars() {
            if character == '\n' {
                self.position = Position { line: self.position.line + 1, column: 1 };
            } else {
                self.position.column += 1;
            }
        }
        self.offset = end.max(self.offset);
        self.position
    }
}
