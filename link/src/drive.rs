//! The two loops of a link's end: one hears, one says, and neither waits for the other.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::{sleep, timeout};

use crate::frame::{HEAD, Head, Kind, MOST_DATA};
use crate::table::Shared;
use crate::{LinkError, PREAMBLE};

/// How long the other end may take to begin.
const BEGIN: Duration = Duration::from_secs(15);
/// A link on which nothing came for so long is asked whether anybody is there. Seldom: each idle container
/// has a link. It also keeps those who forget silent connections from forgetting this one.
const ASK: Duration = Duration::from_secs(60);
/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// Tells every connection when the link is over, however that comes.
struct Over(Arc<Shared>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Runs an end until it breaks.
pub(crate) async fn drive(shared: Arc<Shared>, from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin) -> LinkError {
    let over = Over(shared);
    let shared = &over.0;
    let ended = tokio::select! {
        ended = hear(shared, from) => ended,
        ended = say(shared, to) => ended,
        ended = ask(shared) => ended,
    };
    match ended {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

async fn hear(shared: &Arc<Shared>, from: impl AsyncRead + Unpin) -> Result<Infallible, LinkError> {
    let mut from = BufReader::with_capacity(MOST_DATA as usize, from);
    let mut preamble = [0; PREAMBLE.len()];
    timeout(BEGIN, from.read_exact(&mut preamble)).await.map_err(|_| LinkError::Silent)?.map_err(broken)?;
    if preamble != *PREAMBLE {
        return Err(LinkError::Rules("does not speak the link's protocol"));
    }
    let mut body = vec![0; MOST_DATA as usize];
    loop {
        let mut head = [0; HEAD];
        from.read_exact(&mut head).await.map_err(broken)?;
        let head = Head::read(head).ok_or(LinkError::Rules("sends a frame of a kind that there is not"))?;
        shared.hear(head)?;
        if head.kind == Kind::Data {
            let body = &mut body[..head.value as usize];
            from.read_exact(body).await.map_err(broken)?;
            shared.hear_data(head.id, body);
        }
    }
}

async fn say(shared: &Shared, mut to: impl AsyncWrite + Unpin) -> Result<Infallible, LinkError> {
    to.write_all(PREAMBLE).await.map_err(broken)?;
    let mut body = Vec::with_capacity(HEAD + MOST_DATA as usize);
    let mut frame = Vec::with_capacity(HEAD + MOST_DATA as usize);
    loop {
        let next = shared.table().next(&mut body);
        match next {
            Some(head) => {
                // In one piece: each write may become a message of the engine's own.
                frame.clear();
                frame.extend_from_slice(&head.bytes());
                frame.extend_from_slice(&body);
                to.write_all(&frame).await.map_err(broken)?;
            }
            None => {
                to.flush().await.map_err(broken)?;
                shared.work.notified().await;
            }
        }
    }
}

/// Asks a silent peer whether it is there. The container's end only answers: when its host is gone, its
/// stream ends.
async fn ask(shared: &Shared) -> Result<Infallible, LinkError> {
    if !shared.takes() {
        return std::future::pending().await;
    }
    loop {
        shared.table().heard = false;
        sleep(ASK).await;
        if shared.table().heard {
            continue;
        }
        shared.table().ping = true;
        shared.work.notify_one();
        sleep(ANSWER).await;
        if !shared.table().heard {
            return Err(LinkError::Silent);
        }
    }
}

fn broken(error: std::io::Error) -> LinkError {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => LinkError::HungUp,
        _ => LinkError::Broken(error),
    }
}
