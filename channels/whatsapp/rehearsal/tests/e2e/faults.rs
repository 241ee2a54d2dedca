//! Broken connections, killed processes, what cannot be decrypted: nothing is lost, no id is used twice.

use anyhow::Result;
use longshore_protocol::channel::{AdapterCommand, AdapterEvent, LinkState};
use longshore_whatsapp_fake::state::{Failure, Fault};
use whatsapp_rust::prelude::*;

use crate::rig::{BOT, GROUP, Rig};

async fn a_message_that_breaks_off(fault: Fault) -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    let mut host = rig.up().await?;
    rig.server.state().faults.insert(BOT.to_owned(), [fault].into());
    let (row, id) = host.send(GROUP, "once", None).await?;
    host.state(LinkState::Down).await?;
    host.sent(row).await?;
    let read = hana.reads().await?;
    assert_eq!((read.info.id.as_str(), read.message.text_content()), (&*id, Some("once")));
    let mut ids = rig.server.state().sent_by(BOT);
    ids.dedup();
    assert_eq!(ids, [id], "one message has one id, however often it is written");
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_lost_on_the_way_is_sent_again() -> Result<()> {
    a_message_that_breaks_off(Fault::Lost).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_confirmation_was_lost_is_the_same_message() -> Result<()> {
    a_message_that_breaks_off(Fault::Unconfirmed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_restart_is_not_sent_again() -> Result<()> {
    let (rig, _hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    let id = host.sends(GROUP, "once", None).await?;
    host.kill().await?;
    let mut host = rig.up().await?;
    // The new host has not heard that it was sent: the same row, the same id.
    assert_eq!(host.sends(GROUP, "once", None).await?, id);
    assert_eq!(rig.server.state().sent_by(BOT), [id]);
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_while_messages_come_loses_none() -> Result<()> {
    let (rig, hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    rig.server.state().cut_after.insert(BOT.to_owned(), 3);
    for number in 0..8 {
        hana.client.send_text(&rig.group(), format!("message {number}")).await?;
    }
    let mut heard = Vec::new();
    while heard.len() < 8 {
        let text = host.message().await?.text;
        // Twice is the host's to drop.
        if !heard.contains(&text) {
            heard.push(text);
        }
    }
    assert_eq!(heard, (0..8).map(|number| format!("message {number}")).collect::<Vec<_>>());
    rig.server
        .until("every message is acknowledged", |state| {
            state.accounts[BOT].devices.values().all(|device| device.unacked.is_empty() && device.offline.is_empty())
        })
        .await?;
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_host_has_not_stored_comes_again_after_a_kill() -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    let mut host = rig.up().await?;
    host.store(false);
    let acked = rig.server.state().acked.len();
    let id = hana.client.send_text(&rig.group(), "must not be lost").await?.message_id;
    assert_eq!(host.message().await?.id, id);
    host.kill().await?;
    assert!(!rig.server.state().acked[acked..].iter().any(|(_, acked)| *acked == id), "nobody had stored it");

    let mut host = rig.start().await?;
    let again = host.message().await?;
    assert_eq!((again.id.as_str(), again.text.as_str(), again.offline), (&*id, "must not be lost", true));
    rig.server.until("it is acknowledged", |state| state.acked.contains(&(BOT.to_owned(), id.clone()))).await?;
    host.stop().await?;

    // Now it is done for good.
    let mut host = rig.up().await?;
    hana.client.send_text(&rig.group(), "the next").await?;
    assert_eq!(host.message().await?.text, "the next");
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decrypted_is_asked_for_again() -> Result<()> {
    let (rig, hana) = Rig::linked(true).await?;
    let mut host = rig.up().await?;
    hana.client.send_text(&rig.group(), "first").await?;
    assert_eq!(host.message().await?.text, "first");
    rig.server.state().faults.insert(crate::rig::HANA.to_owned(), [Fault::Corrupted].into());
    hana.client.send_text(&rig.group(), "damaged on the way").await?;
    assert_eq!(host.message().await?.text, "damaged on the way");
    assert!(rig.server.state().retries > 0);
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_available_is_waited_for() -> Result<()> {
    let (rig, hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    rig.server.refuse(BOT, [Failure::new(503), Failure::new(500)]);
    rig.server.cut(BOT);
    host.state(LinkState::Down).await?;
    hana.client.send_text(&rig.group(), "meanwhile").await?;
    // What is asked for meanwhile waits as well.
    let (row, _) = host.send(GROUP, "later", None).await?;
    let mut up = false;
    let mut heard = None;
    let mut sent = false;
    while !up || heard.is_none() || !sent {
        host.hear("all of it", |event| {
            match event {
                AdapterEvent::Status { state: LinkState::Up, .. } => up = true,
                AdapterEvent::Message(message) => heard = Some((message.text.clone(), message.offline)),
                AdapterEvent::Sent { outbox_id, .. } => sent = *outbox_id == row,
                _ => return None,
            }
            Some(())
        })
        .await?;
    }
    assert_eq!(heard, Some(("meanwhile".to_owned(), true)));
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_in_a_chat_whatever_the_pace() -> Result<()> {
    let (rig, hana) = Rig::linked(false).await?;
    let mut host = rig.start_with(&["--chat-gap", "5", "--per-minute", "60000"]).await?;
    host.state(LinkState::Up).await?;
    let mut rows = Vec::new();
    for number in 0..12 {
        rows.push(host.send(GROUP, &format!("part {number}"), None).await?.0);
    }
    for row in rows {
        host.sent(row).await?;
    }
    for number in 0..12 {
        assert_eq!(hana.reads().await?.message.text_content(), Some(&*format!("part {number}")));
    }
    host.say(&AdapterCommand::Stop).await?;
    Ok(())
}
