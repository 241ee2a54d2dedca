//! The connection to the platform, without Nagle's delay.
//!
//! The library dials with it: a frame that follows another at once then waits for the acknowledgement of the first,
//! which the other end may put off, by 40 ms on Linux. An answer is such a frame after "typing".

use std::sync::Arc;

use anyhow::Context as _;
use http::header::{HeaderValue, ORIGIN};
use tokio::net::TcpStream;
use tokio_websockets::ClientBuilder;
use wacore::net::{WHATSAPP_WEB_ORIGIN, WHATSAPP_WEB_WS_URL};
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::transport::{
    Connector, Transport, TransportEvent, TransportFactory, default_tls_connector, from_websocket,
};
use whatsapp_rust::{anyhow, async_trait};

/// Dials one address.
pub(crate) struct Dial(http::Uri);

impl Dial {
    /// WhatsApp, or a server of this machine.
    pub(crate) fn new(rehearsal: Option<&str>) -> anyhow::Result<Self> {
        let url = rehearsal.unwrap_or(WHATSAPP_WEB_WS_URL);
        Ok(Self(url.parse().with_context(|| format!("`{url}` is no address"))?))
    }
}

#[async_trait]
impl TransportFactory for Dial {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, Receiver<TransportEvent>)> {
        let Self(uri) = self;
        let (connector, port) = match uri.scheme_str() {
            Some("wss") => (default_tls_connector(), 443),
            _ => (Connector::Plain, 80),
        };
        let host = uri.host().context("the address has no host")?;
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(port))).await?;
        stream.set_nodelay(true)?;
        let stream = connector.wrap(host, stream).await?;
        let (socket, _) = ClientBuilder::from_uri(uri.clone())
            .add_header(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN))?
            .connect_on(stream)
            .await?;
        Ok(from_websocket(socket))
    }
}
