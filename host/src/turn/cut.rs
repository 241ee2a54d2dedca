//! Keeping a text within a number of bytes, visibly.

use std::borrow::Cow;

/// The longest end of `text` that may be dropped so as to stop at the end of a line: one in so many bytes.
const LINE_SHARE: usize = 4;

/// The longest beginning of `text` of at most `limit` bytes that ends at a character's end.
pub(super) fn floor(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The text, or its beginning and a line that says how much is missing.
///
/// Stops at the end of a line where one is near. The result may be longer than `limit` by the line.
pub(super) fn visibly(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let mut kept = floor(text, limit);
    if let Some(end) = kept.rfind('\n')
        && end >= limit - limit / LINE_SHARE
    {
        kept = &kept[..end];
    }
    Cow::Owned(format!("{kept}\n{}", marker(text.len() - kept.len())))
}

/// Says that so many bytes are missing.
pub(super) fn marker(bytes: usize) -> String {
    format!("[… {bytes} more bytes left out]")
}

/// One line for a name that other people chose: no control characters, at most `limit` bytes.
pub(super) fn one_line(name: &str, limit: usize) -> String {
    let name: String =
        name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    floor(name.trim(), limit).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_within_the_limit_is_left_alone() {
        assert_eq!(visibly("äöü", 6), "äöü");
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(visibly("äöü", 5), "äö\n[… 2 more bytes left out]");
        assert_eq!(visibly("one two three\nfour\nfive", 20), "one two three\nfour\n[… 5 more bytes left out]");
    }

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(one_line(" a\nb\u{7}\tc\u{2028}d ", 100), "a b c d");
        assert_eq!(one_line("éé", 3), "é");
    }

    proptest! {
        #[test]
        fn a_cut_is_a_beginning_and_stays_near_the_limit(text in "(?s).{0,200}", limit in 0usize..300) {
            let cut = visibly(&text, limit);
            prop_assert!(cut.len() <= limit + marker(text.len()).len() + 1);
            let kept = cut.rsplit_once('\n').map_or("", |(kept, _)| kept);
            prop_assert!(cut == text || text.starts_with(kept));
        }
    }
}
