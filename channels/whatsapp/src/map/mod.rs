//! What the platform delivers → the line that the host gets. Pure: no clock, no I/O, nothing is remembered.
//!
//! A message becomes at most one line. What only clients say to each other (keys, history, votes that
//! cannot be read, pins) becomes none. A text is never longer than [`MAX_TEXT_BYTES`].

mod content;
mod media;
#[cfg(test)]
mod tests;

use longshore_protocol::channel::{AdapterEvent, ChatDeletion, ChatEdit, ChatMessage};
use wacore::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::prelude::Jid;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;

pub use self::content::{context, unwrap};

/// The longest text that is passed on, in bytes: WhatsApp's own limit is 65,536 characters.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The longest name of a person or of a chat, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The longest id that is passed on whole, in bytes; those of the platform have some forty.
const MAX_ID_BYTES: usize = 256;

/// Under which ids the assistant's account is known: the phone number's and the hidden one (LID).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `…@s.whatsapp.net`, without a device.
    pub phone: Option<Jid>,
    /// `…@lid`, without a device.
    pub hidden: Option<Jid>,
}

impl Identity {
    /// Of a client's own two ids.
    #[must_use]
    pub fn new(phone: Option<Jid>, hidden: Option<Jid>) -> Self {
        Self { phone: phone.map(|jid| jid.to_non_ad()), hidden: hidden.map(|jid| jid.to_non_ad()) }
    }

    /// Both, as they stand in lines.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.phone.iter().chain(&self.hidden).map(Jid::to_string).collect()
    }

    fn is(&self, id: &str) -> bool {
        id.parse::<Jid>().is_ok_and(|jid| {
            let jid = jid.to_non_ad();
            [&self.phone, &self.hidden]
                .into_iter()
                .flatten()
                .any(|own| own.user == jid.user && own.server == jid.server)
        })
    }
}

/// The line for a message, if there is any.
#[must_use]
pub fn event(message: &wa::Message, info: &MessageInfo, me: &Identity) -> Option<AdapterEvent> {
    let chat = chat_id(&info.source)?;
    let (sender, sender_alt) = (person(&info.source.sender), info.source.sender_alt.as_ref().map(person));
    let id = bounded(&info.id, MAX_ID_BYTES).to_owned();
    let message = unwrap(message);
    let timestamp = info.timestamp.to_rfc3339();
    if let Some(protocol) = message.protocol_message.as_option() {
        let target = bounded(protocol.key.as_option()?.id.as_deref()?, MAX_ID_BYTES).to_owned();
        return match protocol.r#type? {
            Type::REVOKE => Some(AdapterEvent::Delete(Box::new(ChatDeletion { id, chat, sender, target }))),
            Type::MESSAGE_EDIT => {
                let edited = unwrap(protocol.edited_message.as_option()?);
                let mentions_me = Some(mentions(edited, me));
                let text = content::text(edited)?;
                let from_me = info.source.is_from_me;
                let edit = ChatEdit { id, chat, sender, sender_alt, target, text, timestamp, mentions_me, from_me };
                Some(AdapterEvent::Edit(Box::new(edit)))
            }
            _ => None,
        };
    }
    let reaction = message.reaction_message.is_set();
    let (text, reply_to) = match message.reaction_message.as_option() {
        Some(reaction) => (content::reaction(reaction), reaction.key.as_option().and_then(|key| key.id.as_deref())),
        None => (content::text(message)?, context(message).and_then(|context| context.stanza_id.as_deref())),
    };
    Some(AdapterEvent::Message(Box::new(ChatMessage {
        id,
        chat,
        sender,
        sender_alt,
        sender_name: bounded(&info.push_name, MAX_NAME_BYTES).to_owned(),
        text,
        timestamp,
        is_group: info.source.is_group || info.source.chat.is_group(),
        from_me: info.source.is_from_me,
        mentions_me: mentions(message, me),
        reply_to: reply_to.filter(|id| !id.is_empty()).map(|id| bounded(id, MAX_ID_BYTES).to_owned()),
        reaction,
        offline: info.is_offline,
    })))
}

/// The chat's id: a group's own, or the other person's phone number if it is known, else their hidden id.
///
/// One person writes now under the one and now under the other; the chat has to stay the same.
/// `None` for what is no chat: statuses, newsletters and the platform's own announcements.
#[must_use]
pub fn chat_id(source: &MessageSource) -> Option<String> {
    let chat = &source.chat;
    if chat.is_status_broadcast() || chat.is_newsletter() || chat.is_psa() || chat.is_empty() {
        return None;
    }
    let other = if source.is_from_me { &source.recipient_alt } else { &source.sender_alt };
    match other {
        Some(phone) if chat.is_lid() && phone.is_pn() => Some(person(phone)),
        _ => Some(person(chat)),
    }
}

fn person(jid: &Jid) -> String {
    jid.to_non_ad().to_string()
}

fn mentions(message: &wa::Message, me: &Identity) -> bool {
    context(message).is_some_and(|context| context.mentioned_jid.iter().any(|id| me.is(id)))
}

/// The first `limit` bytes of a text, cut between two characters.
fn bounded(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
