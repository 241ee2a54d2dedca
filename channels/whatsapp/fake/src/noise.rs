//! The handshake, from the server's side.

use anyhow::{Context as _, Result, bail};
use buffa::{Message as _, MessageField};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use wacore::handshake::NoiseHandshake;
use wacore::libsignal::protocol::KeyPair;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_noise::framing::{FrameDecoder, encode_frame};
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::cert_chain::NoiseCertificate;
use whatsapp_rust::waproto::whatsapp::cert_chain::noise_certificate::Details;
use whatsapp_rust::waproto::whatsapp::handshake_message::ServerHello;

use crate::node::public;

/// Who the server is.
pub(crate) struct Identity {
    keys: KeyPair,
    /// Its certificate, signed by an intermediate one, signed by `root`.
    chain: Vec<u8>,
    pub(crate) root: [u8; 32],
}

impl Identity {
    pub(crate) fn generate() -> Result<Self> {
        let (root, middle, keys) = (pair(), pair(), pair());
        let certificate = |serial: u32, key: &KeyPair, issuer: &KeyPair| -> Result<NoiseCertificate> {
            let details = Details {
                serial: Some(serial),
                issuer_serial: Some(serial - 1),
                key: Some(public(key).to_vec()),
                not_before: Some(1_700_000_000),
                not_after: Some(2_100_000_000),
            }
            .encode_to_vec();
            let signature = issuer.private_key.calculate_signature(&details, &mut rand::rng())?.to_vec();
            Ok(NoiseCertificate { details: Some(details), signature: Some(signature) })
        };
        let chain = wa::CertChain {
            leaf: MessageField::some(certificate(2, &keys, &middle)?),
            intermediate: MessageField::some(certificate(1, &middle, &root)?),
        };
        Ok(Self { keys, chain: chain.encode_to_vec(), root: public(&root) })
    }
}

fn pair() -> KeyPair {
    KeyPair::generate(&mut rand::rng())
}

/// Frames that come in, and the first of which has a preamble.
pub(crate) struct Frames<S> {
    stream: S,
    decoder: FrameDecoder,
    begun: bool,
}

impl<S: Stream<Item = Result<Frame, Error>> + Unpin> Frames<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, decoder: FrameDecoder::new(), begun: false }
    }

    /// The next frame; `None` once the connection has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::BytesMut>> {
        loop {
            if let Some(frame) = self.decoder.decode_frame() {
                return Ok(Some(frame));
            }
            match self.stream.next().await {
                None | Some(Ok(Frame::Close(_))) => return Ok(None),
                Some(Ok(Frame::Binary(bytes))) if self.begun => self.decoder.feed(&bytes),
                Some(Ok(Frame::Binary(bytes))) => {
                    self.begun = true;
                    self.decoder.feed(without_preamble(&bytes)?);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

/// An optional route (`ED`, 0, 1, its length in three bytes, itself), then the protocol's own four bytes.
fn without_preamble(bytes: &[u8]) -> Result<&[u8]> {
    let bytes = match bytes {
        [b'E', b'D', _, _, high, middle, low, rest @ ..] => {
            let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
            rest.get(length..).context("the route is cut off")?
        }
        bytes => bytes,
    };
    match bytes.strip_prefix(&WA_CONN_HEADER[..]) {
        Some(rest) => Ok(rest),
        None => bail!("it begins with {:?}", bytes.get(..4)),
    }
}

/// Shakes hands; what the client says about itself, and the ciphers of both directions.
pub(crate) async fn shake_hands<S, W>(
    identity: &Identity,
    frames: &mut Frames<S>,
    sink: &mut W,
) -> Result<(wa::ClientPayload, NoiseHandshake)>
where
    S: Stream<Item = Result<Frame, Error>> + Unpin,
    W: Sink<Frame, Error = Error> + Unpin,
{
    let first = frames.next().await?.context("it ended in the handshake")?;
    let hello = wa::HandshakeMessage::decode_from_slice(&first)?.client_hello.into_option().context("no hello")?;
    let theirs: [u8; 32] = hello.ephemeral.context("no key")?.try_into().ok().context("a key of another length")?;
    let own = pair();
    let own_key = own.private_key.serialize().to_vec();
    let identity_key = identity.keys.private_key.serialize().to_vec();
    // A client that knows us says who it is at once.
    let (payload, noise) = if let (Some(sealed), Some(payload)) = (hello.r#static, hello.payload) {
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
        noise.authenticate(&public(&identity.keys));
        noise.authenticate(&theirs);
        noise.mix_shared_secret(&identity_key, &theirs)?;
        let client = noise.decrypt(&sealed)?;
        noise.mix_shared_secret(&identity_key, &client)?;
        let payload = noise.decrypt(&payload)?;
        noise.authenticate(&public(&own));
        noise.mix_shared_secret(&own_key, &theirs)?;
        noise.mix_shared_secret(&own_key, &client)?;
        let chain = noise.encrypt(&identity.chain)?;
        greet(sink, &own, None, chain).await?;
        (payload, noise)
    } else {
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER)?;
        noise.authenticate(&theirs);
        noise.authenticate(&public(&own));
        noise.mix_shared_secret(&own_key, &theirs)?;
        let sealed = noise.encrypt(&public(&identity.keys))?;
        noise.mix_shared_secret(&identity_key, &theirs)?;
        let chain = noise.encrypt(&identity.chain)?;
        greet(sink, &own, Some(sealed), chain).await?;
        let last = frames.next().await?.context("it ended in the handshake")?;
        let finish =
            wa::HandshakeMessage::decode_from_slice(&last)?.client_finish.into_option().context("no finish")?;
        let client = noise.decrypt(&finish.r#static.context("no static key")?)?;
        noise.mix_shared_secret(&own_key, &client)?;
        let payload = noise.decrypt(&finish.payload.context("no payload")?)?;
        (payload, noise)
    };
    Ok((wa::ClientPayload::decode_from_slice(&payload)?, noise))
}

async fn greet<W>(sink: &mut W, own: &KeyPair, sealed: Option<Vec<u8>>, chain: Vec<u8>) -> Result<()>
where
    W: Sink<Frame, Error = Error> + Unpin,
{
    let hello = ServerHello {
        ephemeral: Some(public(own).to_vec()),
        r#static: sealed,
        payload: Some(chain),
        ..Default::default()
    };
    let hello = wa::HandshakeMessage { server_hello: MessageField::some(hello), ..Default::default() };
    sink.send(Frame::Binary(encode_frame(&hello.encode_to_vec(), None)?.into())).await?;
    Ok(())
}
