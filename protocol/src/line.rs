//! Bounded JSON lines: a reader that never grows past its limit, whatever the other side writes.

/// The longest line that either side accepts, in bytes without the newline.
pub const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// One line, or the fact that one was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The bytes between two newlines, without them and without a final carriage return.
    Complete(Vec<u8>),
    /// A line beyond the limit; its bytes were dropped as they came.
    TooLong {
        /// How long it was.
        bytes: usize,
    },
}

/// Cuts a byte stream into lines and holds at most the limit.
#[derive(Debug)]
pub struct LineBuffer {
    limit: usize,
    held: Vec<u8>,
    dropped: usize,
}

impl Default for LineBuffer {
    fn default() -> Self {
        Self::new(MAX_LINE_BYTES)
    }
}

impl LineBuffer {
    /// A buffer that accepts lines up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, held: Vec::new(), dropped: 0 }
    }

    /// Takes the next bytes of the stream and returns the lines that they complete.
    #[must_use]
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.hold(&bytes[..end]);
            lines.extend(self.take());
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes);
        lines
    }

    /// The unfinished last line, once the stream has ended.
    #[must_use]
    pub fn finish(&mut self) -> Option<Line> {
        if self.held.is_empty() && self.dropped == 0 { None } else { self.take() }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.dropped > 0 {
            self.dropped += bytes.len();
        } else if self.held.len() + bytes.len() > self.limit {
            self.dropped = self.held.len() + bytes.len();
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The held line; `None` for a blank one, which JSON lines allow between records.
    fn take(&mut self) -> Option<Line> {
        if self.dropped > 0 {
            return Some(Line::TooLong { bytes: std::mem::take(&mut self.dropped) });
        }
        let mut line = std::mem::take(&mut self.held);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        (!line.is_empty()).then_some(Line::Complete(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(text: &str) -> Line {
        Line::Complete(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let mut buffer = LineBuffer::new(100);
        assert_eq!(buffer.push(b"one\ntw"), [complete("one")]);
        assert_eq!(buffer.push(b"o\r\n\n\nthree"), [complete("two")]);
        assert_eq!(buffer.finish(), Some(complete("three")));
        assert_eq!(buffer.finish(), None);
    }

    #[test]
    fn a_line_beyond_the_limit_is_dropped_and_the_next_one_is_read() {
        let mut buffer = LineBuffer::new(4);
        assert_eq!(buffer.push(b"12345678\nok\n"), [Line::TooLong { bytes: 8 }, complete("ok")]);
    }

    #[test]
    fn an_endless_line_holds_nothing() {
        let mut buffer = LineBuffer::new(1024);
        for _ in 0..10_000 {
            assert!(buffer.push(&[b'x'; 1024]).is_empty());
            assert!(buffer.held.capacity() <= 2048);
        }
        assert_eq!(buffer.finish(), Some(Line::TooLong { bytes: 10_000 * 1024 }));
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b'\r'), any::<u8>()], 0..300),
            cut in 1usize..50,
        ) {
            let mut whole = LineBuffer::new(20);
            let mut expected = whole.push(&bytes);
            expected.extend(whole.finish());
            let mut pieces = LineBuffer::new(20);
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                got.extend(pieces.push(piece));
            }
            got.extend(pieces.finish());
            prop_assert_eq!(got, expected);
        }
    }
}
