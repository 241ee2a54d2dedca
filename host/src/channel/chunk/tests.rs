use proptest::prelude::*;

use super::*;

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn fences(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("```")).count()
}

#[test]
fn a_short_text_is_one_piece_without_blank_ends() {
    assert_eq!(chunk("\n\n  - hi \n\n", 100), ["  - hi"]);
}

#[test]
fn a_text_that_shows_nothing_has_no_pieces() {
    for nothing in ["", " ", "\n\n\t\u{2003}\n"] {
        assert_eq!(chunk(nothing, 4), [""; 0]);
    }
}

#[test]
fn a_text_is_cut_between_paragraphs_before_lines_sentences_and_words() {
    assert_eq!(chunk("one two\nthree\n\nfour five\nsix seven", 24), ["one two\nthree", "four five\nsix seven"]);
    assert_eq!(chunk("one two\nthree. four five", 20), ["one two", "three. four five"]);
    assert_eq!(chunk("One two three. Four five six seven.", 24), ["One two three.", "Four five six seven."]);
    assert_eq!(chunk("one two three four", 10), ["one two", "three four"]);
}

#[test]
fn a_paragraph_that_would_leave_a_piece_nearly_empty_is_not_waited_for() {
    assert_eq!(chunk("a\n\nbb cc dd ee ff gg hh ii", 20), ["a\n\nbb cc dd ee ff", "gg hh ii"]);
}

#[test]
fn a_word_beyond_the_limit_is_cut_between_characters() {
    assert_eq!(chunk("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    assert_eq!(chunk("ééééé", 5), ["éé", "éé", "é"]);
}

#[test]
fn what_people_see_as_one_character_stays_whole() {
    let family = "👨‍👩‍👧‍👦";
    assert_eq!(chunk(&format!("xxxx{family}{family}"), 30), [format!("xxxx{family}"), family.to_owned()]);
    assert_eq!(chunk("🇩🇪🇫🇷🇮🇹", 20), ["🇩🇪🇫🇷", "🇮🇹"]);
}

#[test]
fn a_character_longer_than_a_piece_is_cut_all_the_same() {
    let pile = format!("e{}", "\u{301}".repeat(100));
    let pieces = chunk(&pile, 20);
    assert_eq!(pieces.concat(), pile);
    assert!(pieces.iter().all(|piece| piece.len() <= 20));
}

#[test]
fn a_cut_code_block_is_closed_and_opened_again() {
    let text = "```rust\nfn one() {}\n    let indented;\nfn two() {}\n```\nafter";
    assert_eq!(chunk(text, 45), ["```rust\nfn one() {}\n    let indented;\n```", "```rust\nfn two() {}\n```\nafter"]);
}

#[test]
fn a_cut_falls_before_a_code_block_rather_than_into_it() {
    let text = "Some words to begin with:\n```sh\ncargo build\ncargo test\n```";
    assert_eq!(chunk(text, 50), ["Some words to begin with:", "```sh\ncargo build\ncargo test\n```"]);
}

#[test]
fn no_empty_code_block_is_left_at_a_cut() {
    let text = "```\n0123456789\n01234567890\n```\nafter the block";
    for limit in 20..45 {
        for piece in chunk(text, limit) {
            assert!(!piece.contains("```\n```"), "{limit}: {piece:?}");
        }
    }
}

#[test]
fn a_code_span_of_three_backticks_is_no_block() {
    let pieces = chunk("```not``` a block\nsecond line here", 20);
    assert_eq!(pieces, ["```not``` a block", "second line here"]);
}

#[test]
fn a_block_that_is_never_closed_keeps_its_info_string() {
    assert_eq!(chunk("~~~python\naaaa\nbbbb\ncccc", 40), ["~~~python\naaaa\nbbbb\ncccc"]);
    let pieces = chunk("~~~python\naaaaaaaaaaa\nbbbbbbbbbbb\ncccccccccc\ndddddddddd", 42);
    assert_eq!(pieces, ["~~~python\naaaaaaaaaaa\nbbbbbbbbbbb\n~~~", "~~~python\ncccccccccc\ndddddddddd"]);
}

fn markdown() -> impl Strategy<Value = String> {
    let words = "[a-zäß.!?👍 ]{0,40}";
    let block = prop_oneof![
        3 => words.prop_map(|text| format!("{text}\n")),
        1 => Just("\n".to_owned()),
        2 => proptest::collection::vec(words, 1..8).prop_map(|lines| format!("```rust\n{}\n```\n", lines.join("\n"))),
    ];
    proptest::collection::vec(block, 0..20).prop_map(|blocks| blocks.concat())
}

proptest! {
    #[test]
    fn any_text_is_cut_into_pieces_that_fit_and_show_something(text in "(?s).{0,300}", limit in 0usize..80) {
        for piece in chunk(&text, limit) {
            prop_assert!(piece.len() <= limit.max(4), "{} bytes: {piece:?}", piece.len());
            prop_assert!(!piece.trim().is_empty());
        }
    }

    #[test]
    fn fence_like_texts_of_any_kind_are_cut_into_pieces_that_fit(text in "[`~a \n]{0,200}", limit in 0usize..60) {
        for piece in chunk(&text, limit) {
            prop_assert!(piece.len() <= limit.max(4), "{} bytes: {piece:?}", piece.len());
            prop_assert!(!piece.trim().is_empty());
        }
    }

    #[test]
    fn nothing_visible_is_lost_or_added_without_code_blocks(text in "(?s)[^`~]{0,300}", limit in 4usize..80) {
        prop_assert_eq!(shown(&chunk(&text, limit).concat()), shown(&text));
    }

    #[test]
    fn nothing_visible_is_lost_between_code_blocks(text in markdown(), limit in 40usize..200) {
        let without_fences = |text: &str| shown(&text.lines().filter(|line| !line.starts_with("```")).collect::<String>());
        prop_assert_eq!(without_fences(&chunk(&text, limit).join("\n")), without_fences(&text));
    }

    #[test]
    fn every_piece_closes_the_code_blocks_that_it_opens(text in markdown(), limit in 40usize..200) {
        for piece in chunk(&text, limit) {
            prop_assert_eq!(fences(&piece) % 2, 0, "{:?}", piece);
            prop_assert!(piece.len() <= limit);
        }
    }
}
