//! An answer that is read as it passes by: what it used goes into the books when it has ended, however it
//! ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName};
use longshore_protocol::GroupId;

use super::policy::Api;
use super::scan::{Framing, Scanner};
use crate::usage::Reading;
use crate::usage::meter::Meter;

/// One request that the operator pays for. Dropping it enters it into the books, with what was read of its
/// answer until then.
pub(super) struct Tally {
    meter: Arc<Meter>,
    group: GroupId,
    api: Api,
    scanner: Option<Scanner>,
    /// Whether it is to be entered.
    reached: bool,
}

impl Tally {
    /// Of a request that is about to be sent.
    pub(super) fn new(meter: Arc<Meter>, group: GroupId, api: Api) -> Self {
        Self { meter, group, api, scanner: None, reached: true }
    }

    /// The API never saw it.
    pub(super) fn forget(mut self) {
        self.reached = false;
    }

    /// The answer begins.
    pub(super) fn begin(&mut self, headers: &HeaderMap) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let framing = Framing::of(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
        if framing == Framing::Opaque {
            tracing::warn!(group = %self.group, "an answer is compressed against our wish, so its tokens are not counted");
        }
        self.scanner = Some(Scanner::new(self.api, framing));
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !self.reached {
            return;
        }
        let reading = self.scanner.as_ref().map_or_else(Reading::default, Scanner::reading);
        self.meter.enter(&self.group, self.api.provider(), reading);
    }
}

/// A body that is passed on as it comes, and read on the way.
pub(super) struct Tallied<B> {
    body: B,
    tally: Option<Tally>,
}

impl<B> Tallied<B> {
    /// A body, and the books that it goes into, if it goes into any.
    pub(super) fn new(body: B, tally: Option<Tally>) -> Self {
        Self { body, tally }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tallied<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(data), Some(scanner)) =
                    (frame.data_ref(), self.tally.as_mut().and_then(|tally| tally.scanner.as_mut()))
                {
                    scanner.push(data);
                }
            }
            Poll::Ready(None | Some(Err(_))) => drop(self.tally.take()),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
