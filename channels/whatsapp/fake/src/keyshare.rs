//! The phone as a peer: it shares the key for settings with a device that it has just linked, without which
//! that waits for some time.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use buffa::MessageField;
use wacore::libsignal::protocol::{
    DeviceId, Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, PreKeyBundle, ProtocolAddress,
    PublicKey, SessionRecord, SessionStore, SignalProtocolError, UsePQRatchet, message_encrypt, process_prekey_bundle,
};
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::node::Node;
use whatsapp_rust::async_trait;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId, AppStateSyncKeyShare,
    ProtocolMessage,
};

use crate::FakeServer;
use crate::node::{bytes, child, now, phone_jid};
use crate::state::Out;

/// The phone's registration id, as in its keys.
const REGISTRATION: u32 = 0x3039;

struct Identities {
    own: IdentityKeyPair,
    known: HashMap<String, IdentityKey>,
}

#[async_trait]
impl IdentityKeyStore for Identities {
    async fn get_identity_key_pair(&self) -> Result<IdentityKeyPair, SignalProtocolError> {
        Ok(self.own.clone())
    }

    async fn get_local_registration_id(&self) -> Result<u32, SignalProtocolError> {
        Ok(REGISTRATION)
    }

    async fn save_identity(
        &mut self,
        address: &ProtocolAddress,
        identity: &IdentityKey,
    ) -> Result<IdentityChange, SignalProtocolError> {
        self.known.insert(address.to_string(), *identity);
        Ok(IdentityChange::NewOrUnchanged)
    }

    async fn is_trusted_identity(
        &self,
        _: &ProtocolAddress,
        _: &IdentityKey,
        _: Direction,
    ) -> Result<bool, SignalProtocolError> {
        Ok(true)
    }

    async fn get_identity(&self, address: &ProtocolAddress) -> Result<Option<IdentityKey>, SignalProtocolError> {
        Ok(self.known.get(&address.to_string()).cloned())
    }
}

#[derive(Default)]
struct Sessions(HashMap<String, SessionRecord>);

#[async_trait]
impl SessionStore for Sessions {
    async fn load_session(&self, address: &ProtocolAddress) -> Result<Option<SessionRecord>, SignalProtocolError> {
        Ok(self.0.get(&address.to_string()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> Result<bool, SignalProtocolError> {
        Ok(self.0.contains_key(&address.to_string()))
    }

    async fn store_session(
        &mut self,
        address: &ProtocolAddress,
        record: SessionRecord,
    ) -> Result<(), SignalProtocolError> {
        self.0.insert(address.to_string(), record);
        Ok(())
    }
}

impl FakeServer {
    pub(crate) async fn share_key(&self, phone: &str, number: u16) -> Result<()> {
        let (bundle, own, way) = {
            let mut state = self.state();
            let account = state.accounts.get_mut(phone).context("no such account")?;
            let own = account.keys.clone();
            let device = account.devices.get_mut(&number).context("no such device")?;
            let signed = device.keys.signed.clone().context("no signed key")?;
            let one_time = device.keys.one_time.pop_front().context("no key for one use")?;
            let registration = u32::from_be_bytes(device.keys.registration.as_slice().try_into()?);
            let bundle = PreKeyBundle::new(
                registration,
                DeviceId::from(u32::from(number)),
                Some((key_id(&one_time)?.into(), key(&one_time)?)),
                key_id(&signed)?.into(),
                key(&signed)?,
                child(&signed, "signature").map(bytes).unwrap_or_default(),
                IdentityKey::new(PublicKey::from_djb_public_key_bytes(&device.keys.identity)?),
            )?;
            (bundle, own, device.way.clone().context("it is not connected")?)
        };
        let own = IdentityKeyPair::new(IdentityKey::new(own.public_key), own.private_key);
        let mut identities = Identities { own, known: HashMap::new() };
        let mut sessions = Sessions::default();
        let address = ProtocolAddress::new(phone, DeviceId::from(u32::from(number)));
        let mut random = rand::make_rng::<rand::rngs::StdRng>();
        let ratchet = UsePQRatchet::No;
        process_prekey_bundle(&address, &mut sessions, &mut identities, &bundle, &mut random, ratchet).await?;
        let plain = MessageUtils::encode_and_pad(&message());
        let sealed = message_encrypt(&plain, &address, &mut sessions, &mut identities).await?;
        let sealed = NodeBuilder::new("enc").attr("v", "2").attr("type", "pkmsg").bytes(sealed.serialize().to_vec());
        let node = NodeBuilder::new("message")
            .attr("from", phone_jid(phone)?)
            .attr("id", "KEYSHARE1")
            .attr("t", now())
            .attr("type", "text")
            .attr("category", "peer")
            .children([sealed.build()]);
        let _ = way.send(Out::Node(node.build()));
        Ok(())
    }
}

fn key_id(node: &Node) -> Result<u32> {
    match child(node, "id").map(bytes).as_deref() {
        Some(&[high, middle, low]) => Ok(u32::from_be_bytes([0, high, middle, low])),
        _ => anyhow::bail!("a key without an id"),
    }
}

fn key(node: &Node) -> Result<PublicKey> {
    Ok(PublicKey::from_djb_public_key_bytes(&child(node, "value").map(bytes).unwrap_or_default())?)
}

fn message() -> wa::Message {
    let fingerprint =
        AppStateSyncKeyFingerprint { raw_id: Some(77), current_index: Some(1), device_indexes: vec![0, 1] };
    let data = AppStateSyncKeyData {
        key_data: Some(vec![7; 32]),
        timestamp: Some(1_790_000_000),
        fingerprint: MessageField::some(fingerprint),
    };
    let key = AppStateSyncKey {
        key_id: MessageField::some(AppStateSyncKeyId { key_id: Some(vec![0, 0, 0, 0, 0x42, 1]) }),
        key_data: MessageField::some(data),
    };
    let share = AppStateSyncKeyShare { keys: vec![key] };
    wa::Message {
        protocol_message: MessageField::some(ProtocolMessage {
            r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: MessageField::some(share),
            ..Default::default()
        }),
        ..Default::default()
    }
}
