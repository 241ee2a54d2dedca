//! Bytes between a tool and where it wants to go, for as long as somebody says something.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

use super::Limits;
use super::ledger::Ledger;

/// Bytes held for each direction. As much again would be 8 MiB for a group's 32 tunnels; a quarter takes four times the calls.
const BUFFER: usize = 64 * 1024;

/// How a tunnel came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// One side or both had enough.
    Closed,
    /// Nobody said anything for too long.
    Idle,
    /// It has carried as much as one tunnel may.
    Full,
    /// The group has carried as much as it may in a day.
    DaySpent,
}

/// Carries bytes both ways until both sides are done or a limit is reached; then both are closed.
///
/// `early` came from `near` already. Every byte that is carried stands in the `ledger`, too.
pub(super) async fn carry(
    near: impl AsyncRead + AsyncWrite,
    early: &[u8],
    far: impl AsyncRead + AsyncWrite,
    limits: &Limits,
    ledger: &Ledger,
) -> End {
    let (mut from_near, mut to_near) = io::split(near);
    let (mut from_far, mut to_far) = io::split(far);
    let meter = Meter::new(limits, ledger);
    let out = async {
        meter.take(early.len())?;
        to_far.write_all(early).await.map_err(drop_cause)?;
        meter.copy(&mut from_near, &mut to_far).await
    };
    let back = meter.copy(&mut from_far, &mut to_near);
    let both = async { tokio::try_join!(out, back).map_or_else(|end| end, |_| End::Closed) };
    let end = tokio::select! {
        end = both => end,
        () = meter.idle(limits.idle) => End::Idle,
    };
    // What a tool has not read yet is not taken from it: a shutdown, then the drop of both.
    let _ = to_near.shutdown().await;
    end
}

/// Either side may break off; the other then sees its end, and that is all there is to say.
fn drop_cause(_: io::Error) -> End {
    End::Closed
}

/// What a tunnel has carried, and when last.
struct Meter<'a> {
    left: AtomicU64,
    limits: &'a Limits,
    ledger: &'a Ledger,
    began: Instant,
    /// Milliseconds after `began`.
    last: AtomicU64,
}

impl<'a> Meter<'a> {
    fn new(limits: &'a Limits, ledger: &'a Ledger) -> Self {
        let left = AtomicU64::new(limits.tunnel_bytes);
        Self { left, limits, ledger, began: Instant::now(), last: AtomicU64::new(0) }
    }

    fn take(&self, bytes: usize) -> Result<(), End> {
        let bytes = bytes as u64;
        let less = |left: u64| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map_err(|_| End::Full)?;
        if self.ledger.carry(bytes, self.limits, Instant::now()) { Ok(()) } else { Err(End::DaySpent) }
    }

    fn stir(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(now, Ordering::Relaxed);
    }

    async fn copy(&self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> Result<(), End> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = from.read(&mut buffer).await.map_err(drop_cause)?;
            if read == 0 {
                // The other direction goes on: `git` and HTTP both end one before the other.
                return to.shutdown().await.map_err(drop_cause);
            }
            self.take(read)?;
            to.write_all(&buffer[..read]).await.map_err(drop_cause)?;
            // A receiver that does not read is as idle as a sender that does not write.
            self.stir();
        }
    }

    async fn idle(&self, limit: Duration) {
        loop {
            let seen = self.last.load(Ordering::Relaxed);
            sleep_until(self.began + Duration::from_millis(seen) + limit).await;
            if self.last.load(Ordering::Relaxed) == seen {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: Limits = Limits { tunnel_bytes: 100_000, idle: Duration::from_secs(300), ..Limits::ORDINARY };

    fn carrying(limits: Limits) -> (DuplexStream, DuplexStream, JoinHandle<(End, u64)>) {
        let (near, inner_near) = duplex(1024);
        let (far, inner_far) = duplex(1024);
        let task = tokio::spawn(async move {
            let ledger = Ledger::default();
            let end = carry(inner_near, b"early ", inner_far, &limits, &ledger).await;
            (end, ledger.counts().bytes)
        });
        (near, far, task)
    }

    #[tokio::test]
    async fn a_side_that_ends_lets_the_other_finish() {
        let (mut near, mut far, task) = carrying(LIMITS);
        near.write_all(b"question").await.unwrap();
        near.shutdown().await.unwrap();
        let mut asked = String::new();
        far.read_to_string(&mut asked).await.unwrap();
        assert_eq!(asked, "early question");
        far.write_all(b"answer").await.unwrap();
        drop(far);
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
        assert_eq!(task.await.unwrap(), (End::Closed, 20));
    }

    #[tokio::test]
    async fn a_tunnel_ends_when_it_has_carried_enough() {
        let (near, mut far, task) = carrying(LIMITS);
        let (mut reading, mut writing) = tokio::io::split(near);
        let flood = tokio::spawn(async move { while writing.write_all(&[0; 1000]).await.is_ok() {} });
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert!(received.len() <= 100_000, "{}", received.len());
        assert_eq!(reading.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(task.await.unwrap().0, End::Full);
        flood.await.unwrap();
    }

    #[tokio::test]
    async fn a_tunnel_ends_when_its_group_has_carried_enough_for_a_day() {
        let (mut near, _far, task) = carrying(Limits { day_bytes: 10, ..LIMITS });
        near.write_all(b"and more").await.unwrap();
        assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(task.await.unwrap(), (End::DaySpent, 14));
    }

    #[tokio::test]
    async fn silence_ends_a_tunnel_and_a_word_now_and_then_keeps_it() {
        let (mut near, mut far, task) = carrying(Limits { idle: Duration::from_secs(2), ..LIMITS });
        let mut word = [0; 6];
        far.read_exact(&mut word).await.unwrap();
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(600)).await;
            far.write_all(b"still ").await.unwrap();
            near.read_exact(&mut word).await.unwrap();
        }
        assert_eq!(near.read(&mut word).await.unwrap(), 0);
        assert_eq!(task.await.unwrap(), (End::Idle, 36));
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_read_is_idle_too() {
        let (mut near, _far, task) = carrying(Limits { idle: Duration::from_millis(200), ..LIMITS });
        // More than fits on the way.
        let stuck = tokio::spawn(async move { near.write_all(&[0; 90_000]).await });
        assert_eq!(task.await.unwrap().0, End::Idle);
        assert!(stuck.await.unwrap().is_err());
    }
}
