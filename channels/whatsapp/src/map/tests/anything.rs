//! Any bytes that are a message for the decoder: this stands in for a fuzz target, which needs a nightly compiler.

use proptest::prelude::*;
use whatsapp_rust::waproto::codec::{message_decode, message_encode_into};

use super::*;

/// The longest line that may come of it, without what JSON adds.
const MAX_LINE_BYTES: usize = MAX_TEXT_BYTES + 8 * 1024;

fn survives(message: &wa::Message, info: &MessageInfo) {
    let Some(event) = event(message, info, &me()) else { return };
    let (text, ids) = match &event {
        AdapterEvent::Message(message) => (message.text.len(), message.id.len() + message.sender_name.len()),
        AdapterEvent::Edit(edit) => (edit.text.len(), edit.id.len() + edit.target.len()),
        AdapterEvent::Delete(deletion) => (0, deletion.id.len() + deletion.target.len()),
        other => panic!("{other:?}"),
    };
    assert!(text + ids <= MAX_LINE_BYTES, "{text} + {ids}");
    let line = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<AdapterEvent>(&line).unwrap(), event);
}

/// A field as the wire has it: its number, and bytes or a number.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![1u32..130, 0u32..20];
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Ok),
        "\\PC{0,40}".prop_map(|text| Ok(text.into_bytes())),
        any::<u64>().prop_map(Err),
    ];
    (number, content).prop_map(|(number, content)| match content {
        Ok(bytes) => tagged(number, &bytes),
        Err(value) => [varint(u64::from(number) << 3), varint(value)].concat(),
    })
}

fn tagged(number: u32, bytes: &[u8]) -> Vec<u8> {
    [varint(u64::from(number) << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Fields in fields: what a message mostly is.
fn tree() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop::collection::vec(field(), 0..4).prop_map(|fields| fields.concat());
    leaf.prop_recursive(6, 40, 4, |inner| {
        let children = prop::collection::vec((1u32..130, inner), 0..4);
        children.prop_map(|children| children.iter().flat_map(|(number, bytes)| tagged(*number, bytes)).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = message_decode(&bytes) {
            survives(&message, &group());
        }
    }

    #[test]
    fn no_tree_of_fields_is_too_strange(bytes in tree()) {
        if let Ok(message) = message_decode(&bytes) {
            survives(&message, &group());
        }
    }

    #[test]
    fn no_text_or_id_is_too_strange(text in "\\PC{0,50}", id in "\\PC{0,400}", name in "\\PC{0,400}") {
        let context = wa::ContextInfo {
            stanza_id: Some(id.clone()), mentioned_jid: vec![text.clone(), id.clone()], ..Default::default()
        };
        let info = MessageInfo { id: id.clone(), push_name: name, ..group() };
        survives(&wa::Message::text_with_context(text.clone(), context), &info);
        survives(&protocol(Type::REVOKE, Some(&id), None), &info);
        survives(&protocol(Type::MESSAGE_EDIT, Some(&id), Some(wa::Message::text(text))), &info);
    }
}

#[test]
fn the_trees_are_messages_often_enough() {
    // Otherwise the properties above would hold of nothing.
    let image = tagged(3, &[tagged(2, b"image/png"), tagged(3, b"look")].concat());
    let message = message_decode(&image).unwrap();
    assert_eq!(super::message(&message, &group()).unwrap().text, "look [image, image/png]");
    let mut bytes = Vec::new();
    message_encode_into(&message, &mut bytes);
    assert_eq!(bytes, image);
}
