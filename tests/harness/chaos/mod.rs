//! Kills of a real host at random points, and whether anything was lost, doubled or disordered by them.
//!
//! The real binary in rehearsal with real containers, and the traffic adapter as its channel. Everything
//! random comes from the seed. What time does with it is the machine's, so a run is repeated closely, not
//! exactly.

mod check;
mod life;
mod turns;

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::life::Life;
use crate::Installation;
use crate::host::containers_of;
use crate::ledger::{Ledger, quiesce, store};
use crate::platform::Platform;
use crate::script::draw;
use crate::stub::{channel, platform_file};

/// Chats, each with its group: one on claude, the others on codex.
const GROUPS: usize = 3;
/// Of one of the groups, all the time; in ms.
const INTERVAL: i64 = 3_000;
/// How long everything may take to be done after the last kill.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    /// How often the host is killed.
    pub kills: u64,
    /// Where everything random comes from.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    chaos: Chaos,
    took: Duration,
    /// From the start of each host that lived long enough to its open socket.
    ready: Vec<Duration>,
    ledger: Ledger,
    counts: check::Counts,
    complaints: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.ledger.balances() && self.complaints.is_empty()
    }
}

/// Kills hosts and checks the books.
///
/// # Errors
/// A host that does not start, does not come to rest, or does not stop; the installation is kept then, and
/// when something is wrong in the report.
pub fn run(chaos: Chaos) -> anyhow::Result<Report> {
    let installation = Installation::new();
    let result = kill_and_check(chaos, &installation);
    if !result.as_ref().is_ok_and(Report::is_good) {
        let root = installation.keep();
        return result.with_context(|| format!("SEED={}, kept in {}", chaos.seed, root.display())).map(|mut report| {
            report.complaints.push(format!("the installation is kept in {}", root.display()));
            report
        });
    }
    result
}

fn kill_and_check(chaos: Chaos, installation: &Installation) -> anyhow::Result<Report> {
    prepare(chaos, installation)?;
    let begin = Instant::now();
    let mut ready = Vec::new();
    for kill in 0..chaos.kills {
        let mut life = Life::start(installation)?;
        ready.extend(life.live(delay(chaos.seed, kill))?);
        life.kill()?;
    }
    let mut life = Life::start(installation)?;
    ready.extend(life.until_ready()?);
    std::fs::write(platform_file(installation).with_extension("stop"), "")?;
    call_off_intervals(installation)?;
    tasks_over(installation)?;
    quiesce(installation.root(), &platform_file(installation), PATIENCE)?;
    life.stop()?;
    let took = begin.elapsed();

    let root = installation.root();
    let ledger = Ledger::read(root, &platform_file(installation))?;
    let mut complaints = turns::complaints(root)?;
    complaints.extend(check::tasks(root, INTERVAL)?);
    complaints.extend(check::logs(root)?);
    let left = containers_of(&installation.root_hash());
    if !left.is_empty() {
        complaints.push(format!("containers were left: {left:?}"));
    }
    let counts = check::Counts::read(root, &Platform::read(&platform_file(installation))?)?;
    Ok(Report { chaos, took, ready, ledger, counts, complaints })
}

fn prepare(chaos: Chaos, installation: &Installation) -> anyhow::Result<()> {
    let entries: Vec<String> = (0..GROUPS)
        .map(|number| {
            let provider = if number == 0 { "claude" } else { "codex" };
            format!(
                r#""traffic:{number}": {{"name": "G{number}", "folder": "g{number}", "trigger": "@Andy", "added_at": "x", "requiresTrigger": false, "provider": "{provider}"}}"#
            )
        })
        .collect();
    installation.groups(&format!("{{{}}}", entries.join(",\n")));
    let arguments = format!("--seed {} --plan chaos --rate 2 --temporary 4 --permanent 3", chaos.seed);
    installation.env(&channel(installation, GROUPS, &arguments));
    // Tasks whose times come while hosts die, about one for every four of them.
    let now = longshore::clock::Clock::system().now();
    for number in 0..chaos.kills.div_ceil(4) {
        let wait = 2_000 + draw(chaos.seed, ("task", number)) % (chaos.kills * 900);
        let at = now.checked_add(Duration::from_millis(wait))?.to_string();
        let group = format!("g{}", number % 3);
        let prompt = format!("#rehearse say tick {number}");
        done(installation.command().args(["tasks", "add", "--group", &group, "--type", "once", "--at", &at, &prompt]))?;
    }
    let every = INTERVAL.to_string();
    done(installation.command().args(["tasks", "add", "--group", "g2", "--type", "interval", "--at", &every]).args([
        "--misfire",
        "all",
        "--overlap",
        "queue",
        "#rehearse say again",
    ]))
}

/// When host number `kill` dies, counted from its start: while it starts, takes messages in, runs a turn,
/// or delivers.
fn delay(seed: u64, kill: u64) -> Duration {
    let within = |least: u64, most: u64| least + draw(seed, ("delay", kill)) % (most - least);
    Duration::from_millis(match draw(seed, ("phase", kill)) % 100 {
        0..15 => within(0, 60),
        15..35 => within(60, 400),
        35..75 => within(400, 1_500),
        _ => within(1_500, 3_000),
    })
}

fn call_off_intervals(installation: &Installation) -> anyhow::Result<()> {
    let connection = store(installation.root())?;
    let mut query = connection.prepare("SELECT id FROM tasks WHERE schedule_type = 'interval'")?;
    let ids = query.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    ids.iter().try_for_each(|id| done(installation.command().args(["tasks", "cancel", id])))
}

fn tasks_over(installation: &Installation) -> anyhow::Result<()> {
    let connection = store(installation.root())?;
    let begin = Instant::now();
    loop {
        let active: i64 =
            connection.query_row("SELECT count(*) FROM tasks WHERE status = 'active'", [], |row| row.get(0))?;
        if active == 0 {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "{active} tasks are not over after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn done(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ready: Vec<u128> = self.ready.iter().map(Duration::as_millis).collect();
        ready.sort_unstable();
        let at = |percent: usize| ready.get(ready.len() * percent / 100).or(ready.last()).copied().unwrap_or_default();
        let Chaos { kills, seed } = self.chaos;
        writeln!(f, "kills {kills}   SEED={seed}   {:.1} s", self.took.as_secs_f64())?;
        writeln!(f, "restart to ready: p50 {} ms, p95 {} ms, most {} ms, of {}", at(50), at(95), at(100), ready.len())?;
        writeln!(f, "{}", self.counts)?;
        write!(f, "{}", self.ledger)?;
        for complaint in &self.complaints {
            write!(f, "\n  {complaint}")?;
        }
        write!(f, "\n{}", if self.is_good() { "nothing lost, nothing doubled" } else { "WRONG" })
    }
}
