//! Small things about stanzas.

use anyhow::{Context as _, Result};
use wacore::libsignal::protocol::KeyPair;
use wacore_binary::Jid;
use wacore_binary::node::{Node, NodeContent};

/// An attribute; empty if there is none.
#[must_use]
pub fn attr(node: &Node, name: &str) -> String {
    node.attrs.get(name).map(|value| value.to_string()).unwrap_or_default()
}

/// The bytes in it.
#[must_use]
pub fn bytes(node: &Node) -> Vec<u8> {
    match &node.content {
        Some(NodeContent::Bytes(bytes)) => bytes.clone(),
        Some(NodeContent::String(text)) => text.as_bytes().to_vec(),
        _ => Vec::new(),
    }
}

/// The first child with this tag.
#[must_use]
pub fn child<'a>(node: &'a Node, tag: &str) -> Option<&'a Node> {
    node.get_optional_child(tag)
}

/// The first child with this tag, or an error that names it.
pub(crate) fn need<'a>(node: &'a Node, tag: &str) -> Result<&'a Node> {
    child(node, tag).with_context(|| format!("`{tag}` is missing"))
}

/// The children of a child.
#[must_use]
pub fn grandchildren<'a>(node: &'a Node, tag: &str) -> &'a [Node] {
    child(node, tag).and_then(Node::children).unwrap_or_default()
}

/// Parses an id.
///
/// # Errors
/// It is none.
pub fn jid(text: &str) -> Result<Jid> {
    text.parse().with_context(|| format!("`{text}` is no id"))
}

pub(crate) fn phone_jid(phone: &str) -> Result<Jid> {
    jid(&format!("{phone}@s.whatsapp.net"))
}

pub(crate) fn hidden_jid(hidden: &str) -> Result<Jid> {
    jid(&format!("{hidden}@lid"))
}

/// The public half of a key pair.
pub(crate) fn public(keys: &KeyPair) -> [u8; 32] {
    let mut bytes = [0; 32];
    let public = keys.public_key.public_key_bytes();
    let length = public.len().min(32);
    bytes[..length].copy_from_slice(&public[..length]);
    bytes
}

/// The current time as stanzas have it.
pub(crate) fn now() -> String {
    wacore::time::now_secs().to_string()
}
