//! The host under load, with stub containers: how fast a burst is stored and routed, and how soon a message
//! is handed to its agent and an agent's word to the platform.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use longshore::clock::Clock;
use longshore::store::Store;
use longshore::store::messages::NewMessage;
use longshore_tests::figures::peak_rss_kibibytes;
use longshore_tests::ledger::{Ledger, open, quiesce};
use longshore_tests::stub::{Trace, platform_file, trace, with_traffic};
use longshore_tests::{Installation, Platform, StubHost};

use crate::table::Samples;

const PATIENCE: Duration = Duration::from_secs(120);
/// Messages that are stored one by one, each with a commit of its own.
const SINGLE: usize = 500;
/// Groups of the handoff, each with a warm resident.
const WARM_GROUPS: usize = 4;
/// Messages a second of the handoff, over all groups.
const RATE: usize = 20;

/// Messages a second through the store: in a burst, and one after the other.
pub(crate) async fn store(burst: usize) -> anyhow::Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("longshore.db"))?;
    let begin = Instant::now();
    for number in 0..SINGLE {
        store.record(message(number)).await?.committed().await?;
    }
    let single = per_second(SINGLE, begin);
    let messages: Vec<NewMessage> = (SINGLE..SINGLE + burst).map(message).collect();
    let begin = Instant::now();
    let mut answers = Vec::with_capacity(burst);
    for message in messages {
        answers.push(store.record(message).await?.committed());
    }
    let recorded = try_join_all(answers).await?;
    ensure!(recorded.iter().all(|recorded| recorded.is_new), "a message was there before");
    Ok((per_second(burst, begin), single))
}

fn message(number: usize) -> NewMessage {
    let now = Clock::system().now();
    NewMessage {
        chat: format!("bench:{}", number % 100),
        channel: "bench".into(),
        sender: "ann".into(),
        sender_name: "Ann".into(),
        platform_id: format!("m{number}"),
        text: "Has anybody seen the keys of the boat house? They were on the hook yesterday.".into(),
        reply_to: None,
        is_group: true,
        sent_at: now,
        received_at: now,
        route: "context: no trigger".into(),
        wakes: false,
        stops: false,
    }
}

/// What became of a burst through the whole host.
pub(crate) struct Routed {
    /// Messages a second, from the first that the adapter wrote to the last acknowledgement that it read.
    pub(crate) rate: f64,
    /// Until every turn had ended and everything was sent, in ms.
    pub(crate) all_ended: f64,
    /// The most memory that the host had, in MiB.
    pub(crate) peak: f64,
}

/// A burst of messages over groups, one of each group's waking it.
pub(crate) fn route(messages: usize, groups: usize) -> anyhow::Result<Routed> {
    let installation = Installation::new();
    with_traffic(&installation, groups, true, &format!("--plan route:{messages} --count {messages}"));
    let file = platform_file(&installation);
    let begin = Instant::now();
    let host = StubHost::start(&installation, false)?;
    // The store is not looked at before all is in it: a reader would be in the way.
    while Platform::read(&file)?.brought.len() < messages || !Platform::read(&file)?.unacknowledged().is_empty() {
        ensure!(begin.elapsed() < PATIENCE, "not every message was acknowledged");
        std::thread::sleep(Duration::from_millis(200));
    }
    quiesce(installation.root(), &file, PATIENCE)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let peak = peak_rss_kibibytes(host.pid())? as f64 / 1024.0;
    let platform = Platform::read(&file)?;
    let first = platform.brought.first().context("no message")?.at;
    let last = platform.brought.iter().filter_map(|said| said.acked_at).max().context("no acknowledgement")?;
    let sent = platform.sends.iter().map(|send| send.at).max().context("nothing was sent")?;
    ensure!(host.stop()?.success(), "the host did not stop well");
    let ledger = Ledger::read(installation.root(), &file)?;
    ensure!(ledger.balances() && ledger.replied >= groups, "{ledger}");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rate = messages as f64 / (milliseconds(first, last) / 1000.0);
    Ok(Routed { rate, all_ended: milliseconds(first, sent.max(last)), peak })
}

/// The way of messages through a host whose residents are warm, in ms.
pub(crate) struct Handoff {
    /// From the platform's word to the runner's read.
    pub(crate) brought_to_handed: Samples,
    /// From the acknowledgement, as the adapter read it, to the runner's read.
    pub(crate) stored_to_handed: Samples,
    /// From the runner's write to the adapter's read.
    pub(crate) output_to_send: Samples,
}

pub(crate) fn handoff(count: usize) -> anyhow::Result<Handoff> {
    let installation = Installation::new();
    let warm_up = WARM_GROUPS * 5;
    let arguments = format!("--plan plain --rate {RATE} --count {}", count + warm_up);
    with_traffic(&installation, WARM_GROUPS, false, &arguments);
    let file = platform_file(&installation);
    let host = StubHost::start(&installation, true)?;
    let limit = PATIENCE + Duration::from_secs((count / RATE) as u64);
    let begin = Instant::now();
    while Platform::read(&file)?.brought.len() < count + warm_up || !open(installation.root(), &file)?.is_nothing() {
        ensure!(begin.elapsed() < limit, "not everything was answered");
        std::thread::sleep(Duration::from_millis(500));
    }
    ensure!(host.stop()?.success(), "the host did not stop well");
    let platform = Platform::read(&file)?;
    let (mut handed, mut output) = (HashMap::new(), HashMap::new());
    for line in trace(&installation.path("trace.jsonl"))? {
        match line {
            Trace::Handed { tag, at } => drop(handed.entry(tag).or_insert(at)),
            Trace::Output { text, at } => drop(output.insert(text, at)),
        }
    }
    let (mut brought_to_handed, mut stored_to_handed, mut output_to_send) = (Vec::new(), Vec::new(), Vec::new());
    for said in platform.brought.iter().skip(warm_up) {
        let handed = *handed.get(&said.id).with_context(|| format!("{} was never handed over", said.id))?;
        brought_to_handed.push(milliseconds(said.at, handed));
        let acked = said.acked_at.context("an acknowledgement")?;
        // The turn may begin before the adapter has read that the message is stored.
        stored_to_handed.push(milliseconds(acked.min(handed), handed));
    }
    for send in platform.sends.iter().skip(warm_up) {
        let written = *output.get(&send.text).with_context(|| format!("nobody said `{}`", send.text))?;
        output_to_send.push(milliseconds(written, send.at));
    }
    Ok(Handoff {
        brought_to_handed: Samples::of(brought_to_handed),
        stored_to_handed: Samples::of(stored_to_handed),
        output_to_send: Samples::of(output_to_send),
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn milliseconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(count: usize, begin: Instant) -> f64 {
    count as f64 / begin.elapsed().as_secs_f64()
}
