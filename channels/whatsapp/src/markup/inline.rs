//! Marks within a line.

/// How deep marks may lie in each other; deeper ones stay as they stand.
const MAX_DEPTH: usize = 6;
/// How far ahead a mark's end is looked for, in bytes: a hostile line must not take quadratic time.
const MAX_AHEAD: usize = 4096;

/// One line without its list mark.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    marks(text, MAX_DEPTH, &mut out);
    out
}

fn marks(text: &str, depth: usize, out: &mut String) {
    let mut rest = text;
    let mut before = ' ';
    while let Some(character) = rest.chars().next() {
        if let Some(taken) = piece(rest, before, depth, out) {
            before = rest[..taken].chars().next_back().unwrap_or(' ');
            rest = &rest[taken..];
            continue;
        }
        out.push(character);
        before = character;
        rest = &rest[character.len_utf8()..];
    }
}

/// Writes what begins here if it is a mark; how many bytes it took.
fn piece(rest: &str, before: char, depth: usize, out: &mut String) -> Option<usize> {
    match rest.as_bytes()[0] {
        b'\\' => {
            let next = rest[1..].chars().next().filter(char::is_ascii_punctuation)?;
            out.push(next);
            Some(1 + next.len_utf8())
        }
        b'`' => code(rest, out),
        b'!' if rest.starts_with("![") => link(&rest[1..], depth, out).map(|taken| taken + 1),
        b'[' => link(rest, depth, out),
        b'<' => {
            let end = ahead(rest).find('>')?;
            let address = &rest[1..end];
            let is_address = (address.contains("://") || address.starts_with("mailto:")) && !address.contains(' ');
            is_address.then(|| out.push_str(address.strip_prefix("mailto:").unwrap_or(address)))?;
            Some(end + 1)
        }
        b'h' if rest.starts_with("http://") || rest.starts_with("https://") => {
            // An address stays whole: its underscores are no marks.
            let end = rest.find(|character: char| character.is_whitespace() || "<>\"`".contains(character));
            let address = &rest[..end.unwrap_or(rest.len())];
            let address = address.trim_end_matches(['*', '_', '~', ')', ']', '.', ',']);
            out.push_str(address);
            Some(address.len())
        }
        b'*' | b'_' | b'~' if depth > 0 => emphasis(rest, before, depth, out),
        _ => None,
    }
}

fn ahead(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_AHEAD)]
}

fn code(rest: &str, out: &mut String) -> Option<usize> {
    let ticks = rest.len() - rest.trim_start_matches('`').len();
    let mark = &rest[..ticks];
    let inside = ahead(&rest[ticks..]);
    let mut from = 0;
    let end = loop {
        let at = from + inside[from..].find(mark)?;
        let run = inside[at..].len() - inside[at..].trim_start_matches('`').len();
        if run == ticks {
            break at;
        }
        from = at + run;
    };
    let code = &inside[..end];
    let shown = if ticks > 1 { code.trim() } else { code };
    let mark = if shown.contains('`') { "```" } else { "`" };
    out.push_str(mark);
    out.push_str(shown);
    out.push_str(mark);
    Some(ticks * 2 + code.len())
}

/// `[text](address)` → `text (address)`.
fn link(rest: &str, depth: usize, out: &mut String) -> Option<usize> {
    let near = ahead(rest);
    let close = matching(near, '[', ']')?;
    let tail = &near[close + 1..];
    if !tail.starts_with('(') {
        return None;
    }
    let end = matching(tail, '(', ')')?;
    let (text, target) = (&near[1..close], tail[1..end].trim());
    // A title may follow the address.
    let address = target.split_whitespace().next().unwrap_or_default().trim_matches(['<', '>']);
    if address.is_empty() {
        return None;
    }
    if text.trim().is_empty() || text.trim() == address || format!("mailto:{text}") == address {
        out.push_str(address.strip_prefix("mailto:").unwrap_or(address));
    } else {
        marks(text, depth.saturating_sub(1), out);
        out.push_str(" (");
        out.push_str(address);
        out.push(')');
    }
    Some(close + 1 + end + 1)
}

fn matching(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

fn emphasis(rest: &str, before: char, depth: usize, out: &mut String) -> Option<usize> {
    let mark = rest.chars().next()?;
    let run = rest.len() - rest.trim_start_matches(mark).len();
    let shown: &[char] = match (mark, run) {
        ('~', 1 | 2) => &['~'],
        ('*' | '_', 1) => &['_'],
        ('*' | '_', 2) => &['*'],
        ('*' | '_', 3) => &['*', '_'],
        _ => {
            out.push_str(&rest[..run]);
            return Some(run);
        }
    };
    let inside = &rest[run..];
    let begins = inside.chars().next().is_some_and(|next| !next.is_whitespace());
    // `snake_case` and `2*3` are no marks.
    let stands_alone = !(before.is_alphanumeric() && (mark == '_' || run == 1));
    let end = if begins && stands_alone { closing(ahead(inside), mark, run) } else { None };
    let Some(end) = end else {
        out.push_str(&rest[..run]);
        return Some(run);
    };
    out.extend(shown);
    marks(&inside[..end], depth - 1, out);
    out.extend(shown.iter().rev());
    Some(run + end + run)
}

/// Where the run of marks is that ends the emphasis.
fn closing(text: &str, mark: char, run: usize) -> Option<usize> {
    let mut from = 0;
    let mut in_code = false;
    while from < text.len() {
        let next = text[from..].find([mark, '`', '\\'])? + from;
        let found = text[next..].chars().next()?;
        if found == '\\' {
            from = next + 1 + text[next + 1..].chars().next().map_or(0, char::len_utf8);
            continue;
        }
        if found == '`' {
            in_code = !in_code;
            from = next + 1;
            continue;
        }
        let here = text[next..].len() - text[next..].trim_start_matches(mark).len();
        let after = text[next + here..].chars().next().unwrap_or(' ');
        let ends =
            next > 0 && !text[..next].ends_with(char::is_whitespace) && !(after.is_alphanumeric() && mark == '_');
        if !in_code && here == run && ends {
            return Some(next);
        }
        // `**a *b***`: the longer run ends both, the inner one first.
        if !in_code && here > run && ends && text[..next].contains(mark) {
            return Some(next + here - run);
        }
        from = next + here;
    }
    None
}
