//! The command line's end of the control socket.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Request, Response, SOCKET};
use crate::socket;

/// A connection to the running host.
pub struct Client {
    reader: ClientReader,
    writer: ClientWriter,
}

/// What the host says.
pub struct ClientReader(Lines<BufReader<OwnedReadHalf>>);

/// What the host is told.
pub struct ClientWriter(OwnedWriteHalf);

impl Client {
    /// Connects to the host that serves the installation.
    ///
    /// # Errors
    /// Says that no host runs there, and how to start one.
    pub async fn connect(root: &Path) -> anyhow::Result<Self> {
        let stream = match socket::connect(&root.join(SOCKET)) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                bail!("no host runs in `{}`; start it with `longshore run`", root.display())
            }
            Err(error) => return Err(error).context("the host's control socket cannot be opened"),
        };
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        Ok(Self { reader: ClientReader(BufReader::new(reader).lines()), writer: ClientWriter(writer) })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the host has gone.
    pub async fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        self.writer.send(request).await
    }

    /// The host's next line.
    ///
    /// # Errors
    /// When the host has gone or speaks another language.
    pub async fn next(&mut self) -> anyhow::Result<Response> {
        self.reader.next().await
    }

    /// Both ends, for a conversation.
    #[must_use]
    pub fn split(self) -> (ClientReader, ClientWriter) {
        (self.reader, self.writer)
    }
}

impl ClientReader {
    /// The host's next line.
    ///
    /// # Errors
    /// When the host has gone or speaks another language.
    pub async fn next(&mut self) -> anyhow::Result<Response> {
        let line = self.0.next_line().await?.context("the host has stopped")?;
        serde_json::from_str(&line).context("the host's answer cannot be read; is it of another release?")
    }
}

impl ClientWriter {
    /// Sends a request.
    ///
    /// # Errors
    /// When the host has gone.
    pub async fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.0.write_all(&line).await.context("the host has stopped")
    }
}
