//! What is behind the broker: a model that answers as the request's body says, and a place at a tunnel's end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use longshore_tests::platform::nanoseconds;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// A chunk of a large answer.
const CHUNK: usize = 64 * 1024;
/// Longest head of a request that is read.
const MAX_HEAD: usize = 16 * 1024;

/// How a model answers, in a stream of server-sent events as the vendors' are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// One event.
    Word,
    /// At least so many bytes, as fast as they are taken.
    Large(usize),
    /// So many events, so long apart, each with the time when it was written.
    Drip(u32, Duration),
}

impl Answer {
    /// The request's body that asks for it.
    pub(crate) fn body(self) -> String {
        match self {
            Self::Word => "word".to_owned(),
            Self::Large(bytes) => format!("large {bytes}"),
            Self::Drip(count, apart) => format!("drip {count} {}", apart.as_millis()),
        }
    }

    fn parse(body: &str) -> Option<Self> {
        let words: Vec<&str> = body.split(' ').collect();
        Some(match words[..] {
            ["word"] => Self::Word,
            ["large", bytes] => Self::Large(bytes.parse().ok()?),
            ["drip", count, apart] => Self::Drip(count.parse().ok()?, Duration::from_millis(apart.parse().ok()?)),
            _ => return None,
        })
    }
}

/// Serves the model on a free port until the runtime ends.
pub(crate) async fn model(address: IpAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((address, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // However it ends, whoever asked sees it.
                let _ = converse(stream).await;
            });
        }
    });
    Ok(address)
}

/// Serves so many bytes to everybody who says something, on a free port.
pub(crate) async fn tap(address: IpAddr, bytes: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((address, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if stream.read(&mut [0; 16]).await.is_ok() {
                    let chunk = vec![b'x'; CHUNK];
                    for _ in 0..bytes.div_ceil(CHUNK) {
                        stream.write_all(&chunk).await?;
                    }
                }
                stream.shutdown().await
            });
        }
    });
    Ok(address)
}

async fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(body) = request(&mut stream).await? {
        let answer = Answer::parse(&body).ok_or_else(|| io::Error::other("not understood"))?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        match answer {
            Answer::Word => chunk(&mut stream, &event("hello")).await?,
            Answer::Large(bytes) => {
                let one = event(&"x".repeat(900));
                let events = one.repeat(CHUNK.div_ceil(one.len()));
                for _ in 0..bytes.div_ceil(events.len()) {
                    chunk(&mut stream, &events).await?;
                }
            }
            Answer::Drip(count, apart) => {
                let begin = Instant::now();
                for number in 0..count {
                    sleep_until(begin + apart * number).await;
                    chunk(&mut stream, &event(&format!("at={} ", nanoseconds()))).await?;
                }
            }
        }
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

fn event(text: &str) -> String {
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\
         \"text_delta\",\"text\":\"{text}\"}}}}\n\n"
    )
}

async fn chunk(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}

/// The body of the next request; `None` when there is none.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let said = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= said.unwrap_or(0) {
                return Ok(Some(body.to_owned()));
            }
        }
        if read.len() > MAX_HEAD || stream.read_buf(&mut read).await? == 0 {
            return Ok(None);
        }
    }
}
