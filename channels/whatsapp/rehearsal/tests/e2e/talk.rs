//! What people say to each other, both ways.

use anyhow::{Context as _, Result};
use buffa::MessageField;
use longshore_protocol::channel::{AdapterCommand, AdapterEvent};
use longshore_whatsapp_fake::person::Person;
use longshore_whatsapp_fake::state::State;
use whatsapp_rust::Jid;
use whatsapp_rust::prelude::*;
use whatsapp_rust::types::presence::ChatPresence;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::rig::{BOT, BOT_HIDDEN, GROUP, HANA, HANA_HIDDEN, Rig};

fn ids_are_single(state: &State, phone: &str) {
    let mut ids = state.sent_by(phone);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id was on the wire twice: {ids:?}");
}

async fn a_conversation(is_hidden: bool) -> Result<()> {
    let (rig, hana) = Rig::linked(is_hidden).await?;
    let mut host = rig.up().await?;
    let group = rig.group();
    let (sender, sender_alt) = {
        let ids = (format!("{HANA}@s.whatsapp.net"), format!("{HANA_HIDDEN}@lid"));
        if is_hidden { (ids.1, ids.0) } else { ids }
    };

    // A person speaks.
    let first = hana.client.send_text(&group, "what is the weather?").await?.message_id;
    let heard = host.message().await?;
    assert_eq!((heard.id.as_str(), heard.chat.as_str(), heard.text.as_str()), (&*first, GROUP, "what is the weather?"));
    assert_eq!((&heard.sender, heard.sender_alt.as_ref()), (&sender, Some(&sender_alt)));
    assert_eq!(heard.sender_name, "Hana");
    assert!(heard.is_group && !heard.from_me && !heard.mentions_me && !heard.offline, "{heard:?}");

    // We answer: in WhatsApp's marks, under the host's id, quoting what is answered.
    let answer = host.sends(GROUP, "**Sunny**, see [here](https://a.example)", Some(&first)).await?;
    let read = hana.reads().await?;
    assert_eq!(read.info.id, answer);
    assert_eq!(read.message.text_content(), Some("*Sunny*, see here (https://a.example)"));
    let context = read.message.extended_text_message.as_option().context("no text")?.context_info.as_option();
    let context = context.context("nothing is quoted")?;
    assert_eq!(context.stanza_id.as_deref(), Some(&*first));
    assert_eq!(context.participant.as_deref(), Some(sender.as_str()));
    assert_eq!(context.quoted_message.as_option().and_then(|m| m.text_content()), Some("what is the weather?"));

    // They mention us, in a reply.
    for own in [format!("{BOT}@s.whatsapp.net"), format!("{BOT_HIDDEN}@lid")] {
        let mut context = wacore::proto_helpers::build_quote_context(
            answer.clone(),
            format!("{BOT}@s.whatsapp.net"),
            &wa::Message::text("Sunny"),
        );
        context.mentioned_jid = vec![own.clone()];
        hana.client.send_message(&group, wa::Message::text_with_context("@you are you sure?", context)).await?;
        let heard = host.message().await?;
        assert!(heard.mentions_me, "{own}");
        assert_eq!(heard.reply_to.as_deref(), Some(&*answer));
    }

    // They change their mind, react, and take it all back.
    hana.client.edit_message(&group, first.clone(), wa::Message::text("what is the time?")).await?;
    let edit =
        host.hear("an edit", |event| if let AdapterEvent::Edit(edit) = event { Some(edit.clone()) } else { None });
    let edit = edit.await?;
    assert_eq!((edit.target.as_str(), edit.text.as_str(), edit.chat.as_str()), (&*first, "what is the time?", GROUP));
    assert_eq!(edit.sender, sender);
    let own = if is_hidden { format!("{BOT_HIDDEN}@lid") } else { format!("{BOT}@s.whatsapp.net") };
    let key = wa::MessageKey {
        remote_jid: Some(GROUP.into()),
        from_me: Some(false),
        id: Some(answer.clone()),
        participant: Some(own),
    };
    hana.client.send_message(&group, wacore::proto_helpers::build_reaction_message(key, "👍", 1)).await?;
    let heard = host.message().await?;
    assert_eq!((heard.text.as_str(), heard.reply_to.as_deref()), ("[reacts with 👍]", Some(&*answer)));
    hana.client.revoke_message(&group, first.clone(), whatsapp_rust::RevokeType::Sender).await?;
    let deletion = host.hear("a deletion", |event| match event {
        AdapterEvent::Delete(deletion) => Some(deletion.clone()),
        _ => None,
    });
    assert_eq!(deletion.await?.target, first);

    // A file is a note.
    let image = wa::message::ImageMessage {
        caption: Some("look".into()),
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
    assert_eq!(host.message().await?.text, "look [image, image/jpeg, 1.2 MB]");

    // Typing is seen, and its end.
    for (on, state) in [(true, ChatPresence::Composing), (false, ChatPresence::Paused)] {
        host.say(&AdapterCommand::Typing { chat: GROUP.into(), on }).await?;
        hana.hears("typing", |event| match event {
            Event::ChatPresence(update) if update.state == state => Some(()),
            _ => None,
        })
        .await?;
    }
    ids_are_single(&rig.server.state(), BOT);
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_a_group_of_phone_numbers() -> Result<()> {
    a_conversation(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_a_group_of_hidden_ids() -> Result<()> {
    a_conversation(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_chat_is_introduced_and_answered() -> Result<()> {
    let (rig, hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    let bot: Jid = format!("{BOT}@s.whatsapp.net").parse()?;
    hana.client.send_text(&bot, "just us").await?;
    let (chat, name) = host
        .hear("the chat", |event| match event {
            AdapterEvent::Chat { chat, name, is_group: false } => Some((chat.clone(), name.clone())),
            _ => None,
        })
        .await?;
    assert_eq!((chat.as_str(), name.as_str()), (&*format!("{HANA}@s.whatsapp.net"), "Hana"));
    let heard = host.message().await?;
    assert_eq!((heard.chat.as_str(), heard.text.as_str(), heard.is_group), (&*chat, "just us", false));
    host.sends(&chat, "indeed", None).await?;
    assert_eq!(hana.reads().await?.message.text_content(), Some("indeed"));
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_types_on_the_phone_is_ours_and_what_we_send_never_comes_back() -> Result<()> {
    let (rig, _hana) = Rig::linked(true).await?;
    let phone = Person::join(&rig.server, BOT).await?;
    let mut host = rig.up().await?;
    host.sends(GROUP, "from the assistant", None).await?;
    assert_eq!(phone.reads().await?.message.text_content(), Some("from the assistant"));
    phone.client.send_text(&rig.group(), "typed by the operator").await?;
    let heard = host.message().await?;
    assert_eq!((heard.text.as_str(), heard.from_me), ("typed by the operator", true));
    let hana_id: Jid = format!("{HANA}@s.whatsapp.net").parse()?;
    phone.client.send_text(&hana_id, "in a direct chat").await?;
    let heard = host.message().await?;
    assert_eq!((heard.chat, heard.from_me), (hana_id.to_string(), true));
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_when_connected_and_when_asked() -> Result<()> {
    let (rig, _hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    rig.server.add_group("120363000000000002", "Work", &[BOT, HANA], true);
    host.say(&AdapterCommand::Refresh).await?;
    let mut names = Vec::new();
    for _ in 0..2 {
        let name = host.hear("a group", |event| match event {
            AdapterEvent::Chat { name, is_group: true, .. } => Some(name.clone()),
            _ => None,
        });
        names.push(name.await?);
    }
    names.sort();
    assert_eq!(names, ["Family", "Work"]);
    // The adapter has the link: the command line shows what it listed.
    let (done, printed) = rig.run(&["groups", "--json"]).await?;
    assert!(done, "{printed}");
    let groups: serde_json::Value = serde_json::from_str(&printed)?;
    assert_eq!(groups[0]["chat"], GROUP);
    assert_eq!(groups[0]["name"], "Family");
    assert_eq!(groups[1]["participants"], 2);
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_not_known_and_a_chat_that_is_none_do_no_harm() -> Result<()> {
    let (rig, hana) = Rig::linked(false).await?;
    let mut host = rig.up().await?;
    host.say_line(r#"{"type":"dance"}"#).await?;
    host.say_line("rubbish").await?;
    let (row, _) = host.send("no chat at all", "hello", None).await?;
    let permanent = host.hear("the refusal", |event| match event {
        AdapterEvent::SendFailed { outbox_id, permanent, .. } if *outbox_id == row => Some(*permanent),
        _ => None,
    });
    assert!(permanent.await?);
    host.sends(GROUP, "still here", None).await?;
    assert_eq!(hana.reads().await?.message.text_content(), Some("still here"));
    host.stop().await
}
