//! One stream that carries a container's connections to the broker, where no socket can be shared.
//!
//! The container's end opens connections and the host's end takes them. Both hold little, whatever the
//! other does: a connection has [`WINDOW`] bytes on their way at most, kept as bytes and not as frames, a
//! link so many connections, and an answer that a peer provokes is a flag and no queue. A connection that
//! nobody reads holds up no other. A peer that breaks a rule ends the link, and with it nothing else.
//!
//! Both ends begin with [`PREAMBLE`]. Then come frames: a byte that says the kind, the connection's number
//! and a value, both of 32 bits and big-endian, and for data so many bytes.

mod connection;
mod drive;
mod frame;
mod table;

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

pub use self::connection::{Connection, Opener};
use self::table::Shared;

/// What each end says first; its number changes with what follows it.
pub const PREAMBLE: &[u8; 8] = b"LSLINK1\n";
/// Bytes of one direction of a connection that may be on their way, unread.
pub const WINDOW: u32 = 128 * 1024;
/// Connections that the container's end has open at once.
pub const CONNECTIONS: usize = 64;
/// Connections that the host's end holds, those included that have ended on the other side only. Further
/// ones are refused.
pub const HELD: usize = 2 * CONNECTIONS;

/// Why a link ended.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The other end hung up.
    #[error("the other end hung up")]
    HungUp,
    /// The other end said nothing for too long, although it was asked to.
    #[error("the other end does not answer")]
    Silent,
    /// The other end does not speak this protocol, or breaks its rules.
    #[error("the other end {0}")]
    Rules(&'static str),
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Broken(io::Error),
}

/// Connections as they come.
#[derive(Debug)]
pub struct Incoming(mpsc::Receiver<Connection>);

impl Incoming {
    /// The next connection; nothing once the link has ended.
    pub async fn next(&mut self) -> Option<Connection> {
        self.0.recv().await
    }
}

/// The container's end over two halves of a stream. The link lives for as long as the future is polled.
pub fn container_end(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
) -> (Opener, impl Future<Output = LinkError>) {
    let shared = Shared::new(CONNECTIONS, None);
    (Opener::new(shared.clone()), drive::drive(shared, from, to))
}

/// The host's end; as [`container_end`].
pub fn host_end(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
) -> (Incoming, impl Future<Output = LinkError>) {
    // Whatever waits in it is also held.
    let (accepted, incoming) = mpsc::channel(HELD);
    (Incoming(incoming), drive::drive(Shared::new(HELD, Some(accepted)), from, to))
}

#[cfg(test)]
mod tests;
