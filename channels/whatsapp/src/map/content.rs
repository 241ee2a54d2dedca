//! What a message says, as one text.

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::poll_creation_message::Option as Choice;

use super::media;
use super::{MAX_NAME_BYTES, MAX_TEXT_BYTES, bounded};

/// How deep wrappers may lie in each other: the platform's own lie in one or two.
const MAX_DEPTH: usize = 8;
/// How many answers of a poll, or names of a list of contacts, are shown.
const MAX_SHOWN: usize = 20;

/// The message in its wrappers: sent from another device, disappearing, once to be seen, edited …
#[must_use]
pub fn unwrap(message: &wa::Message) -> &wa::Message {
    let mut message = message;
    for _ in 0..MAX_DEPTH {
        match inner(message) {
            Some(inner) => message = inner,
            None => break,
        }
    }
    message
}

fn inner(message: &wa::Message) -> Option<&wa::Message> {
    if let Some(own) = message.device_sent_message.as_option() {
        return own.message.as_option();
    }
    [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
        &message.group_mentioned_message,
        &message.bot_invoke_message,
        &message.lottie_sticker_message,
        &message.associated_child_message,
        &message.poll_creation_message_v4,
        &message.question_message,
        &message.question_reply_message,
        &message.bot_forwarded_message,
        &message.spoiler_message,
    ]
    .into_iter()
    .find_map(|wrapper| wrapper.as_option()?.message.as_option())
}

/// What an unwrapped message refers to: mentions and the quoted message.
#[must_use]
pub fn context(message: &wa::Message) -> Option<&wa::ContextInfo> {
    macro_rules! first_of {
        ($($kind:ident),+ $(,)?) => {
            $(if let Some(content) = message.$kind.as_option() && let Some(context) = content.context_info.as_option() {
                return Some(context);
            })+
        };
    }
    first_of!(
        extended_text_message,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v2,
        poll_creation_message_v3,
        event_message,
        group_invite_message,
        buttons_response_message,
        list_response_message,
        template_button_reply_message,
        interactive_response_message,
    );
    None
}

/// What an unwrapped message says; `None` if it says nothing to people.
pub(super) fn text(message: &wa::Message) -> Option<String> {
    let text = said(message)
        .map(str::to_owned)
        .or_else(|| media::note(message))
        .or_else(|| described(message))
        .or_else(|| is_for_people(message).then(|| "[a message of a kind that cannot be read here]".to_owned()))?;
    Some(if text.len() > MAX_TEXT_BYTES { bounded(&text, MAX_TEXT_BYTES).to_owned() } else { text })
}

/// A reaction, as a remark.
pub(super) fn reaction(reaction: &wa::message::ReactionMessage) -> String {
    match reaction.text.as_deref().filter(|emoji| !emoji.is_empty()) {
        Some(emoji) => format!("[reacts with {}]", bounded(emoji, MAX_NAME_BYTES)),
        None => "[takes a reaction back]".to_owned(),
    }
}

fn said(message: &wa::Message) -> Option<&str> {
    let extended = || message.extended_text_message.as_option()?.text.as_deref();
    message.conversation.as_deref().filter(|text| !text.is_empty()).or_else(extended).filter(|text| !text.is_empty())
}

/// What is neither text nor a file.
fn described(message: &wa::Message) -> Option<String> {
    if let Some(place) = message.location_message.as_option() {
        let names = [place.name.as_deref(), place.address.as_deref(), place.comment.as_deref()];
        return Some(location("location", place.degrees_latitude, place.degrees_longitude, &names));
    }
    if let Some(place) = message.live_location_message.as_option() {
        let names = [place.caption.as_deref()];
        return Some(location("live location", place.degrees_latitude, place.degrees_longitude, &names));
    }
    if let Some(contact) = message.contact_message.as_option() {
        return Some(format!("[contact{}]", named(contact.display_name.as_deref())));
    }
    if let Some(contacts) = message.contacts_array_message.as_option() {
        let names = contacts.contacts.iter().filter_map(|contact| contact.display_name.as_deref());
        return Some(format!("[{} contacts: {}]", contacts.contacts.len(), list(names)));
    }
    let polls = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
        &message.poll_creation_message_v6,
    ];
    if let Some(poll) = polls.into_iter().find_map(|poll| poll.as_option()) {
        let choices = poll.options.iter().filter_map(|choice: &Choice| choice.option_name.as_deref());
        return Some(format!("[poll{}: {}]", named(poll.name.as_deref()), list(choices)));
    }
    if let Some(event) = message.event_message.as_option() {
        let kind = if event.is_canceled == Some(true) { "cancelled event" } else { "event" };
        let more = event.description.as_deref().map_or_else(String::new, |more| format!("\n{more}"));
        return Some(format!("[{kind}{}]{more}", named(event.name.as_deref())));
    }
    if let Some(invite) = message.group_invite_message.as_option() {
        return Some(format!("[invitation to the group{}]", named(invite.group_name.as_deref())));
    }
    if let Some(product) = message.product_message.as_option() {
        let title = product.product.as_option().and_then(|product| product.title.as_deref());
        return Some(format!("[product{}]", named(title)));
    }
    chosen(message)
}

/// What somebody picked from buttons and lists of a business.
fn chosen(message: &wa::Message) -> Option<String> {
    use wa::message::buttons_response_message::Response;
    if let Some(answer) = message.buttons_response_message.as_option() {
        let shown = answer.response.as_ref().map(|Response::SelectedDisplayText(text)| text.as_str());
        return shown.or(answer.selected_button_id.as_deref()).map(str::to_owned);
    }
    if let Some(answer) = message.list_response_message.as_option() {
        return answer.title.clone();
    }
    if let Some(answer) = message.template_button_reply_message.as_option() {
        return answer.selected_display_text.clone();
    }
    if let Some(answer) = message.interactive_response_message.as_option() {
        return answer.body.as_option().and_then(|body| body.text.clone());
    }
    if let Some(list) = message.list_message.as_option() {
        return list.description.clone().or_else(|| list.title.clone());
    }
    if let Some(buttons) = message.buttons_message.as_option() {
        return buttons.content_text.clone();
    }
    None
}

/// Whether there is anything besides what clients tell each other. A newer app's message is better
/// announced than lost.
fn is_for_people(message: &wa::Message) -> bool {
    // Votes, reactions and comments of these kinds are encrypted once more; the others are notices.
    if message.poll_update_message.is_set()
        || message.enc_reaction_message.is_set()
        || message.enc_comment_message.is_set()
        || message.enc_event_response_message.is_set()
        || message.secret_encrypted_message.is_set()
        || message.pin_in_chat_message.is_set()
        || message.keep_in_chat_message.is_set()
        || message.album_message.is_set()
        || message.placeholder_message.is_set()
        || message.message_history_bundle.is_set()
        || message.message_history_notice.is_set()
        || message.sticker_sync_rmr_message.is_set()
        || message.group_root_key_share.is_set()
        || message.root_secret_distribute_message.is_set()
    {
        return false;
    }
    let mut rest = message.clone();
    let _ = rest.sender_key_distribution_message.take();
    let _ = rest.fast_ratchet_key_sender_key_distribution_message.take();
    let _ = rest.message_context_info.take();
    rest.conversation = None;
    let _ = rest.extended_text_message.take();
    rest != wa::Message::default()
}

fn location(kind: &str, latitude: Option<f64>, longitude: Option<f64>, names: &[Option<&str>]) -> String {
    let place = match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => format!(" {latitude:.5}, {longitude:.5}"),
        _ => String::new(),
    };
    let names: Vec<&str> = names.iter().copied().flatten().filter(|name| !name.is_empty()).collect();
    format!("[{kind}{place}{}]", named(Some(&names.join(", "))))
}

/// A name in quotation marks after a blank; nothing if there is none.
pub(super) fn named(name: Option<&str>) -> String {
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => format!(" “{}”", bounded(name, MAX_NAME_BYTES * 4)),
        None => String::new(),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.map(|name| bounded(name, MAX_NAME_BYTES)).take(MAX_SHOWN + 1).collect();
    if names.len() > MAX_SHOWN {
        names[MAX_SHOWN] = "…";
    }
    names.join(" · ")
}
