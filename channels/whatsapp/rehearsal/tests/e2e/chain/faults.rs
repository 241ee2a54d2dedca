//! Whatever dies or breaks: every message has one row, every reply one id on the wire.

use std::time::Duration;

use anyhow::{Context as _, Result};
use longshore_whatsapp_fake::person::Person;
use longshore_whatsapp_fake::state::{Failure, Fault};
use tokio::time::sleep;
use whatsapp_rust::Jid;

use super::{Chain, WORK, text};
use crate::rig::{BOT, GROUP, HANA};

fn hello(said: &str) -> String {
    format!("[rehearsal · claude · family] You said: {said}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_between_its_commit_and_the_acknowledgement_answers_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hold = folder.path().join("hold");
    let between = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hold.py");
    let mut chain = Chain::installed(true, &format!("python3 {between} {} ", hold.display())).await?;
    let hana = Person::join(&chain.rig.server, HANA).await?;
    chain.start_host()?;
    chain.connected().await?;

    std::fs::write(&hold, "")?;
    let id = hana.client.send_text(&chain.rig.group(), "@Andy once").await?.message_id;
    let stored = format!("SELECT count(*) FROM messages WHERE platform_id = '{id}'");
    chain.until("the row is committed", || Ok(chain.number(&stored)? == 1)).await?;
    chain.kill_host()?;
    let acknowledged = (BOT.to_owned(), id.clone());
    assert!(!chain.rig.server.state().acked.contains(&acknowledged), "nobody has told WhatsApp");

    std::fs::remove_file(&hold)?;
    chain.start_host()?;
    assert_eq!(text(&hana.reads().await?), hello("@Andy once"));
    // It was brought again, and is the same row.
    chain.rig.server.until("it is acknowledged", |state| state.acked.contains(&acknowledged)).await?;
    assert_eq!(chain.number(&stored)?, 1);
    chain.balances().await?;
    assert_eq!(chain.said_on_the_wire().len(), 1);
    chain.stop_host()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_is_killed_during_a_turn_sends_its_answer_once() -> Result<()> {
    let (mut chain, hana) = Chain::start(false).await?;
    let group = chain.rig.group();
    hana.client.send_text(&group, "@Andy #rehearse delay 1 say after all").await?;
    let running = "SELECT count(*) FROM turns WHERE state = 'running'";
    chain.until("the turn runs", || Ok(chain.number(running)? == 1)).await?;
    chain.kill_adapter()?;
    // What is said to an adapter that is not there comes when it is.
    hana.client.send_text(&group, "@Andy are you there?").await?;
    assert_eq!(text(&hana.reads().await?), "after all");
    assert_eq!(text(&hana.reads().await?), hello("@Andy are you there?"));
    chain.balances().await?;
    assert_eq!(chain.said_on_the_wire().len(), 2);
    chain.stop_host()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_whose_confirmation_was_lost_with_the_host_is_the_same_message() -> Result<()> {
    let (mut chain, hana) = Chain::start(true).await?;
    chain.rig.server.state().faults.insert(BOT.to_owned(), [Fault::Unconfirmed].into());
    hana.client.send_text(&chain.rig.group(), "@Andy once").await?;
    // The person has it, and the host does not know.
    let read = hana.reads().await?;
    chain.kill_host()?;
    assert_eq!(text(&read), hello("@Andy once"));
    chain.start_host()?;
    chain.balances().await?;
    let mut ids = chain.said_on_the_wire();
    ids.dedup();
    assert_eq!(ids, [read.info.id.to_string()]);
    chain.stop_host()
}

/// What dies or breaks.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Host,
    Adapter,
    Connection,
    Server,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_and_whenever_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let (mut chain, hana) = Chain::start(true).await?;
    let groups: [Jid; 2] = [GROUP.parse()?, WORK.parse()?];
    let blows = [
        (Blow::Host, 0),
        (Blow::Connection, 5),
        (Blow::Adapter, 30),
        (Blow::Host, 60),
        (Blow::Server, 100),
        (Blow::Host, 250),
        (Blow::Adapter, 500),
        (Blow::Host, 900),
    ];
    let mut said = Vec::new();
    // Both know each other: of the first message of a new device less is promised, see `docs/whatsapp.md`.
    for group in &groups {
        let text = format!("@Andy hello in {group}");
        hana.client.send_text(group, text.clone()).await?;
        said.push(text);
        hana.reads().await?;
    }
    for (round, (blow, after)) in blows.into_iter().enumerate() {
        for group in &groups {
            for number in 0..3 {
                let text = format!("@Andy k{round}.{number} in {group}");
                hana.client.send_text(group, text.clone()).await?;
                said.push(text);
            }
        }
        sleep(Duration::from_millis(after)).await;
        match blow {
            Blow::Host => {
                chain.kill_host()?;
                chain.start_host()?;
            }
            // It may be waiting for its next start.
            Blow::Adapter => drop(chain.kill_adapter()),
            Blow::Connection => chain.rig.server.cut(BOT),
            Blow::Server => {
                chain.rig.server.refuse(BOT, [Failure::new(503), Failure::new(503)]);
                chain.rig.server.cut(BOT);
            }
        }
    }
    let all = chain.until("everything said is stored", || Ok(chain.heard()?.len() == said.len())).await;
    let heard = chain.heard()?;
    let missing: Vec<_> = said.iter().filter(|text| !heard.contains_key(*text)).collect();
    all.with_context(|| format!("{missing:?}"))?;
    chain.balances().await?;
    for text in &said {
        assert_eq!(chain.heard()?.get(text), Some(&1), "{text}");
    }
    // Every reply was read, each under the id of its row.
    let mut read = std::collections::BTreeSet::new();
    let rows = usize::try_from(chain.number("SELECT count(*) FROM outbox")?)? - groups.len();
    while read.len() < rows {
        read.insert(hana.reads().await?.info.id.to_string());
    }
    chain.stop_host()
}
