//! `longshore-traffic`: a channel adapter that plays a platform.
//!
//!     longshore-traffic --seed 1 --file platform.jsonl --plan soak --chats 100 --rate 50
//!
//! It says things at a rate, or all at once, until `--count` or until `<file>.stop` is there. What was not
//! acknowledged is brought again after a restart. All that it knows is in the file (`harness/platform.rs`).

mod sends;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use longshore_protocol::PROTOCOL_VERSION;
use longshore_protocol::channel::{AdapterCommand, AdapterEvent, ChatMessage};
use longshore_tests::platform::{Platform, Record, nanoseconds};
use longshore_tests::script::{self, Plan};
use rustix::fs::{FlockOperation, flock};

use self::sends::Sends;

/// How far ahead the tasks of the conversation are.
const SOON: Duration = Duration::from_secs(4);
/// Messages that are written together when there is no rate.
const BURST: u64 = 64;

struct Arguments {
    seed: u64,
    file: PathBuf,
    plan: Plan,
    chats: u64,
    /// Messages a second; 0: as fast as the host reads.
    rate: f64,
    count: u64,
    /// Of a hundred sends, how many fail at first, and how many for ever.
    temporary: u64,
    permanent: u64,
}

/// The file, and the messages that are not acknowledged.
struct Truth {
    file: Mutex<File>,
    waiting: Mutex<HashSet<String>>,
}

impl Truth {
    fn write(&self, records: &[Record]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            serde_json::to_writer(&mut bytes, record)?;
            bytes.push(b'\n');
        }
        // One write: a kill leaves all of it or nothing.
        Ok(self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)?)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = arguments()?;
    let file = File::options().create(true).append(true).open(&arguments.file)?;
    // The platform is one: an adapter of a host that has just died may be on its way out.
    flock(&file, FlockOperation::LockExclusive)?;
    end_last_line(&arguments.file, &file)?;
    let platform = Platform::read(&arguments.file)?;
    let again: Vec<ChatMessage> = platform
        .unacknowledged()
        .into_iter()
        .map(|said| message(&said.id, &said.chat, &said.text, &said.timestamp))
        .collect();
    let waiting = again.iter().map(|message| message.id.clone()).collect();
    let truth = Arc::new(Truth { file: Mutex::new(file), waiting: Mutex::new(waiting) });
    truth.write(&[Record::Started { at: nanoseconds() }])?;

    // Reading never waits for writing: the host does not read either while nobody reads what it writes.
    let (out, lines) = mpsc::channel::<Vec<AdapterEvent>>();
    std::thread::spawn(move || write(&lines));
    let channel = std::env::var("LONGSHORE_CHANNEL").context("LONGSHORE_CHANNEL is not set")?;
    out.send(vec![AdapterEvent::Ready { protocol: PROTOCOL_VERSION, channel, own_ids: vec!["bot".into()] }])?;
    out.send(again.into_iter().map(|message| AdapterEvent::Message(Box::new(message))).collect())?;
    let sends = Sends::new(arguments.seed, arguments.temporary, arguments.permanent, &platform);
    let next = platform.brought.len() as u64;
    let (reading, answers) = (truth.clone(), out.clone());
    let reader = std::thread::spawn(move || read(&reading, sends, &answers));
    say(&arguments, next, &truth, &out)?;
    match reader.join() {
        Ok(ended) => ended,
        Err(_) => bail!("the reader panicked"),
    }
}

/// A kill may have left half a line.
fn end_last_line(path: &Path, mut file: &File) -> anyhow::Result<()> {
    let text = std::fs::read(path)?;
    if text.last().is_some_and(|last| *last != b'\n') {
        file.write_all(b"\n")?;
    }
    Ok(())
}

fn write(lines: &mpsc::Receiver<Vec<AdapterEvent>>) {
    let mut out = std::io::stdout().lock();
    for events in lines {
        let mut bytes = Vec::new();
        for event in events {
            let Ok(line) = serde_json::to_vec(&event) else { continue };
            bytes.extend(line);
            bytes.push(b'\n');
        }
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }
}

/// Takes the host's lines until it ends or says `stop`; the process ends with it.
fn read(truth: &Truth, mut sends: Sends, out: &mpsc::Sender<Vec<AdapterEvent>>) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let at = nanoseconds();
        match serde_json::from_str(&line)? {
            AdapterCommand::Ack { id, .. } => {
                truth.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                truth.write(&[Record::Acked { id, at }])?;
            }
            AdapterCommand::Send { outbox_id, chat, text, message_id, .. } => {
                let answer = sends.answer(&message_id, &text);
                let event = sends::event(answer, outbox_id, message_id.clone());
                truth.write(&[Record::Sent { outbox_id, message_id, chat, text, answer, at }])?;
                out.send(vec![event])?;
            }
            AdapterCommand::Typing { .. } | AdapterCommand::Refresh => {}
            AdapterCommand::Stop => break,
        }
    }
    std::process::exit(0)
}

/// Says message after message.
fn say(arguments: &Arguments, first: u64, truth: &Truth, out: &mpsc::Sender<Vec<AdapterEvent>>) -> anyhow::Result<()> {
    let stop = arguments.file.with_extension("stop");
    let begin = Instant::now();
    let mut number = first;
    while number < arguments.count && !stop.exists() {
        let batch = if arguments.rate > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a number of messages")]
            let due = Duration::from_secs_f64((number - first) as f64 / arguments.rate);
            // In short steps, so that the end is heard of.
            if let Some(wait) = due.checked_sub(begin.elapsed()).filter(|wait| !wait.is_zero()) {
                std::thread::sleep(wait.min(Duration::from_millis(100)));
                continue;
            }
            1
        } else {
            BURST.min(arguments.count - number)
        };
        let (mut records, mut events) = (Vec::new(), Vec::new());
        for number in number..number + batch {
            let chat = format!("traffic:{}", script::chat(arguments.plan, arguments.seed, number, arguments.chats));
            let now = longshore::clock::Clock::system().now();
            let soon = now.checked_add(SOON).unwrap_or(now).to_string();
            let text = arguments.plan.text(arguments.seed, number, arguments.chats, &soon);
            let (id, timestamp) = (format!("k{number}"), now.to_string());
            truth.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
            events.push(AdapterEvent::Message(Box::new(message(&id, &chat, &text, &timestamp))));
            records.push(Record::Brought { id, chat, text, timestamp, at: nanoseconds() });
        }
        truth.write(&records)?;
        out.send(events)?;
        number += batch;
    }
    Ok(())
}

fn message(id: &str, chat: &str, text: &str, timestamp: &str) -> ChatMessage {
    ChatMessage {
        id: id.to_owned(),
        chat: chat.to_owned(),
        sender: "ann".into(),
        sender_alt: None,
        sender_name: "Ann".into(),
        text: text.to_owned(),
        timestamp: timestamp.to_owned(),
        is_group: true,
        from_me: false,
        mentions_me: false,
        reply_to: None,
        reaction: false,
        offline: false,
    }
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut wanted = Arguments {
        seed: 1,
        file: PathBuf::new(),
        plan: Plan::Plain,
        chats: 1,
        rate: 0.0,
        count: u64::MAX,
        temporary: 0,
        permanent: 0,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let value = words.next().with_context(|| format!("`{name}` needs a value"))?;
        match name.as_str() {
            "--seed" => wanted.seed = value.parse()?,
            "--file" => wanted.file = value.into(),
            "--plan" => wanted.plan = value.parse().map_err(anyhow::Error::msg)?,
            "--chats" => wanted.chats = value.parse()?,
            "--rate" => wanted.rate = value.parse()?,
            "--count" => wanted.count = value.parse()?,
            "--temporary" => wanted.temporary = value.parse()?,
            "--permanent" => wanted.permanent = value.parse()?,
            _ => bail!("`{name}` is no option"),
        }
    }
    Ok(wanted)
}
