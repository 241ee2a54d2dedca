//! `longshore doctor`: what needs an operator's hand.
//!
//! The store is read directly, with or without a host; what only a host knows it is asked.

pub(super) mod credentials;
mod environment;
pub(super) mod findings;
mod look;
mod mend;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use self::findings::{Finding, HostSeen, Seen, Severity, findings, mends};
use super::paint::{Ink, Paint};
use super::status::duration;
use super::{Ending, print, say};
use crate::app;
use crate::config::Config;

/// How long the engine and the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The area of what providers say: it was asked for, so all of it is told.
const ONLINE: &str = "online";

/// Arguments of `longshore doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Also list what is as it should be, or on its way.
    #[arg(long)]
    all: bool,
    /// Mend what can be mended without a doubt: permissions, missing folders, containers that no host has, a missing
    /// agent image.
    #[arg(long)]
    fix: bool,
    /// Ask each provider that has a credential one small question: is it valid, and is there quota left?
    #[arg(long)]
    online: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<String>,
    findings: Vec<&'a Finding>,
}

pub(super) async fn doctor(args: &DoctorArgs, root: &Path) -> anyhow::Result<Ending> {
    app::check(root)?;
    let mut seen = look::look(root).await;
    let mut fixes = Vec::new();
    if args.fix {
        fixes = mend::mend(root, mends(&seen, root)).await;
        if !fixes.is_empty() {
            seen = look::look(root).await;
        }
    }
    if args.online
        && let Ok(config) = Config::load(root)
    {
        seen.asked = credentials::ask(&config, root).await;
    }
    let found = findings(&seen);
    let is_shown = |found: &&Finding| args.all || found.severity != Severity::Note || found.area == ONLINE;
    let shown: Vec<&Finding> = found.iter().filter(is_shown).collect();
    let errors = count(&found, Severity::Error);
    let paint = Paint::of_stdout();
    if args.json {
        say(&serde_json::to_string_pretty(&Report { fixes, findings: shown })?)?;
    } else {
        for fix in &fixes {
            say(fix)?;
        }
        for found in shown {
            print(&line(paint, found))?;
        }
        if args.online && seen.asked.is_empty() {
            say("nobody was asked: there is no credential")?;
        }
        let end = match (errors, count(&found, Severity::Warning)) {
            (0, 0) => reassure(&seen),
            (errors, warnings) => total(errors, warnings, !mends(&seen, root).is_empty() && !args.fix),
        };
        say(&end)?;
    }
    Ok(if errors == 0 { Ending::Done } else { Ending::Failed })
}

fn count(found: &[Finding], severity: Severity) -> usize {
    found.iter().filter(|found| found.severity == severity).count()
}

fn line(paint: Paint, Finding { severity, area, text, next, .. }: &Finding) -> String {
    let (ink, severity) = match severity {
        Severity::Error => (Ink::Bad, "error"),
        Severity::Warning => (Ink::Attention, "warning"),
        Severity::Note => (Ink::Faint, "note"),
    };
    let stop = if text.ends_with('?') { "" } else { "." };
    let rest = paint.text(Ink::Plain, &format!(" {area:<9} {text}{stop} {}", capital(next)));
    paint.text(ink, &format!("{severity:<7}")) + &rest
}

fn total(errors: usize, warnings: usize, can_fix: bool) -> String {
    let of = |number, noun| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let fix = if can_fix { "; `longshore doctor --fix` mends some of it" } else { "" };
    format!("{}, {}{fix}", of(errors, "error"), of(warnings, "warning"))
}

fn reassure(seen: &Seen) -> String {
    let HostSeen::Running(status) = &seen.host else { return "nothing found".into() };
    format!(
        "nothing found: up {}, {}, {} groups, {} channels, no message without an end",
        duration(status.uptime_seconds),
        status.engine.as_deref().unwrap_or("no engine"),
        status.groups.len(),
        status.channels.len(),
    )
}

/// The text with a capital letter, unless it begins with a command.
fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
