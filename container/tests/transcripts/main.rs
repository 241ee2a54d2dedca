//! The providers' folds over recorded transcripts: every line, every step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

mod claude;
mod codex;
mod invocation;

use std::path::Path;

use longshore_agent::provider::{Provider, Step};

/// The lines of a recorded transcript.
fn transcript(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/transcripts").join(name);
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// What a provider makes of some lines.
fn read(provider: &mut dyn Provider, lines: &[String]) -> Vec<String> {
    told(lines.iter().flat_map(|line| provider.read_line(line.as_bytes())))
}

/// Steps as the lines that the host sees, without what is the same in all.
fn told(steps: impl IntoIterator<Item = Step>) -> Vec<String> {
    let turn = "t".parse().unwrap();
    let line = |step: Step| {
        let mut event = serde_json::to_value(step.event(&turn)).unwrap();
        event.as_object_mut().unwrap().remove("turn");
        event.to_string()
    };
    steps.into_iter().map(line).collect()
}

/// How many steps end the turn.
fn ends(steps: &[Step]) -> usize {
    steps.iter().filter(|step| matches!(step, Step::Ended(_))).count()
}
