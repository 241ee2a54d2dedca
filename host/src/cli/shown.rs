//! Text of people and agents on an operator's terminal: pure.

use std::borrow::Cow;

/// The text with every control character but line feed and tab made visible: a terminal obeys the others, and
/// agents may write whatever they like.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|character| if is_plain(character) { character } else { picture(character) }).collect())
}

fn is_plain(character: char) -> bool {
    matches!(character, '\n' | '\t') || !character.is_control()
}

/// What Unicode draws in the place of a control character (U+2400 and on).
fn picture(character: char) -> char {
    match u32::from(character) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_no_orders() {
        for (text, expected) in [
            ("plain\n\ttext, ünï 🦀", "plain\n\ttext, ünï 🦀"),
            ("\u{1b}]52;c;ZXZpbA==\u{7}", "␛]52;c;ZXZpbA==␇"),
            ("over\rwritten\u{8}", "over␍written␈"),
            ("\u{9b}2J\u{7f}\0", "\u{fffd}2J␡␀"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
