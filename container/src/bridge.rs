//! The loopback port that leads to the broker, because neither CLI can be pointed at a socket.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;

use crate::link::Links;

/// Connections at a time to a socket; further ones wait to be accepted.
const CONNECTIONS: usize = 256;
/// Bytes held for each direction of a connection.
const BUFFER: usize = 16 * 1024;
/// Rest after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// What a CLI is told when the broker is not there: an answer that it takes for a passing trouble.
const NO_BROKER: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\ncontent-length: 31\r\nconnection: close\r\n\r\nthe host's broker is not there\n";

/// How the bridge reaches the broker.
#[derive(Debug, Clone)]
pub enum Way {
    /// By its socket.
    Socket(PathBuf),
    /// By a link that the host makes.
    Link(Links),
}

/// A bound bridge that forwards once it runs.
#[derive(Debug)]
pub struct Bridge {
    listener: TcpListener,
    way: Way,
}

impl Bridge {
    /// Binds the loopback port; 0 takes any free one.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn bind(port: u16, way: Way) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?, way })
    }

    /// The port that it listens on.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Forwards connections until it is dropped.
    pub async fn run(self) {
        let most = match &self.way {
            Way::Socket(_) => CONNECTIONS,
            Way::Link(_) => longshore_link::CONNECTIONS,
        };
        let free = Arc::new(Semaphore::new(most));
        loop {
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((client, _)) => {
                    let way = self.way.clone();
                    tokio::spawn(async move {
                        forward(client, way).await;
                        drop(permit);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_REST).await,
            }
        }
    }
}

async fn forward(client: TcpStream, way: Way) {
    // Without it a small request waits for the acknowledgement of the one before.
    let _ = client.set_nodelay(true);
    match way {
        Way::Socket(socket) => match UnixStream::connect(&socket).await {
            Ok(broker) => carry(client, broker).await,
            Err(_) => refuse(client).await,
        },
        Way::Link(links) => match links.open().await {
            Some(broker) => carry(client, broker).await,
            None => refuse(client).await,
        },
    }
}

async fn carry(mut client: TcpStream, mut broker: impl AsyncRead + AsyncWrite + Unpin) {
    // Either side may break off; the other then sees its end, and that is all there is to say.
    let _ = copy_bidirectional_with_sizes(&mut client, &mut broker, BUFFER, BUFFER).await;
}

async fn refuse(mut client: TcpStream) {
    // The request is read first: closing a connection with unread bytes would reset it under the answer.
    let mut request = [0; 4096];
    let _ = tokio::time::timeout(Duration::from_secs(1), client.read(&mut request)).await;
    let _ = client.write_all(NO_BROKER).await;
    let _ = client.shutdown().await;
    let rest = async { while client.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    async fn started(socket: PathBuf) -> u16 {
        let bridge = Bridge::bind(0, Way::Socket(socket)).await.unwrap();
        let port = bridge.port().unwrap();
        tokio::spawn(bridge.run());
        port
    }

    #[tokio::test]
    async fn a_half_closed_connection_still_gets_its_answer() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("broker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.unwrap();
            said.reverse();
            stream.write_all(&said).await.unwrap();
        });
        let mut client = TcpStream::connect(("127.0.0.1", started(socket).await)).await.unwrap();
        let request = vec![b'a'; 300_000];
        client.write_all(&request).await.unwrap();
        client.write_all(b"z").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!((answer.len(), answer[0]), (300_001, b'z'));
    }

    #[tokio::test]
    async fn without_a_broker_a_client_is_told_so_in_http() {
        let directory = tempfile::tempdir().unwrap();
        let port = started(directory.path().join("none.sock")).await;
        let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    }
}
