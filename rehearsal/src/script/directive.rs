//! Pure: one `#rehearse` line.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::{Line, Status, Step};

/// The longest wait that a script may ask for.
pub const LONGEST: Duration = Duration::from_secs(3_600);
/// The longest message that `big` makes.
const BIGGEST: usize = 16 * 1024 * 1024;
const MOST_PIECES: usize = 10_000;
const MOST_TIMES: u32 = 1_000_000;

/// Every verb with its arguments, as told to a person who got one wrong.
pub const VERBS: &[&str] = &[
    "say TEXT",
    "shell CMD",
    "preamble TEXT | CMD",
    "tool NAME {json}",
    "think TEXT",
    "delay SECONDS VERB ...",
    "slow SECONDS N TEXT",
    "big BYTES",
    "tell [WORDS]",
    "status CODE [times=N] [retry_after=S] [code=..] [type=..] [message=\"..\"]",
    "expired [times=N]",
    "cut [times=N]",
    "close [times=N]",
    "hang SECONDS [times=N]",
    "malformed [times=N]",
    "empty [times=N]",
    "incomplete REASON",
    "failed CODE MESSAGE",
];

/// A line of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Directive {
    /// What it does.
    pub line: Line,
    /// Set for a fault that strikes so many times only.
    pub times: Option<u32>,
}

/// Reads what follows `#rehearse`. A line that makes no sense becomes a message that says why, so that whoever wrote it
/// reads it where the answer would have been.
#[must_use]
pub fn parse(text: &str) -> Directive {
    directive(text).unwrap_or_else(|problem| Directive {
        line: Step::Say(format!("`#rehearse {text}`: {problem}. I know: {}", VERBS.join(" · "))).into(),
        times: None,
    })
}

fn directive(text: &str) -> Result<Directive, Problem> {
    let (verb, rest) = word(text);
    if verb == "delay" {
        let (seconds, next) = word(rest);
        let delay = duration(seconds)?;
        let Directive { line, times } = directive(next)?;
        // Added, not replaced, and bounded, for whoever stacks them.
        return Ok(Directive { line: Line { delay: (delay + line.delay).min(LONGEST), ..line }, times });
    }
    let mut times = None;
    let step = match verb {
        "say" => Step::Say(said(rest)?),
        "think" => Step::Think(said(rest)?),
        "shell" => Step::Shell { command: needed(rest, "a command")?.to_owned(), preamble: None },
        "preamble" => {
            let (preamble, command) = rest.split_once('|').ok_or(Problem::Missing("a `|` between text and command"))?;
            Step::Shell { command: needed(command, "a command")?.to_owned(), preamble: Some(said(preamble)?) }
        }
        "tool" => tool(rest)?,
        "slow" => {
            let (seconds, rest) = word(rest);
            let (pieces, text) = word(rest);
            let pieces = number("N", pieces, 1, MOST_PIECES)?;
            Step::Slow { duration: duration(seconds)?, pieces, text: said(text)? }
        }
        "big" => Step::Say("x".repeat(number("BYTES", rest, 1, BIGGEST)?)),
        "tell" => Step::Tell { about: Some(rest).filter(|words| !words.is_empty()).map(str::to_owned) },
        "status" => {
            let (code, rest) = word(rest);
            let mut status = Status {
                code: number("CODE", code, 400, 599)?,
                retry_after: None,
                kind: None,
                error_code: None,
                message: None,
            };
            for (name, value) in options(rest)? {
                match name {
                    "times" => times = Some(number("times", &value, 1, MOST_TIMES)?),
                    "retry_after" => status.retry_after = Some(retry_after(value)?),
                    "type" => status.kind = Some(value),
                    "code" => status.error_code = Some(value),
                    "message" => status.message = Some(value),
                    _ => return Err(Problem::Option(name.to_owned())),
                }
            }
            Step::Status(status)
        }
        "expired" | "cut" | "close" | "malformed" | "empty" => {
            times = only_times(rest)?;
            match verb {
                "expired" => Step::Expired,
                "cut" => Step::Cut,
                "close" => Step::Close,
                "malformed" => Step::Malformed,
                _ => Step::Empty,
            }
        }
        "hang" => {
            let (seconds, rest) = word(rest);
            times = only_times(rest)?;
            Step::Hang(duration(seconds)?)
        }
        "incomplete" => Step::Incomplete { reason: needed(rest, "a reason")?.to_owned() },
        "failed" => {
            let (code, message) = word(rest);
            let message = if message.is_empty() { "the rehearsal failed on purpose" } else { message };
            Step::Failed { code: needed(code, "a code")?.to_owned(), message: message.to_owned() }
        }
        "" => return Err(Problem::Missing("a verb")),
        _ => return Err(Problem::Verb(verb.to_owned())),
    };
    Ok(Directive { line: step.into(), times })
}

enum Problem {
    Missing(&'static str),
    Verb(String),
    Option(String),
    Number { name: &'static str, found: String, least: String, most: String },
    Arguments(String),
    RetryAfter,
    Quote,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "it lacks {what}"),
            Self::Verb(verb) => write!(f, "`{verb}` is not a verb"),
            Self::Option(name) => write!(f, "`{name}` is not an option of it"),
            Self::Number { name, found, least, most } => {
                write!(f, "{name} must be a number from {least} to {most}, not `{found}`")
            }
            Self::Arguments(why) => write!(f, "the arguments must be a JSON object or string ({why})"),
            Self::RetryAfter => write!(f, "`retry_after` must be printable ASCII"),
            Self::Quote => write!(f, "a quote is not closed"),
        }
    }
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(first, rest)| (first, rest.trim()))
}

fn needed<'a>(text: &'a str, what: &'static str) -> Result<&'a str, Problem> {
    let text = text.trim();
    if text.is_empty() { Err(Problem::Missing(what)) } else { Ok(text) }
}

/// A text in which `\n` is a line break.
fn said(text: &str) -> Result<String, Problem> {
    Ok(needed(text, "a text")?.replace("\\n", "\n"))
}

fn duration(text: &str) -> Result<Duration, Problem> {
    let most = LONGEST.as_secs();
    let wrong =
        || Problem::Number { name: "SECONDS", found: text.to_owned(), least: "0".into(), most: most.to_string() };
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if duration > LONGEST { Err(wrong()) } else { Ok(duration) }
}

fn number<T>(name: &'static str, text: &str, least: T, most: T) -> Result<T, Problem>
where
    T: std::str::FromStr + PartialOrd + fmt::Display,
{
    match text.trim().parse::<T>() {
        Ok(found) if found >= least && found <= most => Ok(found),
        _ => Err(Problem::Number { name, found: text.to_owned(), least: least.to_string(), most: most.to_string() }),
    }
}

fn tool(rest: &str) -> Result<Step, Problem> {
    let (name, arguments) = word(rest);
    let name = needed(name, "a tool")?.to_owned();
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    match serde_json::from_str::<Value>(arguments) {
        Ok(arguments @ (Value::Object(_) | Value::String(_))) => Ok(Step::Tool { name, arguments }),
        Ok(_) => Err(Problem::Arguments("this is neither".to_owned())),
        Err(error) => Err(Problem::Arguments(error.to_string())),
    }
}

fn only_times(rest: &str) -> Result<Option<u32>, Problem> {
    let mut times = None;
    for (name, value) in options(rest)? {
        match name {
            "times" => times = Some(number("times", &value, 1, MOST_TIMES)?),
            _ => return Err(Problem::Option(name.to_owned())),
        }
    }
    Ok(times)
}

fn retry_after(value: String) -> Result<String, Problem> {
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) { Ok(value) } else { Err(Problem::RetryAfter) }
}

/// `name=value` pairs; a value with spaces stands in double or single quotes.
fn options(text: &str) -> Result<Vec<(&str, String)>, Problem> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|next: char| next == '=' || next.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        let Some(value) = rest[end..].strip_prefix('=') else { return Err(Problem::Option(name.to_owned())) };
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let (value, next) = match quote {
            Some(quote) => value[1..].split_once(quote).ok_or(Problem::Quote)?,
            None => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        found.push((name, value.to_owned()));
        rest = next.trim_start();
    }
    Ok(found)
}
