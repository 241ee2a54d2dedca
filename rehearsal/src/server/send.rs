//! An answer as an HTTP response.

use std::fmt;
use std::io;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use crate::answer::{Answer, Frame, StreamKind};

/// The mark of a response that is not to be sent, and the error that hyper gets instead.
#[derive(Debug, Clone, Copy)]
pub(super) struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up as the script says")
    }
}

impl std::error::Error for HangUp {}

/// Makes the response; `id` becomes its request id under both vendors' names.
pub(super) fn response(answer: Answer, id: &str) -> Response {
    let mut response = Response::new(Body::empty());
    if let Ok(id) = HeaderValue::try_from(format!("req_{id}")) {
        response.headers_mut().insert("x-request-id", id.clone());
        response.headers_mut().insert("request-id", id);
    }
    let kind = match answer {
        Answer::HangUp => {
            response.extensions_mut().insert(HangUp);
            return response;
        }
        Answer::Whole { status, retry_after, body } => {
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if let Some(value) = retry_after.and_then(|value| HeaderValue::try_from(value).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            if body != Value::Null {
                *response.body_mut() = Body::from(body.to_string());
            }
            "application/json"
        }
        Answer::Stream { kind, frames } => {
            *response.body_mut() = streamed(frames);
            match kind {
                StreamKind::Events => "text/event-stream",
                StreamKind::Json => "application/json",
            }
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn streamed(frames: Vec<Frame>) -> Body {
    Body::from_stream(stream::unfold(frames.into_iter(), |mut frames| async move {
        loop {
            let piece = match frames.next()? {
                Frame::Event(event) => Ok(Bytes::from(Frame::event_text(&event))),
                Frame::Raw(text) => Ok(Bytes::from(text)),
                Frame::Pause(duration) => {
                    tokio::time::sleep(duration).await;
                    continue;
                }
                Frame::Cut => {
                    // Hyper writes out what it has only when the body makes it wait.
                    tokio::task::yield_now().await;
                    Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut as the script says"))
                }
            };
            return Some((piece, frames));
        }
    }))
}
