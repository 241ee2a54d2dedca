//! A connection as its user has it: bytes both ways, each direction ended on its own.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::table::{Out, Shared};

/// Opens connections on a link.
#[derive(Debug, Clone)]
pub struct Opener(Arc<Shared>);

impl Opener {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// A new connection; none when the link is over or has as many as it may.
    #[must_use]
    pub fn open(&self) -> Option<Connection> {
        self.0.open()
    }
}

/// One connection of a link. What was written still arrives when it is dropped, as with a socket; if it is
/// dropped before both directions have ended, it is broken off then.
#[derive(Debug)]
pub struct Connection {
    id: u32,
    shared: Arc<Shared>,
}

impl Connection {
    pub(crate) fn new(id: u32, shared: Arc<Shared>) -> Self {
        Self { id, shared }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.forget(self.id);
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut table = self.shared.table();
        let over = table.over;
        let Some(entry) = table.entry(self.id) else { return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) };
        if !entry.inbox.is_empty() {
            let (bytes, tell) = entry.take(buffer.remaining());
            drop(table);
            buffer.put_slice(&bytes);
            if tell {
                self.shared.work.notify_one();
            }
            return Poll::Ready(Ok(()));
        }
        if entry.in_ended {
            return Poll::Ready(Ok(()));
        }
        if entry.reset || over {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        entry.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut table = self.shared.table();
        let over = table.over;
        let broken = || Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        let Some(entry) = table.entry(self.id).filter(|entry| !over && !entry.reset && entry.out == Out::Open) else {
            return broken();
        };
        let count = entry.room().min(bytes.len());
        if count == 0 && !bytes.is_empty() {
            entry.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        entry.outbox.extend(&bytes[..count]);
        drop(table);
        self.shared.work.notify_one();
        Poll::Ready(Ok(count))
    }

    /// As with a socket, it is on its way and not yet there.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut table = self.shared.table();
        if let Some(entry) = table.entry(self.id).filter(|entry| entry.out == Out::Open) {
            entry.out = Out::Ending;
        }
        drop(table);
        self.shared.work.notify_one();
        Poll::Ready(Ok(()))
    }
}
