//! `make chaos`: kills a real host at random points and checks the books. `KILLS=200`, `SEED=` to repeat one.
//!
//! Status 1 when anything was lost, doubled, disordered or left behind.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use longshore_tests::chaos::{Chaos, run};

fn main() -> anyhow::Result<ExitCode> {
    let kills = setting("KILLS")?.unwrap_or(200).max(1);
    let seed = setting("SEED")?.unwrap_or_else(random);
    say(&format!("killing {kills} hosts; SEED={seed}"))?;
    let report = run(Chaos { kills, seed })?;
    say(&report.to_string())?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Another seed each time, short enough to type.
fn random() -> u64 {
    longshore_tests::platform::nanoseconds() % 1_000_000
}

fn setting(name: &str) -> anyhow::Result<Option<u64>> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().map(Some).with_context(|| format!("{name}={text}")),
        _ => Ok(None),
    }
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}
