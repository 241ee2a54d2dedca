//! A pass through one mailbox: find, read, grant, answer, remove.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use longshore_protocol::GroupId;
use longshore_protocol::ipc::Answer;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use tracing::Instrument;

use super::room::{Attended, Room};
use crate::ipc::PetitionFile;
use crate::ipc::mailbox::{Batch, Found, MAX_BATCH, MAX_TAKEN, Mailbox, Progress, Scan};
use crate::stop::Stop;

/// When something that is being written is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The first pause after a failure; each further one is twice as long …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// From how many entries on a look costs so much that there has to be a rest after it.
const MANY: usize = 16 * 1024;
/// The longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(1);

type Desk = OwnedMutexGuard<Mailbox>;

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passed {
    /// How many entries were found.
    found: usize,
    /// How many of them are dealt with.
    done: usize,
    /// How many entries of any kind were looked at, and how long that took.
    seen: usize,
    looking: Duration,
    /// Whether there is more in a folder than one pass looks at.
    cut: bool,
}

/// What comes after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A look when the bell rings.
    Wait,
    /// A look when the bell rings, or after this.
    Look(Duration),
    /// A look after this, whether or not the bell rings.
    Rest(Duration),
}

impl Next {
    /// Pure.
    fn after(passed: &Passed) -> Self {
        if passed.found > MAX_TAKEN && passed.done > 0 {
            return Self::Rest(Duration::ZERO);
        }
        if passed.seen > MANY {
            // Three quarters of the time belong to others, however often the agent rings.
            return Self::Rest(LOOK_AGAIN.max(passed.looking * 3).min(LONGEST_REST));
        }
        if passed.found > passed.done || passed.cut { Self::Look(LOOK_AGAIN) } else { Self::Wait }
    }
}

/// Pure: how long to wait after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

impl Room {
    /// Attends to a mailbox until told to stop.
    pub(super) async fn attend(&self, attended: &Attended, stop: &Stop) {
        let mut failures = 0;
        loop {
            let passed = self.pass(attended, stop).await;
            let next = next(&attended.group, &passed, &mut failures);
            let waiting = async {
                match next {
                    Next::Wait => attended.bell.notified().await,
                    Next::Look(time) => drop(timeout(time, attended.bell.notified()).await),
                    Next::Rest(time) => tokio::time::sleep(time).await,
                }
            };
            if stop.run_until_cancelled(waiting).await.is_none() || stop.is_cancelled() {
                return;
            }
        }
    }

    /// Goes through the mailbox until nothing is left of what lay there at first.
    pub(super) async fn settle(&self, attended: &Attended, stop: &Stop) {
        let mut failures = 0;
        let mut left = None;
        while !stop.is_cancelled() {
            let passed = self.pass(attended, stop).await;
            if let Ok(passed) = &passed {
                // Of a flood that goes on, the oldest are done first: those that lay there.
                let waiting = left.unwrap_or(passed.found).saturating_sub(passed.done);
                if waiting == 0 || passed.found == passed.done {
                    return;
                }
                left = Some(waiting);
            }
            match next(&attended.group, &passed, &mut failures) {
                Next::Wait => return,
                Next::Look(time) | Next::Rest(time) => {
                    stop.run_until_cancelled(tokio::time::sleep(time)).await;
                }
            }
        }
    }

    async fn pass(&self, attended: &Attended, stop: &Stop) -> io::Result<Passed> {
        let desk = Arc::clone(&attended.mailbox).lock_owned().await;
        let span = tracing::info_span!("petition", group = %attended.group, files = tracing::field::Empty);
        self.pass_at(desk, &attended.group, stop).instrument(span).await
    }

    async fn pass_at(&self, desk: Desk, group: &GroupId, stop: &Stop) -> io::Result<Passed> {
        let (mut desk, scan, looking) = self.scan(desk).await?;
        let Some(scan) = scan else { return Ok(Passed::default()) };
        let mut passed =
            Passed { found: scan.found(), seen: scan.seen(), cut: scan.is_cut(), looking, ..Passed::default() };
        let mut oldest = scan.into_oldest().into_iter();
        loop {
            let some: Vec<Found> = oldest.by_ref().take(MAX_BATCH).collect();
            if some.is_empty() || stop.is_cancelled() {
                return Ok(passed);
            }
            let entries = some.len();
            let now = self.clock.now();
            let (lent, batch) = self.work(desk, move |mailbox| mailbox.read(some, now)).await;
            desk = lent;
            let batch = batch?;
            self.note_unusable(&batch);
            passed.done += entries - batch.later - batch.files.len();
            if batch.files.is_empty() {
                continue;
            }
            tracing::Span::current().record("files", batch.files.len());
            let Some(answers) = self.granted(group, &batch.files, stop).await else { return Ok(passed) };
            let Batch { files, found, .. } = batch;
            self.note_answers(&files, &answers);
            let (lent, finished) = self.work(desk, move |mailbox| mailbox.finish(&found, &answers, now)).await;
            desk = lent;
            finished?;
            passed.done += files.len();
            tokio::task::yield_now().await;
        }
    }

    async fn scan(&self, desk: Desk) -> io::Result<(Desk, Option<Scan>, Duration)> {
        let now = self.clock.now();
        let mut looking = Duration::ZERO;
        let (mut desk, begun) =
            self.work(desk, move |mailbox| mailbox.begin(now).and_then(|scan| step(mailbox, scan))).await;
        let mut begun = begun?;
        while let Some((scan, Progress::More, time)) = begun {
            looking += time;
            let stepped;
            (desk, stepped) = self.work(desk, move |mailbox| step(mailbox, Some(scan))).await;
            begun = stepped?;
        }
        Ok((desk, begun.map(|(scan, ..)| scan), looking))
    }

    /// Asks until there is an answer for each. `None` when it is time to stop.
    async fn granted(&self, group: &GroupId, files: &[PetitionFile], stop: &Stop) -> Option<Vec<Answer>> {
        let mut failures = 0;
        loop {
            match self.grant.grant(group, files.to_vec()).await {
                Ok(answers) if answers.len() == files.len() => return Some(answers),
                Ok(answers) => {
                    tracing::error!(files = files.len(), answers = answers.len(), "not one answer for each petition");
                }
                Err(error) => tracing::warn!(%error, files = files.len(), "petitions have to wait"),
            }
            failures += 1;
            stop.run_until_cancelled(tokio::time::sleep(pause(failures))).await?;
        }
    }

    fn note_unusable(&self, batch: &Batch) {
        self.counters.unreadable.fetch_add(batch.unusable.len() as u64, Ordering::Relaxed);
        for unusable in &batch.unusable {
            let (folder, reason) = (unusable.folder, unusable.flaw.word());
            tracing::warn!(%folder, file = unusable.name, reason, "a file that is no petition was moved to errors");
            // What is wrong may quote what is in the file.
            tracing::trace!(flaw = %unusable.flaw, "why");
        }
    }

    fn note_answers(&self, files: &[PetitionFile], answers: &[Answer]) {
        for (file, answer) in files.iter().zip(answers) {
            let (folder, name, kind) = (file.folder, &file.name, file.petition.kind());
            if answer.ok {
                self.counters.granted.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(step = "petition", %folder, file = name, kind, "a petition was granted");
            } else {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
                tracing::info!(step = "petition", %folder, file = name, kind, reason = answer.error, "a petition was refused");
            }
        }
    }
}

type Step = (Scan, Progress, Duration);

fn step(mailbox: &mut Mailbox, scan: Option<Scan>) -> io::Result<Option<Step>> {
    let Some(mut scan) = scan else { return Ok(None) };
    let began = Instant::now();
    let progress = mailbox.scan(&mut scan)?;
    Ok(Some((scan, progress, began.elapsed())))
}

fn next(group: &GroupId, passed: &io::Result<Passed>, failures: &mut u32) -> Next {
    match passed {
        Ok(passed) => {
            *failures = 0;
            Next::after(passed)
        }
        Err(error) => {
            *failures += 1;
            if failures.is_power_of_two() {
                tracing::warn!(%group, %error, failures, "the mailbox cannot be read; it is tried again");
            }
            Next::Rest(pause(*failures))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_pass_depends_on_what_is_left() {
        let second = Duration::from_secs(1);
        let passed = |found, done| Passed { found, done, ..Passed::default() };
        for (passed, next) in [
            (passed(0, 0), Next::Wait),
            (passed(3, 3), Next::Wait),
            (passed(3, 2), Next::Look(LOOK_AGAIN)),
            (Passed { cut: true, ..passed(0, 0) }, Next::Look(LOOK_AGAIN)),
            (passed(MAX_TAKEN + 1, MAX_TAKEN), Next::Rest(Duration::ZERO)),
            (passed(MAX_TAKEN + 1, 0), Next::Look(LOOK_AGAIN)),
            (Passed { seen: MANY + 1, ..passed(0, 0) }, Next::Rest(LOOK_AGAIN)),
            (Passed { seen: MANY + 1, looking: second, ..passed(2, 1) }, Next::Rest(LONGEST_REST)),
        ] {
            assert_eq!(Next::after(&passed), next, "{passed:?}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pauses: Vec<_> = [1, 2, 3, 6, 7, u32::MAX].map(|failures| pause(failures).as_millis()).into();
        assert_eq!(pauses, [100, 200, 400, 3200, 5000, 5000]);
    }
}
