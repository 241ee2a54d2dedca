//! Linking a device: what the phone does when it scans a code or is told one.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use buffa::Message as _;
use hmac::Mac as _;
use wacore::libsignal::crypto::aes_256_gcm_decrypt;
use wacore::libsignal::protocol::{KeyPair, PublicKey};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::node::Node;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::FakeServer;
use crate::iq::sign_device;
use crate::node::{attr, bytes, jid, need, now, public};
use crate::state::{Device, Out, PairCode, Way};

/// The reference of a pair code.
pub(crate) const REFERENCE: &[u8] = b"2@pairref";

impl FakeServer {
    /// The phone scans a QR code.
    ///
    /// # Errors
    /// It is none of this server's.
    pub fn scan(&self, phone: &str, code: &str) -> Result<()> {
        let fields: Vec<&str> = code.rsplit('#').next().unwrap_or_default().split(',').collect();
        let [reference, _, identity, secret, ..] = fields[..] else { bail!("`{code}` is no QR code") };
        let way = self.state().unlinked.remove(reference).context("the code is not known")?;
        self.link(phone, &BASE64.decode(identity)?, &BASE64.decode(secret)?, &way)
    }

    fn link(&self, phone: &str, identity: &[u8], secret: &[u8], way: &Way) -> Result<()> {
        let mut state = self.state();
        let id = format!("pair{}", state.next_id());
        let account = state.accounts.get_mut(phone).context("no such account")?;
        let number = account.devices.keys().next_back().map_or(1, |last| last + 1);
        let signed = sign_device(account, number, identity)?;
        let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(secret)?;
        mac.update(&signed);
        let container = wa::ADVSignedDeviceIdentityHMAC {
            details: Some(signed),
            hmac: Some(mac.finalize().into_bytes().to_vec()),
            ..Default::default()
        }
        .encode_to_vec();
        account.devices.insert(number, Device::default());
        let success = NodeBuilder::new("pair-success").children([
            NodeBuilder::new("device-identity").bytes(container).build(),
            NodeBuilder::new("platform").attr("name", "android").build(),
            NodeBuilder::new("device")
                .attr("jid", jid(&format!("{}:{number}@s.whatsapp.net", account.phone))?)
                .attr("lid", jid(&format!("{}:{number}@lid", account.hidden))?)
                .build(),
        ]);
        let node = NodeBuilder::new("iq")
            .attr("from", "s.whatsapp.net")
            .attr("type", "set")
            .attr("id", id)
            .children([success.build()]);
        let _ = way.send(Out::Node(node.build()));
        Ok(())
    }

    /// The device has signed its side: it has to connect anew, as itself.
    pub(crate) fn paired(&self, way: &Way, node: &Node) -> Result<()> {
        let Ok(sign) = need(node, "pair-device-sign") else { return Ok(()) };
        let identity = need(sign, "device-identity")?;
        let number: u16 = attr(identity, "key-index").parse()?;
        let signed = bytes(identity);
        let key = wa::ADVSignedDeviceIdentity::decode_from_slice(&signed)?.account_signature_key.unwrap_or_default();
        for account in self.state().accounts.values_mut() {
            if (key.is_empty() || public(&account.keys)[..] == key[..])
                && let Some(device) = account.devices.get_mut(&number)
                && device.signature.is_none()
            {
                device.signature = Some(signed.clone());
            }
        }
        let _ = way.send(Out::Node(NodeBuilder::new("stream:error").attr("code", "515").build()));
        let _ = way.send(Out::Close);
        Ok(())
    }

    /// The operator types a pair code into the phone.
    ///
    /// # Errors
    /// No device of the account waits for one.
    pub fn type_code(&self, phone: &str, code: &str) -> Result<()> {
        let mut state = self.state();
        let code = code.replace('-', "");
        let account_key = public(&state.accounts.get(phone).context("no such account")?.keys);
        let waiting = state.pair_codes.get_mut(phone).context("nobody waits for a code")?;
        let theirs = PairCodeUtils::decrypt_primary_ephemeral_pub(&waiting.wrapped, &code)?;
        let own = KeyPair::generate(&mut rand::rng());
        let wrapped = PairCodeUtils::encrypt_ephemeral_pub(&public(&own), &code);
        waiting.exchange = Some((theirs, own));
        let hello = NodeBuilder::new("link_code_companion_reg").attr("stage", "primary_hello").children([
            NodeBuilder::new("link_code_pairing_ref").bytes(REFERENCE.to_vec()).build(),
            NodeBuilder::new("link_code_pairing_wrapped_primary_ephemeral_pub").bytes(wrapped.to_vec()).build(),
            NodeBuilder::new("primary_identity_pub").bytes(account_key.to_vec()).build(),
        ]);
        let notification = NodeBuilder::new("notification")
            .attr("type", "link_code_companion_reg")
            .attr("from", "s.whatsapp.net")
            .attr("id", "code1")
            .attr("t", now())
            .children([hello.build()]);
        let _ = waiting.way.send(Out::Node(notification.build()));
        Ok(())
    }

    /// A device asks for a pair code, or finishes with one.
    pub(crate) fn link_code(&self, way: &Way, registration: &Node) -> Result<()> {
        let phone = attr(registration, "jid").split('@').next().unwrap_or_default().to_owned();
        if attr(registration, "stage") == "companion_hello" {
            let wrapped = bytes(need(registration, "link_code_pairing_wrapped_companion_ephemeral_pub")?);
            self.state().pair_codes.insert(phone, PairCode { wrapped, exchange: None, way: way.clone() });
            return Ok(());
        }
        let sealed = bytes(need(registration, "link_code_pairing_wrapped_key_bundle")?);
        let identity = bytes(need(registration, "companion_identity_public")?);
        let (shared, account_shared) = {
            let mut state = self.state();
            let waiting = state.pair_codes.get_mut(&phone).context("nobody waits for a code")?;
            let (theirs, own) = waiting.exchange.take().context("no code was typed")?;
            let shared = own.private_key.calculate_agreement(&PublicKey::from_djb_public_key_bytes(&theirs)?)?;
            let account = state.accounts.get(&phone).context("no such account")?;
            let key = PublicKey::from_djb_public_key_bytes(&identity)?;
            (shared, account.keys.private_key.calculate_agreement(&key)?)
        };
        let derive = |input: &[u8], salt: Option<&[u8]>, label: &[u8]| -> Result<[u8; 32]> {
            let mut key = [0u8; 32];
            wacore::crypto::hkdf_sha256_into(input, salt, label, &mut key).ok().context("no key")?;
            Ok(key)
        };
        let (salt, rest) = sealed.split_at_checked(32).context("the bundle is cut off")?;
        let (nonce, sealed) = rest.split_at_checked(12).context("the bundle is cut off")?;
        let key = derive(&shared, Some(salt), b"link_code_pairing_key_bundle_encryption_key")?;
        let mut bundle = Vec::new();
        aes_256_gcm_decrypt(&key, nonce.try_into()?, b"", sealed, &mut bundle).ok().context("another code")?;
        if bundle.get(..32) != Some(&identity[..]) {
            bail!("the bundle is another device's");
        }
        let mut input = shared.to_vec();
        input.extend(&account_shared[..]);
        input.extend(bundle.get(64..96).context("the bundle is cut off")?);
        let secret = derive(&input, None, b"adv_secret")?;
        self.link(&phone, &identity, &secret, way)
    }
}
