//! Shapes of messages, one a line of a table; and anything at all.

mod anything;
mod shapes;

use wacore::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::prelude::MessageBuilderExt as _;

use super::*;

fn me() -> Identity {
    Identity::new(Some("4911:7@s.whatsapp.net".parse().unwrap()), Some("99:7@lid".parse().unwrap()))
}

fn info(chat: &str, sender: &str, alt: Option<&str>) -> MessageInfo {
    let chat: Jid = chat.parse().unwrap();
    let source = MessageSource {
        is_group: chat.is_group(),
        chat,
        sender: sender.parse().unwrap(),
        sender_alt: alt.map(|alt| alt.parse().unwrap()),
        ..Default::default()
    };
    MessageInfo { source, id: "3EB0ID".into(), push_name: "Ann".into(), ..Default::default() }
}

fn group() -> MessageInfo {
    info("120363@g.us", "4922:3@s.whatsapp.net", Some("88@lid"))
}

fn message(message: &wa::Message, info: &MessageInfo) -> Option<ChatMessage> {
    match event(message, info, &me())? {
        AdapterEvent::Message(message) => Some(*message),
        other => panic!("no message: {other:?}"),
    }
}

fn mentioning(ids: &[&str]) -> wa::Message {
    let mentioned_jid = ids.iter().map(|&id| id.to_owned()).collect();
    wa::Message::text_with_context("@you", wa::ContextInfo { mentioned_jid, ..Default::default() })
}

#[test]
fn a_message_has_its_chat_sender_and_time() {
    let heard = message(&wa::Message::text("hi"), &MessageInfo { is_offline: true, ..group() }).unwrap();
    let expected = ChatMessage {
        id: "3EB0ID".into(),
        chat: "120363@g.us".into(),
        sender: "4922@s.whatsapp.net".into(),
        sender_alt: Some("88@lid".into()),
        sender_name: "Ann".into(),
        text: "hi".into(),
        timestamp: "1970-01-01T00:00:00+00:00".into(),
        is_group: true,
        from_me: false,
        mentions_me: false,
        reply_to: None,
        reaction: false,
        offline: true,
    };
    assert_eq!(heard, expected);
}

#[test]
fn a_direct_chat_keeps_its_id_whichever_id_the_other_uses() {
    let table = [
        (info("4922@s.whatsapp.net", "4922:1@s.whatsapp.net", Some("88@lid")), "4922@s.whatsapp.net"),
        (info("88@lid", "88:1@lid", Some("4922@s.whatsapp.net")), "4922@s.whatsapp.net"),
        (info("88@lid", "88@lid", None), "88@lid"),
    ];
    for (info, chat) in table {
        assert_eq!(message(&wa::Message::text("hi"), &info).unwrap().chat, chat, "{info:?}");
    }
    let mut own = info("88@lid", "99:2@lid", Some("4911@s.whatsapp.net"));
    own.source.is_from_me = true;
    assert_eq!(chat_id(&own.source).unwrap(), "88@lid");
    own.source.recipient_alt = Some("4922@s.whatsapp.net".parse().unwrap());
    let heard = message(&wa::Message::text("hi"), &own).unwrap();
    assert_eq!((heard.chat.as_str(), heard.from_me), ("4922@s.whatsapp.net", true));
}

#[test]
fn what_is_no_chat_is_left_out() {
    for chat in ["status@broadcast", "1@newsletter", "0@s.whatsapp.net"] {
        assert_eq!(message(&wa::Message::text("hi"), &info(chat, "4922@s.whatsapp.net", None)), None, "{chat}");
    }
}

#[test]
fn we_are_mentioned_under_either_of_our_ids() {
    let table: [(&[&str], bool); 7] = [
        (&["4911@s.whatsapp.net"], true),
        (&["4911:3@s.whatsapp.net"], true),
        (&["99@lid"], true),
        (&["4922@s.whatsapp.net", "99@lid"], true),
        (&["4922@s.whatsapp.net"], false),
        // The digits of the one id in the other's place are somebody else.
        (&["99@s.whatsapp.net", "4911@lid", "", "@", "99"], false),
        (&[], false),
    ];
    for (ids, expected) in table {
        assert_eq!(message(&mentioning(ids), &group()).unwrap().mentions_me, expected, "{ids:?}");
    }
    let unlinked = event(&mentioning(&["4911@s.whatsapp.net"]), &group(), &Identity::default()).unwrap();
    assert!(matches!(unlinked, AdapterEvent::Message(message) if !message.mentions_me));
}

#[test]
fn a_reply_names_what_it_answers() {
    let context = wa::ContextInfo { stanza_id: Some("Q1".into()), ..Default::default() };
    let text = wa::Message::text_with_context("yes", context.clone());
    assert_eq!(message(&text, &group()).unwrap().reply_to.as_deref(), Some("Q1"));
    let image = wa::message::ImageMessage { context_info: MessageField::some(context), ..Default::default() };
    let image = wa::Message { image_message: MessageField::some(image), ..Default::default() };
    assert_eq!(message(&image, &group()).unwrap().reply_to.as_deref(), Some("Q1"));
    let empty = wa::ContextInfo { stanza_id: Some(String::new()), ..Default::default() };
    assert_eq!(message(&wa::Message::text_with_context("yes", empty), &group()).unwrap().reply_to, None);
}

fn key(id: Option<&str>) -> MessageField<wa::MessageKey> {
    MessageField::some(wa::MessageKey { id: id.map(str::to_owned), ..Default::default() })
}

fn protocol(kind: Type, id: Option<&str>, edited: Option<wa::Message>) -> wa::Message {
    wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            key: key(id),
            r#type: Some(kind),
            edited_message: edited.map_or_else(MessageField::none, MessageField::some),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn an_edit_and_a_deletion_name_their_target() {
    let edit = protocol(Type::MESSAGE_EDIT, Some("T1"), Some(mentioning(&["99@lid"])));
    let wrapped = wa::Message {
        edited_message: MessageField::some(wa::message::FutureProofMessage {
            message: MessageField::some(edit.clone()),
        }),
        ..Default::default()
    };
    for edit in [edit, wrapped] {
        let Some(AdapterEvent::Edit(edit)) = event(&edit, &group(), &me()) else { panic!("no edit") };
        assert_eq!((edit.id.as_str(), edit.target.as_str(), edit.text.as_str()), ("3EB0ID", "T1", "@you"));
        assert_eq!((edit.sender.as_str(), edit.mentions_me), ("4922@s.whatsapp.net", Some(true)));
    }
    let Some(AdapterEvent::Delete(deletion)) = event(&protocol(Type::REVOKE, Some("T2"), None), &group(), &me()) else {
        panic!("no deletion")
    };
    assert_eq!((deletion.id.as_str(), deletion.target.as_str()), ("3EB0ID", "T2"));
}

#[test]
fn what_clients_say_to_each_other_is_left_out() {
    let nothing = [
        wa::Message::default(),
        protocol(Type::REVOKE, None, None),
        protocol(Type::MESSAGE_EDIT, Some("T1"), None),
        protocol(Type::MESSAGE_EDIT, Some("T1"), Some(wa::Message::default())),
        protocol(Type::APP_STATE_SYNC_KEY_SHARE, Some("T1"), None),
        protocol(Type::HISTORY_SYNC_NOTIFICATION, Some("T1"), None),
        protocol(Type::EPHEMERAL_SETTING, Some("T1"), None),
        wa::Message {
            sender_key_distribution_message: MessageField::some(Default::default()),
            message_context_info: MessageField::some(Default::default()),
            ..Default::default()
        },
        wa::Message { poll_update_message: MessageField::some(Default::default()), ..Default::default() },
        wa::Message { pin_in_chat_message: MessageField::some(Default::default()), ..Default::default() },
        wa::Message { keep_in_chat_message: MessageField::some(Default::default()), ..Default::default() },
        wa::Message { enc_reaction_message: MessageField::some(Default::default()), ..Default::default() },
        wa::Message { album_message: MessageField::some(Default::default()), ..Default::default() },
        wa::Message::text(""),
    ];
    for (number, message) in nothing.iter().enumerate() {
        assert_eq!(event(message, &group(), &me()), None, "{number}");
    }
}
