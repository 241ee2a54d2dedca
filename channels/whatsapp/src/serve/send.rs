//! One message to the platform.

use whatsapp_rust::prelude::*;
use whatsapp_rust::wacore_binary::JidExt as _;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::markup::to_whatsapp;
use crate::outbox::{Send, Unwritten};
use crate::recent::{Own, Recent};

/// Writes a message under its id. Whether the server has it, its own acknowledgement says.
pub(super) async fn send(client: &Client, recent: &Recent, send: &Send) -> Result<(), Unwritten> {
    let chat: Jid =
        send.chat.parse().map_err(|_| Unwritten::Refused(format!("`{}` is no WhatsApp chat", shown(&send.chat))))?;
    if chat.is_status_broadcast() || chat.is_newsletter() || chat.is_empty() {
        return Err(Unwritten::Refused(format!("`{}` is no chat to write to", shown(&send.chat))));
    }
    let failed = |error: rusqlite::Error| Unwritten::Failed(format!("the adapter's own record failed: {error}"));
    let text = to_whatsapp(&send.text);
    let me = client.pn().map(|jid| jid.to_non_ad().to_string()).unwrap_or_default();
    // First: whatever comes back under this id is our own.
    recent.saying(&send.chat, &send.message_id, &me, &text).map_err(failed)?;
    let quoted = match &send.reply_to {
        Some(id) => recent.find(&send.chat, id).map_err(failed)?.map(|quoted| (id, quoted)),
        None => None,
    };
    let message = match quoted {
        Some((id, quoted)) => {
            let context =
                wacore::proto_helpers::build_quote_context(id.clone(), quoted.sender, &wa::Message::text(quoted.text));
            wa::Message::text_with_context(text, context)
        }
        None => wa::Message::text(text),
    };
    let options = SendOptions::default().with_message_id(&send.message_id);
    match client.send_message_with_options(&chat, message, options).await {
        Ok(_) => Ok(()),
        Err(SendError::Client(ClientError::NotConnected | ClientError::Socket(_)) | SendError::NotLoggedIn) => {
            Err(Unwritten::NotConnected)
        }
        Err(SendError::InvalidRequest(why)) => Err(Unwritten::Refused(why)),
        // A connection that breaks meanwhile fails in many ways; then it is written again.
        Err(_) if !client.is_connected() => Err(Unwritten::NotConnected),
        Err(error) => Err(Unwritten::Failed(error.to_string())),
    }
}

/// Whether the server has confirmed this message already: the host may not have heard it before it died.
pub(super) fn is_done(recent: &Recent, send: &Send) -> bool {
    match recent.own(&send.chat, &send.message_id) {
        Ok(own) => own == Some(Own::Confirmed),
        Err(error) => {
            // Sending twice under one id does less harm than not at all.
            tracing::warn!(%error, "the adapter's own record cannot be read");
            false
        }
    }
}

fn shown(chat: &str) -> String {
    chat.chars().filter(|character| !character.is_control()).take(80).collect()
}
