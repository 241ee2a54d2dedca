//! Conversations through the whole chain.

use anyhow::Result;
use buffa::MessageField;
use longshore_whatsapp_fake::person::Person;
use serde_json::json;
use whatsapp_rust::Jid;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ChatPresence;
use whatsapp_rust::waproto::whatsapp as wa;

use super::{Chain, WORK, text};
use crate::baileys::{Peer, folder};
use crate::rig::{BOT, BOT_HIDDEN, GROUP, HANA};

/// A group, and who answers in it.
#[derive(Clone, Copy)]
struct Place {
    chat: &'static str,
    is_hidden: bool,
    speaker: &'static str,
}

fn places(is_hidden: bool) -> [Place; 2] {
    [
        Place { chat: GROUP, is_hidden, speaker: "[rehearsal · claude · family]" },
        Place { chat: WORK, is_hidden: !is_hidden, speaker: "[rehearsal · codex · work]" },
    ]
}

impl Place {
    fn jid(self) -> Jid {
        self.chat.parse().unwrap()
    }

    /// What the stand-in for the models says back.
    fn echo(self, said: &str) -> String {
        format!("{} You said: {said}", self.speaker)
    }

    /// The assistant's id in this group.
    fn own(self) -> String {
        if self.is_hidden { format!("{BOT_HIDDEN}@lid") } else { format!("{BOT}@s.whatsapp.net") }
    }
}

async fn sees_typing(hana: &Person, chat: &str) -> Result<()> {
    let seen = hana.hears("typing", |event| match event {
        Event::ChatPresence(update) => {
            (update.state == ChatPresence::Composing).then(|| update.source.chat.to_string())
        }
        _ => None,
    });
    assert_eq!(seen.await?, chat);
    Ok(())
}

/// Whatever wakes the agent in a group wakes it.
async fn what_wakes(chain: &Chain, hana: &Person, place: Place) -> Result<()> {
    let group = place.jid();
    // The word at the beginning; what was said before is read with it.
    hana.client.send_text(&group, "nobody is asked").await?;
    hana.client.send_text(&group, "@Andy hello").await?;
    sees_typing(hana, place.chat).await?;
    let answer = hana.reads().await?;
    assert_eq!(text(&answer), place.echo("nobody is asked / @Andy hello"));

    // A reply to what it said.
    let quote = wacore::proto_helpers::build_quote_context(
        answer.info.id.to_string(),
        place.own(),
        &wa::Message::text(text(&answer)),
    );
    hana.client.send_message(&group, wa::Message::text_with_context("are you sure?", quote)).await?;
    assert_eq!(text(&hana.reads().await?), place.echo("are you sure?"));

    // A mention without the word, by either of its ids.
    for own in [format!("{BOT}@s.whatsapp.net"), format!("{BOT_HIDDEN}@lid")] {
        let said = format!("what do you think, @{}?", own.split('@').next().unwrap());
        let context = wa::ContextInfo { mentioned_jid: vec![own], ..Default::default() };
        hana.client.send_message(&group, wa::Message::text_with_context(&*said, context)).await?;
        assert_eq!(text(&hana.reads().await?), place.echo(&said));
    }

    // A file whose caption begins with the word.
    let image = wa::message::ImageMessage {
        caption: Some("@Andy look".into()),
        mimetype: Some("image/jpeg".into()),
        file_length: Some(1_234_567),
        url: Some("https://mmg.whatsapp.net/x".into()),
        direct_path: Some("/x".into()),
        media_key: Some(vec![1; 32]),
        file_sha256: Some(vec![2; 32]),
        file_enc_sha256: Some(vec![3; 32]),
        ..Default::default()
    };
    let image = wa::Message { image_message: MessageField::some(image), ..Default::default() };
    hana.client.send_message(&group, image).await?;
    assert_eq!(text(&hana.reads().await?), place.echo("@Andy look [image, image/jpeg, 1.2 MB]"));

    // A reaction does not, not even one to what it said; it is read with what comes next.
    let key = wa::MessageKey {
        remote_jid: Some(place.chat.into()),
        from_me: Some(false),
        id: Some(answer.info.id.to_string()),
        participant: Some(place.own()),
    };
    hana.client.send_message(&group, wacore::proto_helpers::build_reaction_message(key, "👍", 1)).await?;
    let reacted = format!(
        "SELECT count(*) FROM messages WHERE chat = '{}' AND route = 'context: a reaction' AND NOT wakes",
        place.chat
    );
    chain.until("the reaction is stored", || Ok(chain.number(&reacted)? == 1)).await?;
    hana.client.send_text(&group, "@Andy and now?").await?;
    assert_eq!(text(&hana.reads().await?), place.echo("[reacts with 👍] / @Andy and now?"));
    Ok(())
}

/// What is said while a turn runs belongs to the next one, as it reads by then.
async fn an_edit(hana: &Person, place: Place) -> Result<()> {
    let group = place.jid();
    hana.client.send_text(&group, "@Andy #rehearse delay 1.5 say I am slow").await?;
    sees_typing(hana, place.chat).await?;
    let second = hana.client.send_text(&group, "@Andy teh weather").await?.message_id;
    hana.client.edit_message(&group, second, wa::Message::text("@Andy the weather")).await?;
    assert_eq!(text(&hana.reads().await?), "I am slow");
    assert_eq!(text(&hana.reads().await?), place.echo("@Andy the weather"));
    Ok(())
}

async fn a_conversation(is_hidden: bool) -> Result<()> {
    let (mut chain, hana) = Chain::start(is_hidden).await?;
    // The main group is a direct chat, and has no `provider`.
    let bot: Jid = format!("{BOT}@s.whatsapp.net").parse()?;
    hana.client.send_text(&bot, "just us").await?;
    assert_eq!(text(&hana.reads().await?), "[rehearsal · claude · main] You said: just us");
    for place in places(is_hidden) {
        what_wakes(&chain, &hana, place).await?;
        an_edit(&hana, place).await?;
    }
    chain.balances().await?;
    let main = format!("SELECT count(*) FROM turns WHERE chat = '{HANA}@s.whatsapp.net' AND provider = 'claude'");
    assert_eq!(chain.number(&main)?, 1);
    chain.stop_host()
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_answers_a_group_of_phone_numbers_and_codex_one_of_hidden_ids() -> Result<()> {
    a_conversation(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn claude_answers_a_group_of_hidden_ids_and_codex_one_of_phone_numbers() -> Result<()> {
    a_conversation(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_by_others_talks_with_claude_and_with_codex() -> Result<()> {
    let Some(folder) = folder().await else { return Ok(()) };
    for is_hidden in [false, true] {
        let mut chain = Chain::installed(is_hidden, "").await?;
        let mut peer = Peer::join(&chain.rig, folder).await?;
        chain.start_host()?;
        chain.connected().await?;
        for place in places(is_hidden) {
            let said = peer.say(place.chat, json!({ "text": "@Andy hello" })).await?;
            peer.hears("typing", |event| (event["presence"] == "composing").then_some(())).await?;
            let answer = place.echo("@Andy hello");
            peer.hears("the answer", |event| (event["message"]["text"] == answer.as_str()).then_some(())).await?;
            let stored = format!("SELECT count(*) FROM messages WHERE platform_id = '{said}'");
            assert_eq!(chain.number(&stored)?, 1);
        }
        chain.balances().await?;
        chain.stop_host()?;
    }
    Ok(())
}
