//! Pure: what people said, read back out of the prompt that the host made of it.
//!
//! The host wraps the messages of a turn in `<messages><message sender=".." time="..">text</message></messages>` with the
//! text XML-escaped, and what a scheduled task says in `<task id=".." scheduled_for="..">text</task>`; a person at a
//! bare CLI sends plain text, which is taken as it is.

/// The texts of the messages in `prompt`, unescaped and in order, or that of its task; the whole prompt if it wraps
/// none.
#[must_use]
pub fn texts(prompt: &str) -> Vec<String> {
    match wrapped(prompt) {
        Some(texts) if !texts.is_empty() => texts,
        _ => vec![task(prompt).unwrap_or_else(|| prompt.trim().to_owned())],
    }
}

fn task(prompt: &str) -> Option<String> {
    let (_, at_its_line) = prompt.split_once("\n<task ")?;
    let body = after_tag(&format!("<task {at_its_line}"), "task")?.trim_end().strip_suffix("</task>")?.to_owned();
    Some(unescape(body.trim()))
}

fn wrapped(prompt: &str) -> Option<Vec<String>> {
    let mut rest = if prompt.trim_start().starts_with("<message ") {
        prompt
    } else {
        let inside = after_tag(prompt, "messages")?;
        inside.rfind("</messages>").map_or(inside, |end| &inside[..end])
    };
    let mut texts = Vec::new();
    while let Some(body) = after_tag(rest, "message") {
        let (text, next) = body.split_once("</message>").unwrap_or((body, ""));
        texts.push(unescape(without_quote(text).trim()));
        rest = next;
    }
    Some(texts)
}

/// What follows the first opening tag `name`, whose attributes may hold any character but their own quote.
fn after_tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let start = rest.find('<')?;
        rest = &rest[start + 1..];
        let Some(attributes) = rest.strip_prefix(name) else { continue };
        if !attributes.starts_with(|next: char| next == '>' || next.is_whitespace()) {
            continue;
        }
        let mut quote = None;
        for (at, found) in attributes.char_indices() {
            match (quote, found) {
                (None, '>') => return Some(&attributes[at + 1..]),
                (None, '"' | '\'') => quote = Some(found),
                (Some(open), _) if open == found => quote = None,
                _ => {}
            }
        }
        return None;
    }
}

/// A reply quotes the message that it answers; the quoted words are somebody else's.
fn without_quote(text: &str) -> &str {
    const END: &str = "</quoted_message>";
    if !text.trim_start().starts_with("<quoted_message") {
        return text;
    }
    text.find(END).map_or(text, |end| &text[end + END.len()..])
}

/// Undoes XML escaping; anything that is not a known entity stays as it is.
#[must_use]
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        // The longest entity that means anything is `&#x10FFFF;`.
        let entity = rest.bytes().take(10).position(|byte| byte == b';').map(|end| &rest[1..end]);
        match entity.and_then(character) {
            Some(found) => {
                out.push(found);
                rest = &rest[entity.map_or(0, str::len) + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_messages_of_a_prompt_are_read_back_as_people_wrote_them() {
        let cases: &[(&str, &[&str])] = &[
            ("  plain text, a < b &amp; so on\n", &["plain text, a < b &amp; so on"]),
            ("", &[""]),
            (
                "<messages>\n<message sender=\"Jo\" time=\"1\">hey &amp; &lt;hi&gt;</message>\n</messages>",
                &["hey & <hi>"],
            ),
            (
                "<context timezone=\"UTC\" />\n<messages>\n<message sender=\"A > B\">one\ntwo</message>\n<message sender='x'>three</message></messages>\ntail",
                &["one\ntwo", "three"],
            ),
            ("<message id=\"1\" sender=\"Jo\">bare</message>", &["bare"]),
            (
                "<messages><message sender=\"Jo\" reply_to=\"7\">\n  <quoted_message from=\"X\">#rehearse close</quoted_message>mine</message></messages>",
                &["mine"],
            ),
            ("<messages><message sender=\"Jo\">cut off", &["cut off"]),
            ("please summarise <messages> for me", &["please summarise <messages> for me"]),
            ("<messages><message sender=\"never closed", &["<messages><message sender=\"never closed"]),
            (
                "<context timezone=\"UTC\" />\n[SCHEDULED TASK] Nobody types.\n<task id=\"t\" scheduled_for=\"1\">\nsay &lt;hi&gt;\n</task>",
                &["say <hi>"],
            ),
            ("what is a\n<task id=\"t\"> in your prompt?", &["what is a\n<task id=\"t\"> in your prompt?"]),
            ("<messages></messages>", &["<messages></messages>"]),
        ];
        for (prompt, expected) in cases {
            assert_eq!(texts(prompt), *expected, "{prompt}");
        }
    }

    #[test]
    fn entities_are_undone_once_and_strangers_stay() {
        assert_eq!(
            unescape("&amp;lt; &#39;&#x1F600;&quot;&apos; &nbsp; & &; &#xD800; &amp"),
            "&lt; '😀\"' &nbsp; & &; &#xD800; &amp"
        );
    }

    proptest! {
        #[test]
        fn any_text_survives_escaping_and_wrapping(text in "\\PC{0,60}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            let prompt = format!("<messages>\n<message sender=\"Jo\" time=\"t\">{escaped}</message>\n</messages>");
            prop_assert_eq!(texts(&prompt), vec![text.trim().to_owned()]);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(<|>|&|;|#|x|message|messages|/|\"| |é){0,40}") {
            prop_assert!(!texts(&text).is_empty());
        }
    }
}
