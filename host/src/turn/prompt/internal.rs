//! What the agent says to itself: `<internal>…</internal>`.

/// The name of the tag.
const NAME: &str = "internal";

/// The text without its `<internal>…</internal>` parts, or `None` if nothing remains to be said.
///
/// In any case of letters, nested, several; a part that is never closed goes on to the end, so that a
/// forgotten closing tag hides too much rather than too little. A stray closing tag is dropped.
#[must_use]
pub fn strip_internal(text: &str) -> Option<String> {
    let mut said = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tagged) = rest.split_at(at);
        let (tag, length) = tag(tagged);
        if depth == 0 {
            said.push_str(before);
            if tag == Tag::Other {
                said.push_str(&tagged[..length]);
            }
        }
        match tag {
            Tag::Opening => depth += 1,
            Tag::Closing => depth = depth.saturating_sub(1),
            Tag::Empty | Tag::Other => {}
        }
        rest = &tagged[length..];
    }
    if depth == 0 {
        said.push_str(rest);
    }
    let said = said.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Opening,
    Closing,
    Empty,
    Other,
}

/// What begins at this `<`, and how many bytes it takes. A tag that isn't finished takes all.
fn tag(text: &str) -> (Tag, usize) {
    let other = (Tag::Other, 1);
    let inner = &text[1..];
    let (closing, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
    let Some((name, after)) = inner.split_at_checked(NAME.len()) else { return other };
    if !name.eq_ignore_ascii_case(NAME) || !after.starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace()) {
        return other;
    }
    let Some(end) = after.find('>') else {
        return (if closing { Tag::Closing } else { Tag::Opening }, text.len());
    };
    let length = text.len() - after.len() + end + 1;
    match (closing, after[..end].ends_with('/')) {
        (true, _) => (Tag::Closing, length),
        (false, true) => (Tag::Empty, length),
        (false, false) => (Tag::Opening, length),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn private_parts_are_not_said() {
        for (text, said) in [
            ("hello", Some("hello")),
            ("  hello \n", Some("hello")),
            ("", None),
            (" \n ", None),
            ("<internal>note</internal>", None),
            ("a <internal>note</internal>b", Some("a b")),
            ("<internal>one</internal>a<internal>two\nlines</internal>b", Some("ab")),
            ("a<INTERNAL>note</Internal>b", Some("ab")),
            ("a<internal>x<internal>y</internal>z</internal>b", Some("ab")),
            ("a<internal>never closed", Some("a")),
            ("a<internal>x<internal>y</internal>never closed", Some("a")),
            ("a</internal>b", Some("ab")),
            ("a<internal reason=\"b\">c</internal >d", Some("ad")),
            ("a<internal/>b", Some("ab")),
            ("a<internal never finished", Some("a")),
            ("a <internals>b</internals>", Some("a <internals>b</internals>")),
            ("1 < 2, <b>x</b>, <i", Some("1 < 2, <b>x</b>, <i")),
            ("<intérnal>é", Some("<intérnal>é")),
        ] {
            assert_eq!(strip_internal(text).as_deref(), said, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_the_tag_is_said_as_it_is(text in "[^<]{0,40}(<[a-h][^<]{0,20}){0,3}") {
            prop_assert_eq!(strip_internal(&text).unwrap_or_default(), text.trim());
        }

        #[test]
        fn nothing_private_gets_out(
            parts in proptest::collection::vec(("[a-z <>/]{0,10}", "[A-Z]{1,10}"), 1..6),
        ) {
            let text: String = parts.iter().map(|(said, kept)| format!("{said}<internal>{kept}</internal>")).collect();
            prop_assert!(!strip_internal(&text).unwrap_or_default().contains(|c: char| c.is_ascii_uppercase()));
        }
    }
}
