//! Does a text start with a trigger, as people see it?
//!
//! Both are compared in compatibility decomposition (so `Zoë` is one name however it was typed, and
//! `＠Ａｎｄｙ` from an East Asian keyboard is `@Andy`), letter by letter in lower case, without the marks
//! that platforms put around names to keep writing directions apart.
//!
//! Where a trigger that ends in a letter ends, a word must end: `@andys` is somebody else. Writing without
//! spaces between words (Chinese, Japanese, Thai …) shows no such end, and Korean joins particles to names,
//! so beside such a letter none is asked for: `@小明你好` and `@Andyさん` match. That also lets `@小明明` match;
//! an answer too many is the smaller harm beside a group that is never answered.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Whether anybody could type the trigger: something of it is visible.
#[must_use]
pub fn is_usable_trigger(trigger: &str) -> bool {
    !is_blank(trigger)
}

/// Whether there is nothing to see.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_unseen(c) || is_joiner(c))
}

/// Whether the text, after leading white space, starts with the trigger and a word ends there.
#[must_use]
pub fn starts_with_trigger(text: &str, trigger: &str) -> bool {
    let mut text = folded(text).peekable();
    let mut last = None;
    for expected in folded(trigger.trim()) {
        if text.next() != Some(expected) {
            return false;
        }
        last = Some(expected);
    }
    let Some(last) = last else { return false };
    text.peek().is_none_or(|next| ends_between(last, *next))
}

/// Whether the text is these words in this order and nothing else but white space, commas and colons.
#[must_use]
pub fn says_only(text: &str, words: &[&str]) -> bool {
    let visible =
        |text: &str| -> Vec<char> { folded(text).filter(|c| !c.is_whitespace() && !matches!(c, ',' | ':')).collect() };
    visible(text) == words.iter().flat_map(|word| visible(word)).collect::<Vec<_>>()
}

fn ends_between(last: char, next: char) -> bool {
    // The next character changes the last one: `Zoe` is not the start of `Zoë`, nor `디` of `딩`.
    if is_combining_mark(next) || is_joiner(next) || is_conjoining_jamo(next) {
        return false;
    }
    !is_word(last) || !is_word(next) || is_unspaced(last) || is_unspaced(next)
}

/// What is compared: characters without leading white space, case, unseen marks and ways of typing them.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.trim_start_matches(|c: char| c.is_whitespace() || is_unseen(c) || is_joiner(c))
        .nfkd()
        .filter(|c| !is_unseen(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c == 'ς' { 'σ' } else { c })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_combining_mark(c)
}

/// Characters that nobody sees: zero-width spaces, direction marks, soft hyphens, variation selectors.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}')
}

/// Zero-width joiners and non-joiners: unseen, but they change the characters beside them.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// The vowels and final consonants into which a Korean syllable decomposes.
fn is_conjoining_jamo(c: char) -> bool {
    matches!(c, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}')
}

/// Letters of scripts in which a word may go on without a space after a name.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'          // Thai, Lao
        | '\u{f00}'..='\u{fff}'        // Tibetan
        | '\u{1000}'..='\u{109f}'      // Burmese
        | '\u{1100}'..='\u{11ff}'      // Korean, decomposed
        | '\u{1780}'..='\u{17ff}'      // Khmer
        | '\u{3005}'..='\u{3007}'      // 々 〆 〇
        | '\u{3040}'..='\u{31ff}'      // kana, Bopomofo, Korean letters
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}'
        | '\u{20000}'..='\u{3ffff}')
}
