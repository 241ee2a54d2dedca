//! One connection: who it is, what it is given at first, and what it says.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Frame;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::marshal::{marshal, unmarshal_ref};
use wacore_binary::node::Node;
use wacore_binary::util::unpack;
use wacore_noise::framing::encode_frame;

use crate::FakeServer;
use crate::node::{attr, jid, now};
use crate::noise::{Frames, shake_hands};
use crate::state::{Failure, Out, State, Way};

/// How many references a connection that is not linked gets, each for one QR code.
const REFERENCES: usize = 6;

impl FakeServer {
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream) -> Result<()> {
        let (mut sink, stream) = tokio_tungstenite::accept_async(stream).await?.split();
        let mut frames = Frames::new(stream);
        let (payload, noise) = shake_hands(&self.identity, &mut frames, &mut sink).await?;
        // The names are the client's: what it writes is what we read.
        let (reading, writing) = noise.finish()?;
        let (way, mut out) = mpsc::unbounded_channel::<Out>();
        let who = match payload.username {
            Some(user) => Some((user.to_string(), u16::try_from(payload.device.unwrap_or(0))?)),
            None => None,
        };
        match &who {
            None => self.offer_references(&way),
            Some(who) => self.log_in(who, &way)?,
        }
        let writer = tokio::spawn(async move {
            let mut counter = 0u32;
            while let Some(Out::Node(node)) = out.recv().await {
                let sealed = writing.encrypt_with_counter(counter, &marshal(&node)?)?;
                counter += 1;
                sink.send(Frame::Binary(encode_frame(&sealed, None)?.into())).await?;
            }
            sink.close().await?;
            anyhow::Ok(())
        });
        let result = self.hear(&who, &way, &mut frames, |counter, frame| {
            reading.decrypt_in_place_with_counter(counter, frame)?;
            Ok(())
        });
        let result = result.await;
        if let Some(who) = &who
            && let Some(device) = self.state().device(who)
            && device.way.as_ref().is_some_and(|current| current.same_channel(&way))
        {
            device.way = None;
        }
        writer.abort();
        result
    }

    async fn hear<S>(
        &self,
        who: &Option<(String, u16)>,
        way: &Way,
        frames: &mut Frames<S>,
        open: impl Fn(u32, &mut bytes::BytesMut) -> Result<()>,
    ) -> Result<()>
    where
        S: futures_util::Stream<Item = Result<Frame, tokio_tungstenite::tungstenite::Error>> + Unpin,
    {
        let mut counter = 0u32;
        while let Some(mut frame) = frames.next().await? {
            if way.is_closed() {
                break;
            }
            open(counter, &mut frame)?;
            counter += 1;
            let node = unmarshal_ref(&unpack(&frame)?)?.to_owned();
            tracing::trace!(?who, ?node, "heard");
            self.handle(who.as_ref(), way, node)?;
        }
        Ok(())
    }

    fn handle(&self, who: Option<&(String, u16)>, way: &Way, node: Node) -> Result<()> {
        let linked = || who.context("it is not linked");
        match node.tag.as_ref() {
            "iq" => self.answer(who, way, &node)?,
            "message" => self.relay(linked()?, way, &node)?,
            "receipt" => {
                let ack = NodeBuilder::new("ack").attr("class", "receipt").attr("id", attr(&node, "id"));
                let from = node.attrs.get("to").cloned().unwrap_or_else(|| "s.whatsapp.net".into());
                let _ = way.send(Out::Node(ack.attr("from", from).build()));
                match attr(&node, "type").as_str() {
                    "retry" => self.state().retries += 1,
                    "read" => {}
                    _ => self.state().acknowledge(linked()?, &node),
                }
                self.relay_receipt(linked()?, &node)?;
            }
            "ack" if attr(&node, "class") == "message" => self.state().acknowledge(linked()?, &node),
            "chatstate" => self.relay_chatstate(linked()?, &node)?,
            "ack" | "presence" | "ib" => {}
            other => _ = self.state().unknown.insert(other.to_owned()),
        }
        Ok(())
    }

    fn offer_references(&self, way: &Way) {
        let mut state = self.state();
        let mut references = Vec::new();
        for _ in 0..REFERENCES {
            let reference = format!("2@reference{}", state.next_id());
            state.unlinked.insert(reference.clone(), way.clone());
            references.push(NodeBuilder::new("ref").bytes(reference.into_bytes()).build());
        }
        let offer = NodeBuilder::new("iq")
            .attr("from", "s.whatsapp.net")
            .attr("type", "set")
            .attr("id", "pair")
            .attr("xmlns", "md")
            .children([NodeBuilder::new("pair-device").children(references).build()]);
        let _ = way.send(Out::Node(offer.build()));
    }

    fn log_in(&self, who: &(String, u16), way: &Way) -> Result<()> {
        let mut state = self.state();
        let refusal = state.refusals.get_mut(&who.0).and_then(|refusals| refusals.pop_front());
        let is_known = state.device(who).is_some();
        if let Some(failure) = refusal.or_else(|| (!is_known).then(|| Failure::new(401))) {
            let mut node = NodeBuilder::new("failure").attr("reason", failure.reason.to_string());
            if let Some((code, seconds)) = failure.ban {
                node = node.attr("code", code.to_string()).attr("expire", seconds.to_string());
            }
            let _ = way.send(Out::Node(node.build()));
            let _ = way.send(Out::Close);
            return Ok(());
        }
        *state.logins.entry(who.0.clone()).or_default() += 1;
        let hidden = state.accounts.get(&who.0).map(|account| account.hidden.clone()).unwrap_or_default();
        let hidden = jid(&format!("{hidden}:{}@lid", who.1))?;
        let Some(device) = state.device(who) else { return Ok(()) };
        if let Some(old) = device.way.replace(way.clone()) {
            let conflict = NodeBuilder::new("conflict").attr("type", "replaced").build();
            let _ = old.send(Out::Node(NodeBuilder::new("stream:error").children([conflict]).build()));
            let _ = old.send(Out::Close);
        }
        let success = NodeBuilder::new("success")
            .attr("t", now())
            .attr("lid", hidden)
            .attr("props", "27")
            .attr("companion_enc_static", "x")
            .attr("abprops", "0")
            .attr("group_abprops", "0")
            .attr("location", "cln");
        let _ = way.send(Out::Node(success.build()));
        let mut waiting = std::mem::take(&mut device.unacked);
        for node in &mut waiting {
            node.attrs.push("offline", "1");
        }
        waiting.append(&mut device.offline);
        device.unacked = waiting.clone();
        let count = waiting.len().to_string();
        let preview = NodeBuilder::new("offline_preview")
            .attr("count", count.clone())
            .attr("message", count.clone())
            .attr("receipt", "0")
            .attr("notification", "0")
            .attr("appdata", "0");
        let _ = way.send(notice(preview));
        for node in waiting {
            let _ = way.send(Out::Node(node));
            state.count_delivery(&who.0, way);
        }
        let _ = way.send(notice(NodeBuilder::new("offline").attr("count", count)));
        Ok(())
    }
}

fn notice(about: NodeBuilder) -> Out {
    Out::Node(NodeBuilder::new("ib").attr("from", "s.whatsapp.net").children([about.build()]).build())
}

impl State {
    fn acknowledge(&mut self, who: &(String, u16), node: &Node) {
        // One receipt may stand for many messages.
        let listed = crate::node::grandchildren(node, "list").iter().map(|item| attr(item, "id"));
        let ids: Vec<String> = std::iter::once(attr(node, "id")).chain(listed).collect();
        if let Some(device) = self.device(who) {
            device.unacked.retain(|message| !ids.contains(&attr(message, "id")));
        }
        self.acked.extend(ids.into_iter().map(|id| (who.0.clone(), id)));
    }

    /// Breaks the connection if enough was delivered.
    pub(crate) fn count_delivery(&mut self, phone: &str, way: &Way) {
        if let Some(left) = self.cut_after.get_mut(phone) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.cut_after.remove(phone);
                let _ = way.send(Out::Close);
            }
        }
    }
}
