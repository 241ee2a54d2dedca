//! What of a turn's events is worth a line: pure. Texts are counted, never kept.

/// How many troubles of one turn are told one by one: a runner may make up as many as it likes.
const TROUBLES: u32 = 20;
/// How the notes begin that are worth a line. Which they are is the runner's choice; a note that is none is no harm.
const TROUBLE: [&str; 5] = ["retry", "api error", "rate limit", "trouble", "warning"];

/// What has been counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Texts for the chat.
    pub texts: u32,
    /// Their characters.
    pub characters: usize,
    /// Tools that the agent used.
    pub tools: u32,
    /// What went wrong without ending the turn.
    pub troubles: u32,
}

/// What a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The agent uses a tool.
    Tool,
    /// Something went wrong, and it is to be told.
    Trouble,
    /// Nothing that is worth a line.
    Other,
}

impl Tally {
    /// Counts a text; whether it is the first.
    pub fn text(&mut self, text: &str) -> bool {
        self.texts += 1;
        self.characters += text.chars().count();
        self.texts == 1
    }

    /// Counts a note of the runner.
    pub fn note(&mut self, note: &str) -> Noted {
        if note.starts_with("tool ") && note != "tool result" {
            self.tools += 1;
            return Noted::Tool;
        }
        if !TROUBLE.iter().any(|beginning| note.starts_with(beginning)) {
            return Noted::Other;
        }
        self.troubles += 1;
        if self.troubles <= TROUBLES { Noted::Trouble } else { Noted::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_counted_and_troubles_told_so_often() {
        let mut tally = Tally::default();
        assert_eq!((tally.text("hällo"), tally.text("you")), (true, false));
        for (note, noted) in [
            ("tool Bash", Noted::Tool),
            ("tool result", Noted::Other),
            ("retry 1/10: overloaded", Noted::Trouble),
            ("text of 5 characters", Noted::Other),
        ] {
            assert_eq!(tally.note(note), noted, "{note}");
        }
        assert_eq!(tally, Tally { texts: 2, characters: 8, tools: 1, troubles: 1 });
        let told = (0..100).filter(|_| tally.note("api error x") == Noted::Trouble).count();
        assert_eq!((told, tally.troubles), (19, 101));
    }
}
