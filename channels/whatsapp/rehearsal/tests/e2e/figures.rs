//! What the adapter costs. `LONGSHORE_WHATSAPP_REHEARSAL` names a release build of it.

use std::time::Instant;

use anyhow::{Context as _, Result};
use longshore_protocol::channel::LinkState;

use crate::rig::{GROUP, Host, Rig};

fn memory(host: &Host) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.child.id().context("it has ended")?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("no figure")?;
    Ok(line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run with --nocapture"]
async fn start_memory_and_latency() -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    for _ in 0..3 {
        let begin = Instant::now();
        let mut host = rig.start().await?;
        host.state(LinkState::Up).await?;
        eprintln!("start to connected: {:?}, memory then {}", begin.elapsed(), memory(&host)?);
        host.stop().await?;
    }
    let mut host = rig.up().await?;
    for number in 0..200 {
        let begin = Instant::now();
        hana.client.send_text(&rig.group(), format!("message {number}")).await?;
        host.message().await?;
        let heard = begin.elapsed();
        let begin = Instant::now();
        host.sends(GROUP, "answer", None).await?;
        if number % 50 == 49 {
            eprintln!("said to line: {heard:?}; send to sent: {:?}; memory {}", begin.elapsed(), memory(&host)?);
        }
    }
    host.stop().await
}
