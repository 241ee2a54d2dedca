//! The groups file with a thousand groups in it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use longshore::groups::watch::GroupsWatch;
use longshore::groups::{FILE_NAME, Groups, load};
use longshore::stop::Stop;

use crate::table::Samples;

const GROUPS: usize = 1000;

/// A file of a thousand groups as operators have them; `round` changes one of them.
fn file(round: usize) -> String {
    let entries: Vec<String> = (0..GROUPS)
        .map(|number| {
            let name = if number == 0 { format!("round {round}") } else { format!("Group {number}") };
            format!(
                r#"  "1203633{number:08}@g.us": {{
    "name": "{name}", "folder": "group-{number}", "trigger": "@Andy", "added_at": "2026-01-31T12:00:00.000Z",
    "requiresTrigger": true, "provider": "codex", "timezone": "Europe/Berlin", "memoryLimit": "1g",
    "providerConfig": {{"codex": {{"approvalPolicy": "auto", "reasoningEffort": "low"}}}},
    "containerConfig": {{"timeout": 600000}}
  }}"#
            )
        })
        .collect();
    format!("{{\n{}\n}}\n", entries.join(",\n"))
}

/// Parsing and validating the whole file, in ms.
pub(crate) fn parse(runs: usize) -> Samples {
    let text = file(0);
    let measure = |_| {
        let begin = Instant::now();
        let loaded = load(text.as_bytes(), &Groups::default());
        assert_eq!(loaded.groups.len(), GROUPS, "{:?}", loaded.problems.first());
        begin.elapsed().as_secs_f64() * 1000.0
    };
    Samples::of((0..runs).map(measure).collect())
}

/// From the end of a write to the new snapshot, in ms; in place and by rename in turn.
pub(crate) async fn edit_to_effect(runs: usize) -> anyhow::Result<Samples> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, file(0))?;
    let watch = GroupsWatch::open(&path).await;
    let mut snapshots = watch.subscribe();
    let stop = Stop::new();
    let running = tokio::spawn(watch.run(stop.clone()));
    let mut samples = Vec::new();
    for round in 1..=runs {
        snapshots.mark_unchanged();
        save(&path, round)?;
        let begin = Instant::now();
        let wanted = format!("round {round}");
        let applied = async {
            loop {
                if snapshots.borrow_and_update().groups.iter().any(|group| group.name == wanted) {
                    return Ok::<(), anyhow::Error>(());
                }
                snapshots.changed().await?;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), applied).await.context("the edit was not applied")??;
        samples.push(begin.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    stop.cancel();
    running.await?;
    Ok(Samples::of(samples))
}

fn save(path: &Path, round: usize) -> std::io::Result<()> {
    if round.is_multiple_of(2) {
        return std::fs::write(path, file(round));
    }
    let beside = path.with_extension("json.new");
    std::fs::write(&beside, file(round))?;
    std::fs::rename(beside, path)
}
