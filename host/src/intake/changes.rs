//! Edits and deletions of messages that came before.

use longshore_protocol::channel::{ChatDeletion, ChatEdit, ChatMessage};
use tokio::sync::oneshot;

use super::{Intake, patiently};
use crate::channel::Stored;
use crate::route::{Authorship, Route, WhyContext, WhyWake, route};
use crate::store::StoreError;
use crate::store::changes::{Edited, MessageEdit, Original};

impl Intake {
    pub(super) async fn edit(&self, channel: &str, edit: ChatEdit, stored: oneshot::Sender<Stored>) {
        match self.edited(channel, edit).await {
            Ok(seq) => drop(stored.send(Stored { seq })),
            Err(error) => tracing::error!(channel, %error, "an edit was not stored; the channel will bring it again"),
        }
    }

    /// Gives the number of the row that the edit changed or made.
    async fn edited(&self, channel: &str, edit: ChatEdit) -> Result<Option<i64>, StoreError> {
        let now = self.clock.now();
        let groups = self.groups.borrow().groups.clone();
        let Some(group) = groups.by_chat(&edit.chat) else { return Ok(None) };
        let senders = [edit.sender.clone(), edit.sender_alt.clone().unwrap_or_else(|| edit.sender.clone())];
        let original =
            patiently(|| self.store.original(edit.chat.clone(), senders.clone(), edit.target.clone())).await?;
        let Some(original) = original else {
            tracing::debug!(channel, chat = edit.chat, target = edit.target, "an edit of no message that is kept");
            return Ok(None);
        };
        let replies_to_host = match &original.reply_to {
            Some(id) => self.sent_by_host(&edit.chat, id).await,
            None => false,
        };
        let message = as_edited(&edit, &original);
        let standing = self.standing(channel, &message);
        let authorship = Authorship { sent_by_host: false, replies_to_host, standing };
        let route = route(Some(group.as_ref()), &message, &self.words, authorship);
        if route == Route::Dropped {
            tracing::debug!(channel, chat = edit.chat, target = edit.target, %route, "edit");
            return Ok(None);
        }
        let wakes = matches!(route, Route::Wake(_));
        let change = MessageEdit {
            original: original.seq,
            group: group.id.clone(),
            platform_id: edit.id,
            text: edit.text,
            // A time from the future would keep every later edit out.
            edited_at: edit.timestamp.parse().unwrap_or(now).min(now),
            route: route.to_string(),
            wakes,
        };
        let edited = patiently(|| self.store.edit(change.clone(), now)).await?;
        tracing::debug!(channel, chat = edit.chat, target = edit.target, %route, ?edited, "edit");
        // Also when it wakes no longer: a turn that waits may have nothing left to answer.
        if edited != Edited::TooLate {
            self.wakes.wake(group.id.clone());
        }
        Ok(match edited {
            Edited::InPlace => Some(original.seq),
            Edited::Anew(seq) => Some(seq),
            Edited::TooLate => None,
        })
    }

    pub(super) async fn delete(&self, channel: &str, deletion: ChatDeletion, stored: oneshot::Sender<Stored>) {
        let now = self.clock.now();
        let ChatDeletion { chat, sender, target, .. } = deletion;
        match patiently(|| self.store.delete(chat.clone(), sender.clone(), target.clone(), now)).await {
            Ok(seq) => {
                tracing::debug!(channel, chat, target, found = seq.is_some(), "deletion");
                let groups = self.groups.borrow().groups.clone();
                // A turn that waits may have nothing left to answer.
                if let (Some(_), Some(group)) = (seq, groups.by_chat(&chat)) {
                    self.wakes.wake(group.id.clone());
                }
                let _ = stored.send(Stored { seq });
            }
            Err(error) => {
                tracing::error!(channel, %error, "a deletion was not stored; the channel will bring it again");
            }
        }
    }
}

/// The message as if it had been said this way at once.
fn as_edited(edit: &ChatEdit, original: &Original) -> ChatMessage {
    let mentioned = original.route == Route::Wake(WhyWake::Mention).to_string();
    let reaction = original.route == Route::Context(WhyContext::Reaction).to_string();
    ChatMessage {
        id: edit.target.clone(),
        chat: edit.chat.clone(),
        sender: edit.sender.clone(),
        sender_alt: edit.sender_alt.clone(),
        sender_name: String::new(),
        text: edit.text.clone(),
        timestamp: edit.timestamp.clone(),
        is_group: true,
        from_me: edit.from_me,
        mentions_me: edit.mentions_me.unwrap_or(mentioned),
        reply_to: original.reply_to.clone(),
        reaction,
        offline: false,
    }
}
