//! Questions of a client, and their answers.

use anyhow::{Context as _, Result};
use buffa::Message as _;
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::node::Node;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::FakeServer;
use crate::node::{attr, bytes, child, grandchildren, hidden_jid, jid, need, phone_jid, public};
use crate::state::{Account, Group, Out, State, Way};

/// What it knows only that somebody asks.
const NODDED_AT: [&str; 11] = [
    "w:p",
    "passive",
    "urn:xmpp:ping",
    "urn:xmpp:whatsapp:dirty",
    "w:web",
    "md",
    "w:stats",
    "tctoken",
    "w:mex",
    "fb:thrift_iq",
    "urn:xmpp:whatsapp:push",
];

/// A question.
struct Question<'a> {
    node: &'a Node,
    way: &'a Way,
}

impl Question<'_> {
    fn reply(&self, kind: &str, children: Vec<Node>) {
        let from = self.node.attrs.get("to").cloned().unwrap_or_else(|| "s.whatsapp.net".into());
        let reply = NodeBuilder::new("iq").attr("type", kind).attr("id", attr(self.node, "id")).attr("from", from);
        let reply = if children.is_empty() { reply } else { reply.children(children) };
        // A connection that has ended needs no answer.
        let _ = self.way.send(Out::Node(reply.build()));
    }

    fn answer(&self, children: impl IntoIterator<Item = Node>) {
        self.reply("result", children.into_iter().collect());
    }

    fn not_found(&self) {
        let error = NodeBuilder::new("error").attr("code", "404").attr("text", "item-not-found").build();
        self.reply("error", vec![error]);
    }
}

impl FakeServer {
    pub(crate) fn answer(&self, who: Option<&(String, u16)>, way: &Way, node: &Node) -> Result<()> {
        if attr(node, "type") == "result" {
            return self.paired(way, node);
        }
        let question = Question { node, way };
        match attr(node, "xmlns").as_str() {
            "encrypt" => self.keys(who, &question)?,
            "usync" => self.people(&question)?,
            "w:g2" => self.groups(who, &question)?,
            "w:sync:app:state" => question.answer([NodeBuilder::new("sync")
                .children(grandchildren(node, "sync").iter().map(|collection| {
                    NodeBuilder::new("collection")
                        .attr("name", attr(collection, "name"))
                        .attr("version", "0")
                        .attr("type", "result")
                        .build()
                }))
                .build()]),
            "blocklist" => question.answer([NodeBuilder::new("list").build()]),
            "privacy" => question.answer([NodeBuilder::new("privacy").build()]),
            "abt" => question.answer([NodeBuilder::new("props").attr("protocol", "1").attr("hash", "h").build()]),
            "md" if child(node, "link_code_companion_reg").is_some() => {
                let registration = need(node, "link_code_companion_reg")?;
                let is_end = attr(registration, "stage") == "companion_finish";
                let reference = NodeBuilder::new("link_code_pairing_ref").bytes(crate::pairing::REFERENCE.to_vec());
                let hello = NodeBuilder::new("link_code_companion_reg").attr("stage", "companion_hello");
                question.answer((!is_end).then(|| hello.children([reference.build()]).build()));
                self.link_code(way, registration)?;
            }
            "md" if child(node, "remove-companion-device").is_some() => {
                question.answer([]);
                if let Some((phone, device)) = who
                    && let Some(account) = self.state().accounts.get_mut(phone)
                {
                    account.devices.remove(device);
                }
            }
            known if NODDED_AT.contains(&known) => question.answer([]),
            other => {
                self.state().unknown.insert(format!("iq {other}"));
                question.answer([]);
            }
        }
        Ok(())
    }

    fn keys(&self, who: Option<&(String, u16)>, question: &Question<'_>) -> Result<()> {
        let node = question.node;
        let mut state = self.state();
        if attr(node, "type") == "set" {
            let who = who.context("it is not linked")?;
            let device = state.device(who).context("no such device")?;
            if let Some(registration) = child(node, "registration") {
                device.keys.registration = bytes(registration);
            }
            if let Some(identity) = child(node, "identity") {
                device.keys.identity = bytes(identity);
            }
            if let Some(signed) = child(node, "skey") {
                device.keys.signed = Some(signed.clone());
            }
            device.keys.one_time.extend(grandchildren(node, "list").iter().cloned());
            question.answer([]);
            if !std::mem::replace(&mut device.has_shared_key, true)
                && let Some(server) = self.me.upgrade()
            {
                let (phone, device) = who.clone();
                tokio::spawn(async move {
                    if let Err(error) = server.share_key(&phone, device).await {
                        tracing::error!("the phone could not share its key: {error:#}");
                    }
                });
            }
        } else if child(node, "count").is_some() {
            let left = state.device(who.context("it is not linked")?).context("no such device")?.keys.one_time.len();
            question.answer([NodeBuilder::new("count").attr("value", left.to_string()).build()]);
        } else if child(node, "key").is_some() {
            let wanted = grandchildren(node, "key");
            let users: Vec<Node> = wanted.iter().filter_map(|user| bundle(&mut state, user)).collect();
            question.answer([NodeBuilder::new("list").children(users).build()]);
        } else {
            question.not_found();
        }
        Ok(())
    }

    fn people(&self, question: &Question<'_>) -> Result<()> {
        let query = need(question.node, "usync")?;
        let state = self.state();
        let mut users = Vec::new();
        for user in grandchildren(query, "list") {
            let Ok(id) = attr(user, "jid").parse::<Jid>() else { continue };
            let (Some(account), Some(asked)) = (state.find(&id), user.attrs.get("jid")) else { continue };
            users.push(person(account, NodeBuilder::new("user").attr("jid", asked.clone()))?);
        }
        let answer = NodeBuilder::new("usync")
            .attr("sid", attr(query, "sid"))
            .attr("mode", "query")
            .attr("context", attr(query, "context"))
            .children([NodeBuilder::new("result").build(), NodeBuilder::new("list").children(users).build()]);
        question.answer([answer.build()]);
        Ok(())
    }

    fn groups(&self, who: Option<&(String, u16)>, question: &Question<'_>) -> Result<()> {
        let state = self.state();
        if child(question.node, "participating").is_some() {
            let (phone, _) = who.context("it is not linked")?;
            let groups: Result<Vec<Node>> = state
                .groups
                .values()
                .filter(|group| group.members.contains(phone))
                .map(|group| describe(&state, group))
                .collect();
            question.answer([NodeBuilder::new("groups").children(groups?).build()]);
            return Ok(());
        }
        let id = jid(&attr(question.node, "to"))?;
        match state.groups.get(id.user.as_str()) {
            Some(group) => question.answer([describe(&state, group)?]),
            None => question.not_found(),
        }
        Ok(())
    }
}

/// The keys of one device, of which one is used up with that.
fn bundle(state: &mut State, user: &Node) -> Option<Node> {
    let asked = user.attrs.get("jid")?.clone();
    let id: Jid = attr(user, "jid").parse().ok()?;
    let device = state.find_mut(&id)?.devices.get_mut(&id.device)?;
    if device.keys.identity.is_empty() {
        return None;
    }
    let mut children = vec![
        NodeBuilder::new("registration").bytes(device.keys.registration.clone()).build(),
        NodeBuilder::new("type").bytes(vec![5]).build(),
        NodeBuilder::new("identity").bytes(device.keys.identity.clone()).build(),
        device.keys.signed.clone()?,
    ];
    children.extend(device.keys.one_time.pop_front());
    let signature = device.signature.clone();
    children.extend(signature.map(|bytes| NodeBuilder::new("device-identity").bytes(bytes).build()));
    Some(NodeBuilder::new("user").attr("jid", asked).children(children).build())
}

/// A person's devices and other id.
fn person(account: &Account, user: NodeBuilder) -> Result<Node> {
    let linked = account.devices.iter().filter(|(_, device)| !device.keys.identity.is_empty());
    let devices: Vec<Node> = linked
        .map(|(number, _)| {
            let device = NodeBuilder::new("device").attr("id", number.to_string());
            if *number > 0 { device.attr("key-index", number.to_string()).build() } else { device.build() }
        })
        .collect();
    Ok(user
        .children([
            NodeBuilder::new("devices")
                .children([
                    NodeBuilder::new("device-list").attr("hash", "2:x").children(devices).build(),
                    NodeBuilder::new("key-index-list").attr("ts", "1790000000").bytes(key_index_list(account)?).build(),
                ])
                .build(),
            NodeBuilder::new("lid").attr("val", hidden_jid(&account.hidden)?).build(),
            NodeBuilder::new("contact").attr("type", "in").build(),
        ])
        .build())
}

fn key_index_list(account: &Account) -> Result<Vec<u8>> {
    let details = wa::ADVKeyIndexList {
        raw_id: Some(77),
        timestamp: Some(1_790_000_000),
        current_index: account.devices.keys().next_back().map(|last| u32::from(*last)),
        valid_indexes: account.devices.keys().map(|number| u32::from(*number)).collect(),
        ..Default::default()
    }
    .encode_to_vec();
    let mut signed = vec![6u8, 2];
    signed.extend(&details);
    let signature = account.keys.private_key.calculate_signature(&signed, &mut rand::rng())?;
    Ok(wa::ADVSignedKeyIndexList {
        details: Some(details),
        account_signature: Some(signature.to_vec()),
        ..Default::default()
    }
    .encode_to_vec())
}

fn describe(state: &State, group: &Group) -> Result<Node> {
    let mut children = Vec::new();
    for (index, member) in group.members.iter().enumerate() {
        let account = state.accounts.get(member).context("a member without an account")?;
        let (phone, hidden) = (phone_jid(&account.phone)?, hidden_jid(&account.hidden)?);
        let member = NodeBuilder::new("participant");
        let member = if group.is_hidden {
            member.attr("jid", hidden).attr("phone_number", phone)
        } else {
            member.attr("jid", phone).attr("lid", hidden)
        };
        children.push(if index == 0 { member.attr("type", "superadmin").build() } else { member.build() });
    }
    children.push(NodeBuilder::new("member_add_mode").string_content("all_member_add").build());
    let creator = group.members.first().context("an empty group")?;
    Ok(NodeBuilder::new("group")
        .attr("id", group.id.clone())
        .attr("subject", group.subject.clone())
        .attr("s_t", "1790000000")
        .attr("creation", "1790000000")
        .attr("creator", phone_jid(creator)?)
        .attr("addressing_mode", if group.is_hidden { "lid" } else { "pn" })
        .children(children)
        .build())
}

/// Signs a device's key for the account, as the phone does when it links it.
pub(crate) fn sign_device(account: &Account, number: u16, identity: &[u8]) -> Result<Vec<u8>> {
    let details = wa::ADVDeviceIdentity {
        raw_id: Some(77),
        timestamp: Some(1_790_000_000),
        key_index: Some(number.into()),
        ..Default::default()
    }
    .encode_to_vec();
    let mut signed = vec![6u8, 0];
    signed.extend(&details);
    signed.extend(identity);
    let signature = account.keys.private_key.calculate_signature(&signed, &mut rand::rng())?;
    Ok(wa::ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(public(&account.keys).to_vec()),
        account_signature: Some(signature.to_vec()),
        ..Default::default()
    }
    .encode_to_vec())
}
