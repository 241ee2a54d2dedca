//! `make soak`: a host under steady traffic, and whether it grows. `SECONDS_TO_RUN`, `RATE` and `SEED` change it.
//!
//! 50 messages a second over 100 groups, with a real store, channel, queue and delivery, and containers that
//! are tasks of the host's process. Status 1 when memory grows faster than 1 MB in ten minutes, when files
//! are left open, or when the books do not balance.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use longshore_tests::figures::{CpuTime, open_files, rss_kibibytes};
use longshore_tests::ledger::{Ledger, quiesce};
use longshore_tests::stub::{platform_file, with_traffic};
use longshore_tests::{Installation, StubHost};

const GROUPS: usize = 100;
/// The most that memory may grow, in KiB in ten minutes.
const LIMIT: f64 = 1_000_000.0 / 1024.0;
const TEN_MINUTES: f64 = 600.0;
/// Files that may be open at the end beyond those after the warm-up: connections come and go.
const MORE_FILES: usize = 32;
/// From so many seconds on a run says something about growth.
const LONG: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(120);

/// What the process had at a moment.
struct Sample {
    seconds: f64,
    rss: u64,
    files: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let seconds: u64 = setting("SECONDS_TO_RUN", 600)?;
    let rate: u64 = setting("RATE", 50)?;
    let seed: u64 = setting("SEED", 1)?;
    let warm_up = Duration::from_secs(60.min(seconds / 10));
    let installation = Installation::new();
    let arguments = format!("--seed {seed} --plan soak --rate {rate} --temporary 1 --permanent 1");
    with_traffic(&installation, GROUPS, false, &arguments);
    let file = platform_file(&installation);
    say(&format!("{seconds} s, {rate} messages/s over {GROUPS} groups, seed {seed}, warm-up {warm_up:?}"))?;

    let host = StubHost::start(&installation, false)?;
    let (begin, mut cpu) = (Instant::now(), CpuTime::default());
    let mut samples = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_secs(1));
        cpu.sample(host.pid()).context("the host is gone")?;
        if begin.elapsed() >= warm_up {
            let (rss, files) = (rss_kibibytes(host.pid())?, open_files(host.pid())?);
            samples.push(Sample { seconds: begin.elapsed().as_secs_f64(), rss, files });
        }
    }
    let share = cpu.total().as_secs_f64() / begin.elapsed().as_secs_f64();
    ensure!(samples.len() > 2, "too short for a slope");
    for (name, sample) in
        [("start", &samples[0]), ("middle", &samples[samples.len() / 2]), ("end", &samples[samples.len() - 1])]
    {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let mebibytes = sample.rss as f64 / 1024.0;
        say(&format!(
            "{name:<7} {:>6.0} s   RSS {mebibytes:>6.2} MiB   open files {:>4}",
            sample.seconds, sample.files
        ))?;
    }
    let slope = slope(&samples) * TEN_MINUTES;
    // Caches fill in the first minutes, and files are opened for groups that are met for the first time.
    let long = seconds >= LONG;
    let grows = slope > LIMIT;
    let leaks = samples[samples.len() - 1].files > samples[0].files + MORE_FILES;
    let judged = |met: bool| if long { verdict(met) } else { "not judged, the run is too short" };
    say(&format!("slope   {slope:+.0} KiB in ten minutes, target <= {LIMIT:.0}: {}", judged(!grows)))?;
    say(&format!("files   {}", judged(!leaks)))?;
    say(&format!("CPU     {:.1} % of one processor", share * 100.0))?;

    std::fs::write(file.with_extension("stop"), "")?;
    quiesce(installation.root(), &file, PATIENCE)?;
    let status = host.stop()?;
    ensure!(status.success(), "the host ended with {status}");
    let ledger = Ledger::read(installation.root(), &file)?;
    let repeats = Ledger::repeats(&file)?;
    say(&format!("ledger  {ledger}"))?;
    say(&format!("sent twice {repeats}: {}", verdict(repeats == 0)))?;
    let good = !(long && (grows || leaks)) && ledger.balances() && repeats == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Least squares: KiB a second.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean_time = samples.iter().map(|sample| sample.seconds).sum::<f64>() / count;
    let mean_rss = samples.iter().map(|sample| sample.rss as f64).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for sample in samples {
        above += (sample.seconds - mean_time) * (sample.rss as f64 - mean_rss);
        below += (sample.seconds - mean_time).powi(2);
    }
    above / below
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn setting(name: &str, otherwise: u64) -> anyhow::Result<u64> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text.parse().with_context(|| format!("{name}={text}")),
        _ => Ok(otherwise),
    }
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}
