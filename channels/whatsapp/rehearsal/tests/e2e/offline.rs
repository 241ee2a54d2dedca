//! What came while nobody was there.

use anyhow::Result;
use longshore_protocol::channel::LinkState;
use longshore_whatsapp_fake::person::Person;

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
