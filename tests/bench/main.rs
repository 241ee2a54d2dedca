//! `make bench`: one table, measured in one run, on this machine as it is now.
//!
//! Ratios say more than milliseconds: the bare CLI and the container floor are measured in the same
//! run, against the same stand-in, as what they are compared with.

mod bare;
mod groups;
mod ours;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use longshore_rehearsal::Rehearsal;

use self::table::{Row, Samples, Table};

/// Turns measured for each warm figure.
const WARM: usize = 20;
/// Starts measured for each cold figure.
const COLD: usize = 7;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let rehearsal = Rehearsal::start("127.0.0.1:0".parse()?).await?;
    let clis = bare::Clis::extract(&folder()?)?;
    let floor = ours::container_floor(COLD).await?;
    let ready = ours::ready(COLD * 2)?;
    let rss = ours::idle_rss_mebibytes()?;
    let mut table = Table::default();
    table.push(Row::figure("host: start to ready", &ready, "ms", Some(("p50 <= 50", ready.p50() <= 50.0))));
    table.push(Row::figure(
        "host: memory when idle (RSS)",
        &Samples::of(vec![rss]),
        "MiB",
        Some(("<= 20", rss <= 20.0)),
    ));
    let parse = groups::parse(WARM);
    table.push(Row::figure("groups: parse and check 1,000", &parse, "ms", Some(("p50 <= 20", parse.p50() <= 20.0))));
    let effect = groups::edit_to_effect(WARM * 2).await?;
    table.push(Row::figure(
        "groups: edit to effect, 1,000 groups",
        &effect,
        "ms",
        Some(("p95 <= 100", effect.p95() <= 100.0)),
    ));
    table.push(Row::figure("container floor: create + start, Engine API", &floor, "ms", None));
    for (provider, group, limit) in [("claude", "main", 30.0), ("codex", "coder", 60.0)] {
        let start = clis.cold(provider, &rehearsal, COLD).await?;
        let bare = clis.warm(provider, &rehearsal, WARM).await?;
        let first = ours::first_turn(group, &rehearsal, COLD)?;
        let warm = ours::warm_turn(group, &rehearsal, WARM)?;
        table.push(Row::figure(&format!("{provider}: bare CLI, start to first answer"), &start, "ms", None));
        let budget = floor.p50() + start.p50();
        table.push(Row::figure(&format!("{provider}: our first turn (cold container)"), &first, "ms", None));
        let ratio = first.p50() / budget;
        table.push(Row::ratio(
            &format!("{provider}: first turn / (floor + CLI start)"),
            ratio,
            Some(("<= 1.30", ratio <= 1.3)),
        ));
        table.push(Row::figure(&format!("{provider}: bare CLI, warm turn"), &bare, "ms", None));
        table.push(Row::figure(&format!("{provider}: our warm turn, said to heard"), &warm, "ms", None));
        let overhead = warm.p50() - bare.p50();
        let target = format!("p50 <= {limit}");
        table.push(Row::single(
            &format!("{provider}: overhead of a warm turn"),
            overhead,
            "ms",
            Some((&target, overhead <= limit)),
        ));
    }
    let missed = table.print()?;
    rehearsal.stop().await;
    if missed > 0 {
        // A missed target is a figure to explain, not a broken build: these machines are shared.
        eprint_line(&format!("{missed} target(s) missed in this run"));
    }
    Ok(())
}

fn folder() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let folder = exe.parent().context("the bench has no folder")?.join("bench-clis");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn eprint_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
