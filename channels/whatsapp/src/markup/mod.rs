//! Markdown → WhatsApp's marks. Pure.
//!
//! WhatsApp knows `*bold*`, `_italic_`, `~struck~`, `` `code` ``, fences of three backticks, `- ` and `1. `
//! lists and `> ` quotes; a mark of another kind would be read as it stands. What is not recognised stays.

mod inline;

use self::inline::inline;

/// The text as WhatsApp shows it.
#[must_use]
pub fn to_whatsapp(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut fence: Option<&str> = None;
    for (index, line) in markdown.lines().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let start = line.trim_start();
        match fence {
            Some(mark) if closes(start, mark) => {
                fence = None;
                out.push_str("```");
            }
            Some(_) => out.push_str(line),
            None => match opens(start) {
                Some(mark) => {
                    fence = Some(mark);
                    out.push_str("```");
                }
                None => self::line(line, &mut out),
            },
        }
    }
    if fence.is_some() {
        // A piece of a longer text: WhatsApp shows a fence that is never closed as it stands.
        out.push_str("\n```");
    }
    out
}

/// The fence that begins here: its own marks, without the language.
fn opens(line: &str) -> Option<&str> {
    let mark = ["`", "~"].into_iter().find(|mark| line.starts_with(&mark.repeat(3)))?;
    let marks = line.len() - line.trim_start_matches(mark).len();
    // Backticks further on would make it code in a line.
    (!line[marks..].contains('`')).then(|| &line[..marks])
}

fn closes(line: &str, mark: &str) -> bool {
    line.starts_with(mark) && line.trim_end().chars().all(|character| mark.starts_with(character))
}

fn line(line: &str, out: &mut String) {
    let text = line.trim_start();
    let indent = &line[..line.len() - text.len()];
    if let Some(title) = heading(text) {
        let title = inline(title);
        let title = title.trim().replace('*', "");
        if !title.is_empty() {
            out.push('*');
            out.push_str(&title);
            out.push('*');
        }
        return;
    }
    if is_rule(text) {
        out.push_str("———");
        return;
    }
    out.push_str(indent);
    let rest = match ["- ", "* ", "+ "].into_iter().find_map(|bullet| text.strip_prefix(bullet)) {
        Some(item) => {
            out.push_str("- ");
            task(item, out)
        }
        None => text,
    };
    if let Some(quoted) = rest.strip_prefix('>') {
        out.push_str("> ");
        self::line(quoted.strip_prefix(' ').unwrap_or(quoted), out);
        return;
    }
    out.push_str(&inline(rest));
}

/// A task's box, which WhatsApp has none of.
fn task<'a>(item: &'a str, out: &mut String) -> &'a str {
    for (mark, shown) in [("[ ] ", "☐ "), ("[x] ", "☑ "), ("[X] ", "☑ ")] {
        if let Some(rest) = item.strip_prefix(mark) {
            out.push_str(shown);
            return rest;
        }
    }
    item
}

fn heading(line: &str) -> Option<&str> {
    let level = line.len() - line.trim_start_matches('#').len();
    let title = line.get(level..)?;
    ((1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t'])))
        .then(|| title.trim().trim_end_matches('#').trim_end())
}

fn is_rule(line: &str) -> bool {
    let marks: String = line.chars().filter(|character| !character.is_whitespace()).collect();
    marks.len() >= 3 && ["-", "*", "_"].into_iter().any(|mark| marks == mark.repeat(marks.len()))
}

#[cfg(test)]
mod tests;
