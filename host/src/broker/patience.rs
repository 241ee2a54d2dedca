//! A body that may be silent for so long and no longer.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// A client has its request ready when it begins, so it sends without pauses.
pub(super) const OF_A_CLIENT: Duration = Duration::from_secs(60);
/// Between two pieces of an answer. Longer than either CLI waits itself; a model that thinks says nothing for minutes.
pub(super) const OF_AN_API: Duration = Duration::from_secs(15 * 60);

/// Nothing came for so long.
#[derive(Debug, thiserror::Error)]
#[error("nothing came for {} s", .0.as_secs())]
pub(super) struct Stalled(Duration);

/// A body that fails when nothing comes for so long while somebody waits for it.
pub(super) struct Patient<B> {
    body: B,
    limit: Duration,
    /// Runs while the next piece is awaited.
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<B> Patient<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self { body, limit, sleep: Box::pin(sleep(limit)), waiting: false }
    }
}

impl<B> Body for Patient<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !self.waiting {
            self.waiting = true;
            let until = Instant::now() + self.limit;
            self.sleep.as_mut().reset(until);
        }
        self.sleep.as_mut().poll(context).map(|()| Some(Err(Stalled(self.limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn what_falls_silent_ends_with_an_error_and_what_came_before_arrives() {
        let one = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"one")));
        let silent = StreamBody::new(stream::iter([one]).chain(stream::pending()));
        let mut body = Patient::new(silent, Duration::from_millis(20));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
        assert!(body.frame().await.unwrap().unwrap_err().is::<Stalled>());
    }

    #[tokio::test]
    async fn what_is_slow_to_be_asked_for_is_not_silent() {
        let pieces = stream::iter((0..3).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))));
        let mut body = Patient::new(StreamBody::new(pieces), Duration::from_millis(1));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.frame().await.is_none());
    }
}
