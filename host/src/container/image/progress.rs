//! What a build prints, read into steps and lines: a pure fold over the engine's pieces of text.

use std::collections::VecDeque;

/// Longer lines are cut: npm and apt draw bars that way.
const MAX_LINE: usize = 400;
/// How many of a step's last lines an error shows.
const TAIL_LINES: usize = 20;
/// The shortest prefix of an image id that the engine prints.
const SHORT_ID: usize = 12;

/// Where a build is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The step that runs, counted from 1.
    pub step: u32,
    /// How many there are; at least `step`.
    pub steps: u32,
    /// The Dockerfile's stage that the step belongs to; empty before the first and for one without a name.
    pub stage: String,
    /// The step's instruction, cut to a line.
    pub instruction: String,
    /// What the step printed last; empty when it has just begun.
    pub line: String,
}

/// Everything that is remembered of a build.
#[derive(Debug, Default)]
pub struct BuildLog {
    partial: String,
    progress: Progress,
    tail: VecDeque<String>,
    images: Vec<String>,
    done: bool,
}

/// What a line of the classic builder's output is.
enum Line<'a> {
    Step { step: u32, steps: u32, instruction: &'a str },
    Image(&'a str),
    Done,
    Builder,
    Output,
}

impl BuildLog {
    /// Takes a piece of text, which need not be whole lines, and calls `watch` for each step and line.
    pub fn read(&mut self, text: &str, watch: &mut (dyn FnMut(&Progress) + Send)) {
        for c in text.chars() {
            match c {
                '\n' | '\r' => {
                    let line = std::mem::take(&mut self.partial);
                    self.read_line(&line, watch);
                }
                _ if self.partial.len() >= MAX_LINE => {}
                c => self.partial.push(c),
            }
        }
    }

    fn read_line(&mut self, line: &str, watch: &mut (dyn FnMut(&Progress) + Send)) {
        let line = without_colours(line);
        match classify(&line) {
            Line::Step { step, steps, instruction } => {
                let instruction = instruction.split_whitespace().collect::<Vec<_>>().join(" ");
                self.progress = Progress {
                    step,
                    steps: steps.max(step),
                    stage: stage(&instruction).unwrap_or_else(|| std::mem::take(&mut self.progress.stage)),
                    instruction: cut(&instruction, 100),
                    line: String::new(),
                };
                self.tail.clear();
                watch(&self.progress);
            }
            Line::Image(id) => self.images.push(id.to_owned()),
            Line::Done => self.done = true,
            Line::Builder => {}
            Line::Output => {
                if self.tail.len() == TAIL_LINES {
                    self.tail.pop_front();
                }
                self.tail.push_back(line.clone());
                self.progress.line = line;
                watch(&self.progress);
            }
        }
    }

    /// The instruction that runs or failed.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        (self.progress.step > 0).then_some(self.progress.instruction.as_str())
    }

    /// What it printed last.
    #[must_use]
    pub fn tail(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Whether the builder said that the image is made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the image with this full id is one that the build made or took from its cache.
    #[must_use]
    pub fn used(&self, id: &str) -> bool {
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        self.images.iter().any(|image| id.starts_with(image))
    }
}

fn classify(line: &str) -> Line<'_> {
    if let Some(step) = step(line) {
        return step;
    }
    if let Some(rest) = line.strip_prefix(" ---> ").or_else(|| line.strip_prefix("--> ")) {
        let id = rest.trim();
        let is_id = id.len() >= SHORT_ID && id.chars().all(|c| c.is_ascii_hexdigit());
        return if is_id { Line::Image(id) } else { Line::Builder };
    }
    // The second spelling is Podman's.
    if line.starts_with("Successfully built ") || line.starts_with("Successfully tagged ") {
        return Line::Done;
    }
    if line.trim().is_empty() || line.starts_with("Removing intermediate container ") {
        return Line::Builder;
    }
    Line::Output
}

/// `Step 3/36 : RUN x` of Docker, `STEP 3/36: RUN x` of Podman.
fn step(line: &str) -> Option<Line<'_>> {
    let rest = line.strip_prefix("Step ").or_else(|| line.strip_prefix("STEP "))?;
    let (count, instruction) = rest.split_once(':')?;
    let (step, steps) = count.trim().split_once('/')?;
    Some(Line::Step { step: step.parse().ok()?, steps: steps.parse().ok()?, instruction })
}

/// The name that `FROM image AS name` gives to the stage it begins.
fn stage(instruction: &str) -> Option<String> {
    let mut words = instruction.split(' ');
    let from = words.next()?.eq_ignore_ascii_case("from");
    let name = words.skip_while(|word| !word.eq_ignore_ascii_case("as")).nth(1).unwrap_or_default();
    from.then(|| cut(name, 40))
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars { text.to_owned() } else { text.chars().take(chars).chain(['…']).collect() }
}

/// Drops escape sequences and control characters: the text goes to a terminal and into errors.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                for c in chars.by_ref() {
                    if ('@'..='~').contains(&c) {
                        break;
                    }
                }
            }
        } else if c == '\t' {
            plain.push(' ');
        } else if !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLASSIC: &str = "Step 1/3 : FROM debian:bookworm-slim AS npm\n ---> 46f369fd81ca\nStep 2/3 : RUN set -eu;     npm   pack\n ---> Running in c982e9fe8220\n\u{1b}[91mnpm warn\u{1b}[0m\ncodex.tgz\nRemoving intermediate container c982e9fe8220\n ---> ff692203f6e4\nStep 3/3 : USER node\n ---> Using cache\n ---> 3e464408edc9\nSuccessfully built 3e464408edc9\nSuccessfully tagged longshore-agent:latest\n";

    fn read(pieces: &[&str]) -> (BuildLog, Vec<String>) {
        let mut log = BuildLog::default();
        let mut seen = Vec::new();
        for piece in pieces {
            log.read(piece, &mut |progress: &Progress| {
                let Progress { step, steps, stage, instruction, line } = progress;
                seen.push(format!("{step}/{steps} {stage}: {instruction} | {line}"));
            });
        }
        (log, seen)
    }

    #[test]
    fn a_build_is_read_into_steps_and_what_they_print() {
        let (log, seen) = read(&[CLASSIC]);
        assert_eq!(
            seen,
            [
                "1/3 npm: FROM debian:bookworm-slim AS npm | ",
                "2/3 npm: RUN set -eu; npm pack | ",
                "2/3 npm: RUN set -eu; npm pack | npm warn",
                "2/3 npm: RUN set -eu; npm pack | codex.tgz",
                "3/3 npm: USER node | ",
            ]
        );
        assert!(log.is_done());
    }

    #[test]
    fn the_images_of_a_build_are_those_it_made_and_those_it_took_from_the_cache() {
        let (log, _seen) = read(&[CLASSIC]);
        for used in ["46f369fd81ca", "ff692203f6e4", "3e464408edc9"] {
            assert!(log.used(&format!("sha256:{used}{}", "0".repeat(52))));
        }
        assert!(!log.used(&format!("sha256:c982e9fe8220{}", "0".repeat(52))), "a container, not an image");
    }

    #[test]
    fn podmans_spelling_is_understood_too() {
        let (log, seen) = read(&["STEP 2/9: RUN true\n--> 46f369fd81ca\n"]);
        assert_eq!(seen, ["2/9 : RUN true | "]);
        assert!(log.used("46f369fd81ca00"));
    }

    #[test]
    fn only_the_end_of_the_step_that_failed_is_kept() {
        let text = (0..100).map(|n| format!("line {n}\n")).collect::<String>();
        let (log, _seen) = read(&["Step 1/2 : RUN a\nold\nStep 2/2 : RUN b\n", &text]);
        assert_eq!(log.tail().lines().count(), TAIL_LINES);
        assert!(log.tail().starts_with("line 80\n") && log.tail().ends_with("line 99"));
        assert!(!log.is_done());
    }

    #[test]
    fn a_step_number_that_is_none_is_output() {
        let (log, seen) = read(&["Step x/2 : RUN a\nStep 99999999999/2 : RUN\nStep into it\n"]);
        assert_eq!(log.step(), None);
        assert_eq!(seen.len(), 3);
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_makes_no_difference(cuts in prop::collection::vec(0..CLASSIC.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&CLASSIC[from..cut]);
                from = cut;
            }
            pieces.push(&CLASSIC[from..]);
            prop_assert_eq!(read(&pieces).1, read(&[CLASSIC]).1);
        }

        #[test]
        fn hostile_output_stays_small_and_plain(text in "(\\PC|[\\x00-\\x1f]|\u{1b}\\[){0,2000}") {
            let (log, seen) = read(&["Step 1/2 : RUN a\n", &text, "\n"]);
            let longest = 4 * MAX_LINE + 200;
            prop_assert!(seen.iter().all(|line| line.len() <= longest && !line.contains(char::is_control)));
            prop_assert!(log.tail().lines().count() <= TAIL_LINES);
        }
    }
}
