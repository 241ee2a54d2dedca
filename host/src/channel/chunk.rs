//! Cutting a long text into pieces that a channel takes. Pure.
//!
//! Pieces end where it hurts least: between paragraphs, else between lines, sentences, words, and only
//! then inside a word, but never inside what a person sees as one character. A fenced code block that
//! must be cut is closed at the end of one piece and opened again at the start of the next.
//! Only white space is lost, at the cuts.

mod fence;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use self::fence::Fence;

/// A paragraph's, line's or sentence's end is taken if it fills at least this share of a piece: one in so many.
const FILLED_SHARE: usize = 3;
/// A word's end is taken if it fills at least this share.
const WORD_SHARE: usize = 8;

/// Cuts `text` into pieces of at most `limit` bytes (a limit below 4 counts as 4, the longest character).
///
/// Every piece shows something; a text that shows nothing has no pieces.
#[must_use]
pub fn chunk(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(4);
    let mut pieces = Vec::new();
    let mut rest = without_blank_start(text).trim_end();
    let mut open: Option<Fence<'_>> = None;
    while !rest.is_empty() {
        let prefix = open.map_or(String::new(), |fence| fence.opening(limit));
        if prefix.len() + rest.len() <= limit {
            pieces.push(prefix + rest);
            break;
        }
        let cut = find_cut(rest, open, limit - prefix.len(), limit);
        let (piece, after) = rest.split_at(cut.at);
        let piece = piece.trim_end();
        if !piece.is_empty() {
            pieces.push(format!("{prefix}{piece}{}", cut.inside.map_or(String::new(), |fence| fence.closing(limit))));
        }
        (rest, open) = resume(after, cut.inside);
    }
    pieces
}

/// A place to cut, and the fenced block that it lies in.
struct Cut<'a> {
    at: usize,
    inside: Option<Fence<'a>>,
}

/// Finds the best place in the first `room` bytes, closing line of a cut block included. Always beyond 0.
fn find_cut<'a>(rest: &'a str, open: Option<Fence<'a>>, room: usize, limit: usize) -> Cut<'a> {
    let mut reserve = 0;
    loop {
        let cut = best_place(rest, open, room.saturating_sub(reserve));
        let needed = cut.inside.map_or(0, |fence| fence.closing(limit).len());
        // The reserve grows with every round, so this ends; the fence's own limits leave room to cut.
        if needed <= reserve {
            return cut;
        }
        reserve = needed;
    }
}

fn best_place<'a>(rest: &'a str, open: Option<Fence<'a>>, room: usize) -> Cut<'a> {
    let window = &rest[..rest.floor_char_boundary(room)];
    let filled = window.len() / FILLED_SHARE;
    let lines = line_ends(window, open);
    let last = |wanted: &dyn Fn(&LineEnd<'_>) -> bool| lines.iter().rev().find(|end| wanted(end)).map(LineEnd::cut);

    let outside = |end: &LineEnd<'_>| end.inside.is_none() && end.at > filled;
    if let Some(cut) = last(&|end| outside(end) && end.blank).or_else(|| last(&outside)) {
        return cut;
    }
    // Where the window ends: inside a block, lines matter; outside, sentences do.
    let tail = lines.last().map_or((0, open), |end| (end.at, end.inside));
    if tail.1.is_some() {
        if let Some(cut) = last(&|end| end.inside.is_some() && !end.opens) {
            return cut;
        }
    } else if let Some(at) = sentence_end(window, filled) {
        return Cut { at, inside: None };
    }
    let at = word_end(window).or_else(|| character_end(rest, window.len())).unwrap_or(window.len());
    // Nothing divides a line that opens or closes a block, unless it alone is too long.
    if at > tail.0 && tail.0 > 0 && fence::is_marker(rest[tail.0..].lines().next().unwrap_or_default(), tail.1) {
        return Cut { at: tail.0, inside: tail.1 };
    }
    let inside = lines.iter().rev().find(|end| end.at <= at).map_or(open, |end| end.inside);
    Cut { at: at.max(1), inside }
}

/// The end of a line of a window: just behind its newline.
struct LineEnd<'a> {
    at: usize,
    /// The block that goes on behind it.
    inside: Option<Fence<'a>>,
    /// Whether the line is blank, so that a paragraph ends here.
    blank: bool,
    /// Whether the line opens the block, so that a cut here would leave an empty one.
    opens: bool,
}

impl<'a> LineEnd<'a> {
    fn cut(&self) -> Cut<'a> {
        Cut { at: self.at, inside: self.inside }
    }
}

fn line_ends<'a>(window: &'a str, open: Option<Fence<'a>>) -> Vec<LineEnd<'a>> {
    let mut ends = Vec::new();
    let (mut at, mut inside) = (0, open);
    for line in window.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        at += line.len();
        let before = inside;
        inside = Fence::after(line, inside);
        ends.push(LineEnd { at, inside, blank: line.trim().is_empty(), opens: before.is_none() && inside.is_some() });
    }
    ends
}

/// The start of the sentence that the window cuts off, which is the end of the one before.
fn sentence_end(window: &str, at_least: usize) -> Option<usize> {
    window.split_sentence_bound_indices().last().map(|(at, _)| at).filter(|at| *at > at_least)
}

fn word_end(window: &str) -> Option<usize> {
    let at_least = window.len() / WORD_SHARE;
    window
        .char_indices()
        .rev()
        .find(|(_, c)| c.is_whitespace())
        .map(|(at, c)| at + c.len_utf8())
        .filter(|at| *at > at_least)
}

/// The last end of a character as people see it, at or before `limit`; `None` if the first one is longer.
fn character_end(rest: &str, limit: usize) -> Option<usize> {
    let mut cursor = GraphemeCursor::new(limit, rest.len(), true);
    if cursor.is_boundary(rest, 0) == Ok(true) {
        return Some(limit);
    }
    cursor.prev_boundary(rest, 0).ok().flatten().filter(|at| *at > 0)
}

/// What is left behind a cut, without white space that the cut made meaningless.
fn resume<'a>(after: &'a str, inside: Option<Fence<'a>>) -> (&'a str, Option<Fence<'a>>) {
    let Some(fence) = inside else { return (without_blank_start(after), None) };
    // Closed at the cut already: a closing line right behind it has nothing left to close.
    let line = after.split_inclusive('\n').next().unwrap_or_default();
    if fence.is_closed_by(line) { (without_blank_start(&after[line.len()..]), None) } else { (after, inside) }
}

/// Drops blank lines at the start and keeps the first other line's indentation.
fn without_blank_start(text: &str) -> &str {
    let shown = text.len() - text.trim_start().len();
    let line = text[..shown].rfind('\n').map_or(0, |newline| newline + 1);
    &text[line..]
}

#[cfg(test)]
mod tests;
