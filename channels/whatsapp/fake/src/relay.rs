//! What people send each other: passed on to the devices that it is for, and kept for those that are away.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::node::{Node, NodeContent};

use crate::FakeServer;
use crate::node::{attr, child, grandchildren, jid, now};
use crate::state::{Fault, Out, State, Way, Wire};

/// A device that gets a message.
struct Recipient {
    device: (String, u16),
    /// What is sealed for it alone.
    sealed: Vec<Node>,
    /// Whether it knows the sender by the hidden id.
    is_hidden: bool,
}

impl FakeServer {
    pub(crate) fn relay(&self, from: &(String, u16), way: &Way, node: &Node) -> Result<()> {
        let id = attr(node, "id");
        let to = jid(&attr(node, "to"))?;
        let mut state = self.state();
        state.messages.push(Wire { from: from.clone(), to: to.to_string(), id: id.clone() });
        let fault = state.faults.get_mut(&from.0).and_then(|faults| faults.pop_front());
        if fault == Some(Fault::Lost) {
            let _ = way.send(Out::Close);
            return Ok(());
        }
        if fault == Some(Fault::Unconfirmed) {
            let _ = way.send(Out::Close);
        } else {
            let ack = NodeBuilder::new("ack").attr("class", "message").attr("id", id.clone());
            let _ = way.send(Out::Node(ack.attr("from", to.clone()).attr("t", now()).build()));
        }
        let mut group_sealed = node.children().unwrap_or_default().iter().find(|part| part.tag == "enc").cloned();
        if fault == Some(Fault::Corrupted)
            && let Some(NodeContent::Bytes(bytes)) = group_sealed.as_mut().and_then(|part| part.content.as_mut())
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 0xff;
        }
        let proof = child(node, "device-identity").cloned();
        for Recipient { device, mut sealed, is_hidden } in recipients(&state, from, &to, node)? {
            let begins = |part: &Node| attr(part, "type") == "pkmsg";
            let is_first = sealed.iter().any(begins) || group_sealed.as_ref().is_some_and(begins);
            sealed.extend(group_sealed.clone());
            if is_first {
                sealed.extend(proof.clone());
            }
            let message = envelope(&state, from, &to, node, &device, is_hidden)?;
            state.deliver(&device, message, sealed);
        }
        Ok(())
    }

    pub(crate) fn relay_chatstate(&self, from: &(String, u16), node: &Node) -> Result<()> {
        let mut state = self.state();
        state.chatstates.push(node.clone());
        let to = jid(&attr(node, "to"))?;
        let Some(group) = state.groups.get(to.user.as_str()) else { return Ok(()) };
        let account = state.accounts.get(&from.0).context("no such account")?;
        let sender = if group.is_hidden {
            format!("{}@lid", account.hidden)
        } else {
            format!("{}@s.whatsapp.net", account.phone)
        };
        let notice = NodeBuilder::new("chatstate")
            .attr("from", to.clone())
            .attr("participant", jid(&sender)?)
            .children(node.children().unwrap_or_default().to_vec())
            .build();
        for member in group.members.iter().filter(|member| **member != from.0) {
            for device in state.accounts.get(member).into_iter().flat_map(|account| account.devices.values()) {
                if let Some(way) = &device.way {
                    let _ = way.send(Out::Node(notice.clone()));
                }
            }
        }
        Ok(())
    }

    /// A receipt goes to the author's device: that it was read, or that it has to be sent again.
    pub(crate) fn relay_receipt(&self, from: &(String, u16), node: &Node) -> Result<()> {
        let state = self.state();
        let participant = attr(node, "participant");
        let target = if participant.is_empty() { attr(node, "to") } else { participant.clone() };
        let Ok(target) = target.parse::<Jid>() else { return Ok(()) };
        let (Some(author), Some(account)) = (state.find(&target), state.accounts.get(&from.0)) else { return Ok(()) };
        let sender = if target.is_lid() {
            jid(&format!("{}:{}@lid", account.hidden, from.1))?
        } else {
            jid(&format!("{}:{}@s.whatsapp.net", account.phone, from.1))?
        };
        let mut receipt = NodeBuilder::new("receipt").attr("id", attr(node, "id")).attr("t", now());
        if !attr(node, "type").is_empty() {
            receipt = receipt.attr("type", attr(node, "type"));
        }
        receipt = if participant.is_empty() {
            receipt.attr("from", sender)
        } else {
            receipt.attr("from", jid(&attr(node, "to"))?).attr("participant", sender)
        };
        if let Some(children) = node.children() {
            receipt = receipt.children(children.to_vec());
        }
        let receipt = receipt.build();
        for (number, device) in &author.devices {
            if (target.device == 0 || *number == target.device)
                && let Some(way) = &device.way
            {
                let _ = way.send(Out::Node(receipt.clone()));
            }
        }
        Ok(())
    }
}

/// The devices that the message names, and of a group all that have the sender's key already.
fn recipients(state: &State, from: &(String, u16), to: &Jid, node: &Node) -> Result<Vec<Recipient>> {
    let mut recipients = Vec::new();
    let mut named = HashSet::new();
    for part in grandchildren(node, "participants") {
        let id = jid(&attr(part, "jid"))?;
        let Some(account) = state.find(&id) else { continue };
        let device = (account.phone.clone(), id.device);
        named.insert(device.clone());
        let sealed = part.children().unwrap_or_default().to_vec();
        recipients.push(Recipient { device, sealed, is_hidden: id.is_lid() });
    }
    let again = attr(node, "participant");
    match state.groups.get(to.user.as_str()) {
        Some(group) if !again.is_empty() => {
            let id = jid(&again)?;
            if let Some(account) = state.find(&id) {
                let device = (account.phone.clone(), id.device);
                recipients.push(Recipient { device, sealed: Vec::new(), is_hidden: group.is_hidden });
            }
        }
        Some(group) => {
            for account in group.members.iter().filter_map(|member| state.accounts.get(member)) {
                for number in account.devices.keys() {
                    let device = (account.phone.clone(), *number);
                    if device != *from && !named.contains(&device) {
                        recipients.push(Recipient { device, sealed: Vec::new(), is_hidden: group.is_hidden });
                    }
                }
            }
        }
        None if named.is_empty() => {
            if let Some(account) = state.find(to) {
                let device = (account.phone.clone(), to.device);
                recipients.push(Recipient { device, sealed: Vec::new(), is_hidden: to.is_lid() });
            }
        }
        None => {}
    }
    Ok(recipients)
}

/// The message as one device gets it, without what is sealed.
fn envelope(
    state: &State,
    from: &(String, u16),
    to: &Jid,
    node: &Node,
    device: &(String, u16),
    is_hidden: bool,
) -> Result<NodeBuilder> {
    let account = state.accounts.get(&from.0).context("no such account")?;
    let group = state.groups.get(to.user.as_str());
    let is_hidden = is_hidden || group.is_some_and(|group| group.is_hidden);
    let phone = format!("{}:{}@s.whatsapp.net", account.phone, from.1);
    let hidden = format!("{}:{}@lid", account.hidden, from.1);
    let (sender, other) = if is_hidden {
        (hidden, format!("{}@s.whatsapp.net", account.phone))
    } else {
        (phone, format!("{}@lid", account.hidden))
    };
    let message = NodeBuilder::new("message")
        .attr("id", attr(node, "id"))
        .attr("t", now())
        .attr("type", attr(node, "type"))
        .attr("notify", account.name.clone())
        .attr("addressing_mode", if is_hidden { "lid" } else { "pn" });
    let message = match attr(node, "edit") {
        edit if edit.is_empty() => message,
        edit => message.attr("edit", edit),
    };
    let (sender, other) = (jid(&sender)?, jid(&other)?);
    Ok(match (group, is_hidden) {
        (Some(_), true) => message.attr("from", to.clone()).attr("participant", sender).attr("participant_pn", other),
        (Some(_), false) => message.attr("from", to.clone()).attr("participant", sender).attr("participant_lid", other),
        (None, _) => {
            let message = message.attr("from", sender);
            let message = if device.0 == from.0 { message.attr("recipient", to.clone()) } else { message };
            message.attr(if is_hidden { "sender_pn" } else { "sender_lid" }, other)
        }
    })
}

impl State {
    fn deliver(&mut self, who: &(String, u16), message: NodeBuilder, sealed: Vec<Node>) {
        let Some(device) = self.device(who) else { return };
        // The phone itself has nobody behind it.
        if who.1 == 0 || device.keys.identity.is_empty() {
            return;
        }
        match device.way.clone() {
            Some(way) => {
                let node = message.children(sealed).build();
                device.unacked.push(node.clone());
                let _ = way.send(Out::Node(node));
                self.count_delivery(&who.0, &way);
            }
            None => device.offline.push(message.attr("offline", "0").children(sealed).build()),
        }
    }
}
