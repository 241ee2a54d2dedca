//! What came while nobody was there.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use longshore_protocol::channel::{AdapterCommand, AdapterEvent, LinkState};
use longshore_whatsapp_fake::PATIENCE;
use longshore_whatsapp_fake::person::Person;
use tokio::time::{sleep, timeout};

use crate::rig::{BOT, GROUP, Rig};

const COUNT: usize = 500;

async fn write_all(rig: &Rig, hana: &Person) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for number in 0..COUNT {
        let text = format!("while you were away {number}");
        hana.client.send_text(&rig.group(), text.clone()).await?;
        texts.push(text);
    }
    rig.server
        .until("all of it waits", |state| {
            state.accounts[BOT].devices.values().map(|device| device.offline.len()).max() == Some(COUNT)
        })
        .await?;
    Ok(texts)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_messages_come_in_order_and_each_is_acknowledged_once_it_is_stored() -> Result<()> {
    let (rig, hana) = Rig::linked(false).await?;
    // The first contact makes the keys.
    let host = rig.up().await?;
    host.stop().await?;
    let texts = write_all(&rig, &hana).await?;

    // A host that stores nothing is killed over it; nothing counts as received.
    let before = rig.server.state().acked.len();
    let mut host = rig.start().await?;
    host.store(false);
    host.message().await?;
    host.kill().await?;
    let acked = rig.server.state().acked[before..].iter().filter(|(phone, _)| phone == BOT).count();
    assert_eq!(acked, 0, "nothing was stored");

    let mut host = rig.start().await?;
    let mut heard: Vec<String> = Vec::new();
    let mut ids = Vec::new();
    while heard.len() < COUNT {
        let message = host.message().await?;
        assert!(message.offline, "{message:?}");
        if !ids.contains(&message.id) {
            heard.push(message.text);
            ids.push(message.id);
        }
    }
    assert_eq!(heard, texts);
    rig.server
        .until("each is acknowledged", |state| ids.iter().all(|id| state.acked.contains(&(BOT.to_owned(), id.clone()))))
        .await?;
    let state_acked = rig.server.state().acked.clone();
    for id in &ids {
        let times = state_acked.iter().filter(|(phone, acked)| phone == BOT && acked == id).count();
        assert_eq!(times, 1, "{id}");
    }
    host.sends(GROUP, "I have read it all", None).await?;
    host.stop().await?;

    // And nothing of it comes again.
    let mut host = rig.start().await?;
    host.state(LinkState::Up).await?;
    hana.client.send_text(&rig.group(), "and now?").await?;
    assert_eq!(host.message().await?.text, "and now?");
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_command_takes_no_message_from_the_host() -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    hana.client.send_text(&rig.group(), "while nobody was there").await?;
    for _ in 0..2 {
        let (done, listed) = rig.run(&["groups"]).await?;
        assert!(done && listed.contains("Family"), "{listed}");
    }
    let mut host = rig.start().await?;
    assert_eq!(host.message().await?.text, "while nobody was there");
    host.stop().await
}

/// How a host leaves its adapter.
#[derive(Debug, Clone, Copy)]
enum Leave {
    InOrder,
    ByItsDeath,
    ByTheAdapters,
}

#[tokio::test(flavor = "multi_thread")]
async fn however_an_adapter_ends_while_messages_come_it_loses_none() -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    let (mut said, mut heard) = (Vec::new(), BTreeSet::new());
    // Both know each other: of the first message of a new device less is promised, see `docs/whatsapp.md`.
    let mut host = rig.up().await?;
    hana.client.send_text(&rig.group(), "hello").await?;
    host.message().await?;
    host.sends(GROUP, "hello", None).await?;
    host.stop().await?;
    for (round, (leave, after)) in [Leave::InOrder, Leave::ByItsDeath, Leave::ByTheAdapters]
        .into_iter()
        .cycle()
        .zip([0, 0, 0, 3, 3, 3, 8, 8, 8, 20, 20, 20])
        .enumerate()
    {
        let mut host = rig.start().await?;
        // What came again comes before.
        let up = |event: &AdapterEvent| match event {
            AdapterEvent::Message(message) => {
                heard.insert(message.text.clone());
                None
            }
            AdapterEvent::Status { state: LinkState::Up, .. } => Some(()),
            _ => None,
        };
        host.hear("the connection", up).await?;
        for number in 0..4 {
            let text = format!("{number} before an end {leave:?} {after} ms later, {round}");
            hana.client.send_text(&rig.group(), text.clone()).await?;
            said.push(text);
        }
        sleep(Duration::from_millis(after)).await;
        match leave {
            Leave::InOrder => host.say(&AdapterCommand::Stop).await?,
            Leave::ByItsDeath => {}
            Leave::ByTheAdapters => host.child.kill().await?,
        }
        host.close().await;
        timeout(PATIENCE, host.child.wait()).await??;
        heard.extend(host.rest().await);
    }
    let mut host = rig.start().await?;
    while let Some(missing) = said.iter().find(|text| !heard.contains(*text)) {
        heard.insert(host.message().await.with_context(|| missing.clone())?.text);
    }
    host.stop().await
}
