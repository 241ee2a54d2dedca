//! How a container's connections come in: by a socket, or by a link that carries them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_link::{Incoming, LinkError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, warn};

use super::egress::Aside;
use super::{Broker, Client, forward};
use crate::socket::SocketFile;

/// The socket's name in the group's directory.
const SOCKET: &str = "broker.sock";
/// Connections of one group at once; further ones wait to be accepted.
pub(super) const MAX_CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// All headers of a request together.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How long a client may go on after its answer.
const LINGER: Duration = Duration::from_secs(2);
/// Out of file descriptors, most likely: some may be free in a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A container's way in to the broker.
pub struct Door {
    broker: Arc<Broker>,
    client: Client,
}

impl Door {
    pub(super) fn new(broker: Arc<Broker>, client: Client) -> Self {
        Self { broker, client }
    }

    /// Opens the group's socket, `<directory>/broker.sock`, and serves it until the link is dropped.
    ///
    /// `directory` must be the group's alone; it is made (mode 0755) if there is none, and an older
    /// socket in it is replaced. Only `owner`, a user and a group id, can connect; without it only the
    /// host's own user.
    ///
    /// # Errors
    /// The directory or the socket cannot be made or given to `owner`, or there is no tokio runtime.
    pub fn listen(self, directory: &Path, owner: Option<(u32, u32)>) -> io::Result<BrokerLink> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (socket, listener) = SocketFile::bind(&directory.join(SOCKET), owner)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let accepting = runtime.spawn(async move { self.accept(listener).await }).abort_handle();
        Ok(BrokerLink { accepting, socket })
    }

    /// Serves the connections that a link carries, until it breaks. Whoever is at its other end is the group.
    pub async fn carry(&self, from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin) -> LinkError {
        let (incoming, link) = longshore_link::host_end(from, to);
        tokio::select! {
            error = link => error,
            () = self.take(incoming) => LinkError::HungUp,
        }
    }

    async fn accept(&self, listener: UnixListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => self.admit(&mut connections, stream),
                    Err(error) => {
                        warn!(group = %self.client.group, %error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next(), if !connections.is_empty() => self.let_go(ended),
            }
        }
    }

    async fn take(&self, mut incoming: Incoming) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                next = incoming.next(), if connections.len() < MAX_CONNECTIONS => match next {
                    Some(connection) => self.admit(&mut connections, connection),
                    None => return,
                },
                Some(ended) = connections.join_next(), if !connections.is_empty() => self.let_go(ended),
            }
        }
    }

    fn admit(&self, connections: &mut JoinSet<()>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        connections.spawn(serve(Arc::clone(&self.broker), self.client.clone(), stream));
    }

    fn let_go(&self, ended: Result<(), JoinError>) {
        if let Err(failure) = ended {
            error!(group = %self.client.group, %failure, "a connection panicked");
        }
    }
}

/// A group's open socket. Dropping it ends the group's connections and removes the file.
pub struct BrokerLink {
    accepting: AbortHandle,
    socket: SocketFile,
}

impl BrokerLink {
    /// The socket's path on the host.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }
}

impl Drop for BrokerLink {
    fn drop(&mut self) {
        // The task owns the connections, so they end with it.
        self.accepting.abort();
    }
}

async fn serve(broker: Arc<Broker>, client: Client, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let group = &client.group;
    let aside = Aside::default();
    let service = service_fn(|request| forward::answer(&broker, &client, &aside, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match connection.without_shutdown().await {
        Ok(answered) => match aside.tunnel() {
            Some(tunnel) => tunnel.carry(group, answered.io.into_inner(), &answered.read_buf).await,
            None => linger(answered.io.into_inner()).await,
        },
        // A client that leaves early is the usual end of an interrupted turn.
        Err(error) => debug!(%group, %error, "a connection ended early"),
    }
}

/// Lets a client that was answered early finish its request. Closing under it would reset the
/// connection, and it would report that in place of the answer.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_ok() {
        // However it ends, nobody waits for it.
        let _ = timeout(LINGER, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
    }
}
