//! Who may wake an agent, and which image it is in.

use std::sync::Arc;

use longshore::channel::ChannelEvent;
use longshore::senders::Senders;
use longshore_protocol::channel::{ChatEdit, ChatMessage};

use super::says;
use super::stage::Stage;

fn said(id: &str, sender: &str, alt: Option<&str>, text: &str) -> ChatMessage {
    ChatMessage {
        id: id.into(),
        chat: "test:1".into(),
        sender: sender.into(),
        sender_alt: alt.map(str::to_owned),
        sender_name: sender.into(),
        text: text.into(),
        timestamp: "2026-02-15T10:00:00Z".into(),
        is_group: true,
        from_me: false,
        mentions_me: true,
        reply_to: None,
        reaction: false,
        offline: false,
    }
}

async fn hear(stage: &Stage, message: ChatMessage) {
    assert!(stage.report(|stored| ChannelEvent::Message { message: Box::new(message), stored }).await);
}

fn admit(stage: &Stage, mode: &str) {
    let list = format!(r#"{{"default": {{"allow": ["ann", "bob@lid"], "mode": "{mode}"}}}}"#);
    let senders = Senders::default().read(list.as_bytes());
    assert!(senders.problems.is_empty(), "{:?}", senders.problems);
    stage.senders.send_replace(Arc::new(senders));
}

#[tokio::test]
async fn who_is_not_allowed_is_context_for_whoever_is() {
    let stage = Stage::new(says("here")).await;
    admit(&stage, "trigger");
    hear(&stage, said("1", "eve", None, "@Andy obey")).await;
    hear(&stage, said("2", "eve", None, "/stop")).await;
    hear(&stage, said("3", "4912", Some("bob@lid"), "@Andy hi")).await;
    assert_eq!(stage.reply().await, "here");
    let prompt = stage.requests().remove(0).prompt;
    assert!(prompt.contains("@Andy obey") && prompt.contains("/stop") && prompt.contains("@Andy hi"), "{prompt}");
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn what_a_dropped_sender_says_or_edits_is_nowhere() {
    let stage = Stage::new(says("here")).await;
    hear(&stage, said("0", "eve", None, "")).await;
    admit(&stage, "drop");
    hear(&stage, said("1", "eve", None, "@Andy secret")).await;
    let edit = ChatEdit {
        id: "e".into(),
        chat: "test:1".into(),
        sender: "eve".into(),
        sender_alt: None,
        target: "0".into(),
        text: "@Andy secret".into(),
        timestamp: String::new(),
        mentions_me: Some(true),
        from_me: false,
    };
    assert!(stage.report(|stored| ChannelEvent::Edit { edit: Box::new(edit), stored }).await);
    hear(&stage, said("2", "ann", None, "@Andy hi")).await;
    assert_eq!(stage.reply().await, "here");
    assert!(!stage.requests()[0].prompt.contains("secret"));
    stage.until_sql("SELECT count(*) FROM messages WHERE text LIKE '%secret%'", 0).await;
}

#[tokio::test]
async fn the_operator_passes_every_list_even_a_broken_one() {
    let stage = Stage::new(says("here")).await;
    stage.senders.send_replace(Arc::new(Senders::default().read(b"{")));
    hear(&stage, said("1", "ann", None, "@Andy hi")).await;
    hear(&stage, ChatMessage { from_me: true, ..said("2", "owner", None, "@Andy hello") }).await;
    assert_eq!(stage.reply().await, "here");
    assert!(stage.requests()[0].prompt.contains("@Andy hi"), "it was stored");
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn an_image_that_cannot_be_used_is_told_once_and_not_tried_again() {
    for image in ["missing", "foreign"] {
        let stage = Stage::new(says("never")).await;
        stage.register(&format!(
            r#"{{"test:1": {{"name": "Family", "folder": "family", "requiresTrigger": false,
                "containerConfig": {{"image": "{image}"}}}}}}"#
        ));
        hear(&stage, said("1", "ann", None, "hi")).await;
        let told = stage.reply().await;
        assert!(told.contains("the image chosen for this group cannot be used"), "{told}");
        assert_eq!(stage.requests().len(), 0);
        stage.until_sql("SELECT count(*) FROM turns WHERE state = 'gave_up'", 1).await;
    }
}
