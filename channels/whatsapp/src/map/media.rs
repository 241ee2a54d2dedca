//! Files: what they are, not what is in them.

use whatsapp_rust::waproto::whatsapp as wa;

use super::content::named;
use super::{MAX_TEXT_BYTES, bounded};

/// The longest type that is shown, in bytes.
const MAX_TYPE_BYTES: usize = 80;

/// `caption [image, image/jpeg, 1.2 MB]` and the like, if the message is a file. The caption comes first: it may
/// begin with the word that wakes the agent.
pub(super) fn note(message: &wa::Message) -> Option<String> {
    if let Some(image) = message.image_message.as_option() {
        let kind = if image.view_once == Some(true) { "image to be seen once" } else { "image" };
        return Some(file(kind, image.mimetype.as_deref(), image.file_length, None, image.caption.as_deref()));
    }
    if let Some(video) = message.video_message.as_option() {
        let kind = match (video.view_once, video.gif_playback) {
            (Some(true), _) => "video to be seen once",
            (_, Some(true)) => "animation",
            _ => "video",
        };
        let caption = video.caption.as_deref();
        return Some(file(kind, video.mimetype.as_deref(), video.file_length, video.seconds, caption));
    }
    if let Some(video) = message.ptv_message.as_option() {
        return Some(file("video note", video.mimetype.as_deref(), video.file_length, video.seconds, None));
    }
    if let Some(audio) = message.audio_message.as_option() {
        let kind = if audio.ptt == Some(true) { "voice message" } else { "audio" };
        return Some(file(kind, audio.mimetype.as_deref(), audio.file_length, audio.seconds, None));
    }
    if let Some(document) = message.document_message.as_option() {
        let name = document.file_name.as_deref().filter(|name| !name.is_empty()).or(document.title.as_deref());
        let kind = format!("document{}", named(name));
        let caption = document.caption.as_deref().filter(|caption| Some(*caption) != name);
        return Some(file(&kind, document.mimetype.as_deref(), document.file_length, None, caption));
    }
    if let Some(sticker) = message.sticker_message.as_option() {
        let kind = format!("sticker{}", named(sticker.emojis.as_deref().or(sticker.accessibility_label.as_deref())));
        return Some(file(&kind, sticker.mimetype.as_deref(), sticker.file_length, None, None));
    }
    if let Some(pack) = message.sticker_pack_message.as_option() {
        let kind = format!("sticker pack{}", named(pack.name.as_deref()));
        return Some(file(&kind, None, pack.file_length, None, pack.caption.as_deref()));
    }
    None
}

fn file(kind: &str, mime: Option<&str>, bytes: Option<u64>, seconds: Option<u32>, caption: Option<&str>) -> String {
    let mut note = format!("[{kind}");
    if let Some(mime) = mime.filter(|mime| !mime.is_empty()) {
        // `audio/ogg; codecs=opus`: the part that says what it is.
        let mime = mime.split(';').next().unwrap_or(mime).trim();
        note.push_str(", ");
        note.push_str(bounded(mime, MAX_TYPE_BYTES));
    }
    if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
        note.push_str(&format!(", {}:{:02}", seconds / 60, seconds % 60));
    }
    if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
        note.push_str(", ");
        note.push_str(&size(bytes));
    }
    note.push(']');
    match caption.filter(|caption| !caption.is_empty()) {
        Some(caption) => format!("{} {note}", bounded(caption, MAX_TEXT_BYTES.saturating_sub(note.len() + 1))),
        None => note,
    }
}

/// A size as people read it, in powers of 1000.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            // Tenths, in whole numbers: a size may be larger than a float holds exactly.
            let tenths = bytes / (unit / 10);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}
