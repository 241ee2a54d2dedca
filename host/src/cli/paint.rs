//! Colour on a terminal: pure but for the look at what stdout is.

use std::io::IsTerminal as _;

use super::shown::shown;

/// Whether there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// None.
    Plain,
    /// The terminal's own colours, as its owner has set them.
    Colour,
}

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Nothing special.
    Plain,
    /// It is well.
    Good,
    /// It may want a look.
    Attention,
    /// It is wrong.
    Bad,
    /// It matters less.
    Faint,
    /// It matters most.
    Strong,
}

impl Paint {
    /// Colour if stdout is a terminal that wants it: <https://no-color.org>.
    pub(super) fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if std::io::stdout().is_terminal() && !unwanted && !dumb { Self::Colour } else { Self::Plain }
    }

    /// The text as a terminal should get it: control characters made visible, and ours around it.
    pub(super) fn text(self, ink: Ink, text: &str) -> String {
        let text = shown(text);
        let code = match (self, ink) {
            (Self::Plain, _) | (_, Ink::Plain) => return text.into_owned(),
            (_, Ink::Good) => "32",
            (_, Ink::Attention) => "33",
            (_, Ink::Bad) => "31",
            (_, Ink::Faint) => "2",
            (_, Ink::Strong) => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Rows of inked cells under a heading, as [`super::table::table`] has them.
pub(super) fn table(paint: Paint, heading: &[&str], rows: &[Vec<(Ink, String)>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|(_, cell)| cell.chars().count());
        cells.chain(heading.get(column).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: Vec<(Ink, &str)>| {
        let last = cells.iter().rposition(|(_, cell)| !cell.is_empty()).map_or(0, |last| last + 1);
        let mut line = String::new();
        for (column, (ink, cell)) in cells.into_iter().enumerate().take(last) {
            line.push_str(&paint.text(ink, cell));
            if column + 1 < last {
                line.push_str(&" ".repeat(widths[column] - cell.chars().count() + 2));
            }
        }
        line + "\n"
    };
    let mut text = line(heading.iter().map(|cell| (Ink::Faint, *cell)).collect());
    for row in rows {
        text.push_str(&line(row.iter().map(|(ink, cell)| (*ink, cell.as_str())).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_changes_no_width_and_what_is_painted_gives_no_orders() {
        let rows = [
            vec![(Ink::Good, "a".to_owned()), (Ink::Plain, "x\u{1b}[2J".to_owned())],
            vec![(Ink::Bad, "long".to_owned()), (Ink::Plain, String::new())],
        ];
        assert_eq!(table(Paint::Plain, &["G", "N"], &rows), "G     N\na     x␛[2J\nlong\n");
        let coloured = table(Paint::Colour, &["G", "N"], &rows);
        assert_eq!(
            coloured,
            "\u{1b}[2mG\u{1b}[0m     \u{1b}[2mN\u{1b}[0m\n\u{1b}[32ma\u{1b}[0m     x␛[2J\n\u{1b}[31mlong\u{1b}[0m\n"
        );
    }
}
