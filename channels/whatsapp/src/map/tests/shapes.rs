//! What each kind of message says.

use wa::message::poll_creation_message::Option as Choice;
use wa::message::*;

use super::*;

/// A message with one field.
macro_rules! with {
    ($field:ident: $kind:ident { $($name:ident: $value:expr),* $(,)? }) => {
        wa::Message {
            $field: MessageField::some($kind { $($name: $value,)* ..Default::default() }),
            ..Default::default()
        }
    };
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn wrapped(inner: wa::Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage { message: MessageField::some(inner) })
}

fn image() -> wa::Message {
    with!(image_message: ImageMessage {
        mimetype: some("image/jpeg"), file_length: Some(1_234_567), caption: some("look"),
    })
}

fn choice(name: &str) -> Choice {
    Choice { option_name: some(name), ..Default::default() }
}

fn contact(name: &str) -> ContactMessage {
    ContactMessage { display_name: some(name), ..Default::default() }
}

fn texts() -> Vec<(wa::Message, &'static str)> {
    vec![
        (wa::Message { conversation: some("hello"), ..Default::default() }, "hello"),
        (wa::Message::text_with_context("hello", wa::ContextInfo::default()), "hello"),
        (wa::Message { conversation: some("  ä\n"), ..Default::default() }, "  ä\n"),
        (wa::Message { ephemeral_message: wrapped(wa::Message::text("gone soon")), ..Default::default() }, "gone soon"),
        (
            with!(device_sent_message: DeviceSentMessage {
                message: MessageField::some(wa::Message {
                    ephemeral_message: wrapped(wa::Message::text("own, gone soon")), ..Default::default()
                }),
            }),
            "own, gone soon",
        ),
        (wa::Message { group_mentioned_message: wrapped(wa::Message::text("@all")), ..Default::default() }, "@all"),
        (wa::Message { bot_invoke_message: wrapped(wa::Message::text("ask")), ..Default::default() }, "ask"),
        (with!(reaction_message: ReactionMessage { text: some("👍") }), "[reacts with 👍]"),
        (with!(reaction_message: ReactionMessage { text: some("") }), "[takes a reaction back]"),
        (with!(reaction_message: ReactionMessage {}), "[takes a reaction back]"),
        (with!(list_response_message: ListResponseMessage { title: some("Tuesday") }), "Tuesday"),
        (with!(buttons_response_message: ButtonsResponseMessage { selected_button_id: some("yes") }), "yes"),
        (
            with!(template_button_reply_message: TemplateButtonReplyMessage { selected_display_text: some("Call me") }),
            "Call me",
        ),
        (
            with!(buttons_message: ButtonsMessage { content_text: some("Is your order complete?") }),
            "Is your order complete?",
        ),
        (
            with!(list_message: ListMessage { title: some("Dates"), description: some("Choose a date") }),
            "Choose a date",
        ),
    ]
}

fn files() -> Vec<(wa::Message, &'static str)> {
    vec![
        (image(), "look [image, image/jpeg, 1.2 MB]"),
        (with!(image_message: ImageMessage {}), "[image]"),
        (with!(image_message: ImageMessage { view_once: Some(true) }), "[image to be seen once]"),
        (wa::Message { view_once_message: wrapped(image()), ..Default::default() }, "look [image, image/jpeg, 1.2 MB]"),
        (
            wa::Message { view_once_message_v2: wrapped(image()), ..Default::default() },
            "look [image, image/jpeg, 1.2 MB]",
        ),
        (
            with!(video_message: VideoMessage {
                mimetype: some("video/mp4"), seconds: Some(75), file_length: Some(12_000_000_000),
            }),
            "[video, video/mp4, 1:15, 12.0 GB]",
        ),
        (with!(video_message: VideoMessage { gif_playback: Some(true), caption: some("ha") }), "ha [animation]"),
        (with!(ptv_message: VideoMessage { seconds: Some(9) }), "[video note, 0:09]"),
        (
            with!(audio_message: AudioMessage {
                ptt: Some(true), mimetype: some("audio/ogg; codecs=opus"), seconds: Some(12), file_length: Some(20_480),
            }),
            "[voice message, audio/ogg, 0:12, 20.4 kB]",
        ),
        (with!(audio_message: AudioMessage { file_length: Some(999) }), "[audio, 999 B]"),
        (
            with!(document_message: DocumentMessage {
                file_name: some("report.pdf"), mimetype: some("application/pdf"), file_length: Some(120_000),
            }),
            "[document “report.pdf”, application/pdf, 120.0 kB]",
        ),
        (
            wa::Message {
                document_with_caption_message: wrapped(with!(document_message: DocumentMessage {
                    title: some("Report"), caption: some("please read"),
                })),
                ..Default::default()
            },
            "please read [document “Report”]",
        ),
        (
            with!(document_message: DocumentMessage { file_name: some("a.pdf"), caption: some("a.pdf") }),
            "[document “a.pdf”]",
        ),
        (with!(sticker_message: StickerMessage { mimetype: some("image/webp") }), "[sticker, image/webp]"),
        (
            wa::Message {
                lottie_sticker_message: wrapped(with!(sticker_message: StickerMessage { emojis: some("🎉") })),
                ..Default::default()
            },
            "[sticker “🎉”]",
        ),
        (with!(sticker_pack_message: StickerPackMessage { name: some("Cats") }), "[sticker pack “Cats”]"),
    ]
}

fn others() -> Vec<(wa::Message, &'static str)> {
    vec![
        (
            with!(location_message: LocationMessage {
                degrees_latitude: Some(52.52), degrees_longitude: Some(13.405),
                name: some("Alexanderplatz"), address: some("Berlin"),
            }),
            "[location 52.52000, 13.40500 “Alexanderplatz, Berlin”]",
        ),
        (with!(location_message: LocationMessage {}), "[location]"),
        (
            with!(live_location_message: LiveLocationMessage {
                degrees_latitude: Some(-1.0), degrees_longitude: Some(0.5), caption: some("on my way"),
            }),
            "[live location -1.00000, 0.50000 “on my way”]",
        ),
        (with!(contact_message: ContactMessage { display_name: some("Ben"), vcard: some("BEGIN") }), "[contact “Ben”]"),
        (
            with!(contacts_array_message: ContactsArrayMessage { contacts: vec![contact("Ben"), contact("Cy")] }),
            "[2 contacts: Ben · Cy]",
        ),
        (
            with!(poll_creation_message: PollCreationMessage {
                name: some("When?"), options: vec![choice("Mon"), choice("Tue")],
            }),
            "[poll “When?”: Mon · Tue]",
        ),
        (with!(poll_creation_message_v3: PollCreationMessage { name: some("Who?") }), "[poll “Who?”: ]"),
        (
            with!(poll_creation_message_v2: PollCreationMessage { options: vec![choice("x"); 100] }),
            "[poll: x · x · x · x · x · x · x · x · x · x · x · x · x · x · x · x · x · x · x · x · …]",
        ),
        (
            wa::Message {
                poll_creation_message_v4: wrapped(
                    with!(poll_creation_message: PollCreationMessage { name: some("V4") }),
                ),
                ..Default::default()
            },
            "[poll “V4”: ]",
        ),
        (
            with!(event_message: EventMessage { name: some("Party"), description: some("Bring cake") }),
            "[event “Party”]\nBring cake",
        ),
        (with!(event_message: EventMessage { is_canceled: Some(true) }), "[cancelled event]"),
        (
            with!(group_invite_message: GroupInviteMessage { group_name: some("Chess") }),
            "[invitation to the group “Chess”]",
        ),
        (with!(product_message: ProductMessage {}), "[product]"),
        (with!(call: Call { call_key: Some(vec![1]) }), "[a message of a kind that cannot be read here]"),
        (
            with!(order_message: OrderMessage { message: some("two of each") }),
            "[a message of a kind that cannot be read here]",
        ),
    ]
}

#[test]
fn each_kind_of_message_has_its_text() {
    let shapes = [texts(), files(), others()].concat();
    assert!(shapes.len() >= 40, "{}", shapes.len());
    for (shape, expected) in shapes {
        let heard = message(&shape, &group());
        assert_eq!(heard.map(|message| message.text).as_deref(), Some(expected));
    }
}

#[test]
fn wrappers_in_wrappers_end_somewhere() {
    let mut deep = wa::Message::text("at the bottom");
    for _ in 0..100 {
        deep = wa::Message { ephemeral_message: wrapped(deep), ..Default::default() };
    }
    assert_eq!(message(&deep, &group()).unwrap().text, "[a message of a kind that cannot be read here]");
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let long = wa::Message::text("ä".repeat(MAX_TEXT_BYTES));
    let text = message(&long, &group()).unwrap().text;
    assert_eq!(text.len(), MAX_TEXT_BYTES);
    assert!(text.chars().all(|character| character == 'ä'));
}
