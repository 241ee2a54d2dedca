//! What the agent is told of its own words that nobody received.

use std::fmt::Write as _;

use super::{NAME_BYTES, attribute, escaped};
use crate::store::undelivered::{Undelivered, UndeliveredText};

/// Writes the note within so many bytes; empty if there is nothing to tell. What has no room is counted.
pub(super) fn note(undelivered: &Undelivered, room: usize) -> String {
    let mut omitted = undelivered.omitted;
    let mut shown = undelivered.texts.as_slice();
    loop {
        let note = write(shown, omitted);
        match shown.split_first() {
            Some((_, newer)) if note.len() > room => {
                omitted += 1;
                shown = newer;
            }
            _ => return note,
        }
    }
}

fn write(texts: &[UndeliveredText], omitted: u64) -> String {
    if texts.is_empty() && omitted == 0 {
        return String::new();
    }
    let mut note =
        String::from("<undelivered note=\"you said this here before; it could not be delivered, nobody read it\">\n");
    // Writing to a `String` cannot fail.
    if omitted > 0 {
        let _ = writeln!(note, "<omitted count=\"{omitted}\" />");
    }
    for text in texts {
        let more = if text.characters > text.beginning.chars().count() as u64 { "…" } else { "" };
        let _ = writeln!(
            note,
            "<text given_up_at=\"{:.3}\" characters=\"{}\" reason=\"{}\">{}{more}</text>",
            text.given_up_at,
            text.characters,
            attribute(&text.reason, NAME_BYTES),
            escaped(&text.beginning),
        );
    }
    note.push_str("</undelivered>\n");
    note
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(beginning: &str, characters: u64, reason: &str) -> UndeliveredText {
        let given_up_at = "2026-02-15T10:00:00Z".parse().unwrap();
        UndeliveredText { given_up_at, beginning: beginning.into(), characters, reason: reason.into() }
    }

    #[test]
    fn nothing_undelivered_is_not_mentioned() {
        assert_eq!(note(&Undelivered::default(), 1_000), "");
    }

    #[test]
    fn what_nobody_received_is_told_with_its_reason() {
        let texts =
            vec![text("The report is", 3_012, "blocked by <them>"), text("Good & morning.", 15, "no such chat")];
        insta::assert_snapshot!(note(&Undelivered { texts, omitted: 4 }, 10_000), @r#"
        <undelivered note="you said this here before; it could not be delivered, nobody read it">
        <omitted count="4" />
        <text given_up_at="2026-02-15T10:00:00.000Z" characters="3012" reason="blocked by &lt;them&gt;">The report is…</text>
        <text given_up_at="2026-02-15T10:00:00.000Z" characters="15" reason="no such chat">Good &amp; morning.</text>
        </undelivered>
        "#);
    }

    proptest! {
        #[test]
        fn a_note_has_its_room_or_tells_only_how_many(texts in proptest::collection::vec(".{0,200}", 1..6), room in 0usize..3_000) {
            let texts: Vec<_> = texts.iter().map(|beginning| text(beginning, 200, beginning)).collect();
            let count = texts.len();
            let note = note(&Undelivered { texts, omitted: 0 }, room);
            let told = note.matches("<text ").count();
            prop_assert!(note.len() <= room || told == 0, "{} bytes of {room}", note.len());
            prop_assert!(note.len() <= room.max(200));
            prop_assert_eq!(note.contains(&format!("<omitted count=\"{}\"", count - told)), told < count);
        }
    }
}
