//! Fenced code blocks, as far as cutting needs to know them (CommonMark 0.31, "Fenced code blocks").
//!
//! Indentation is not limited as it is there: blocks inside lists are indented, and people want those whole too.

/// A block that was opened and isn't closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fence<'a> {
    /// The opening line, its indentation and info string included, without its newline.
    line: &'a str,
    /// The run of backticks or tildes in it.
    marker: &'a str,
}

impl<'a> Fence<'a> {
    /// The block that is open after `line`, if `before` was before it.
    pub(super) fn after(line: &'a str, before: Option<Self>) -> Option<Self> {
        match before {
            Some(fence) if fence.is_closed_by(line) => None,
            Some(fence) => Some(fence),
            None => Self::opened_by(line),
        }
    }

    fn opened_by(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let text = line.trim_start();
        let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let marker = &text[..text.len() - info.len()];
        // Three backticks around a word are a code span.
        let opens = marker.len() >= 3 && !(mark == '`' && info.contains('`'));
        opens.then_some(Self { line, marker })
    }

    /// Whether `line` closes this block.
    pub(super) fn is_closed_by(self, line: &str) -> bool {
        let text = line.trim();
        text.len() >= self.marker.len() && text.bytes().all(|byte| Some(&byte) == self.marker.as_bytes().first())
    }

    /// The line that opens the block again, with its newline, for pieces of at most `limit` bytes.
    ///
    /// A long info string is left away, and beside a tiny limit the line itself.
    pub(super) fn opening(self, limit: usize) -> String {
        if self.is_too_long(limit) {
            String::new()
        } else if self.line.len() > limit / 4 {
            format!("{}\n", self.marker)
        } else {
            format!("{}\n", self.line)
        }
    }

    /// The line that closes the block, with the newline before it.
    pub(super) fn closing(self, limit: usize) -> String {
        if self.is_too_long(limit) { String::new() } else { format!("\n{}", self.marker) }
    }

    fn is_too_long(self, limit: usize) -> bool {
        self.marker.len() + 1 > limit / 4
    }
}

/// Whether the line opens or closes a block.
pub(super) fn is_marker(line: &str, open: Option<Fence<'_>>) -> bool {
    open.map_or_else(|| Fence::opened_by(line).is_some(), |fence| fence.is_closed_by(line))
}
