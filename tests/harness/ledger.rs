//! The books: what the platform brought against what became of it, from the store and the platform's file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags};

use crate::platform::{Answer, Platform};

/// The books of an installation. Balanced: `brought = replied + failed + dead + context`, and no complaint.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Messages that the platform brought.
    pub brought: usize,
    /// Messages whose turn settled and said something that the platform has.
    pub replied: usize,
    /// Messages whose turn was given up, which the chat was told.
    pub failed: usize,
    /// Messages whose turn said something that is a dead letter.
    pub dead: usize,
    /// Messages that wake nobody.
    pub context: usize,
    /// Everything that is wrong, in words; the first few of each kind.
    pub complaints: Vec<String>,
}

/// What is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Messages without a turn.
    pub messages: i64,
    /// Turns that wait or run.
    pub turns: i64,
    /// Outbox rows that are pending.
    pub outbox: i64,
    /// Messages that the platform has no acknowledgement of.
    pub unacknowledged: usize,
}

impl Open {
    /// Whether everything is done.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self { messages: 0, turns: 0, outbox: 0, unacknowledged: 0 }
    }
}

/// The store of an installation, to read.
///
/// # Errors
/// It is not there.
pub fn store(root: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open_with_flags(root.join("data/longshore.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// What is still to be done.
///
/// # Errors
/// The store or the platform's file cannot be read.
pub fn open(root: &Path, file: &Path) -> anyhow::Result<Open> {
    let (messages, turns, outbox) = store(root)?.query_row(
        "SELECT (SELECT count(*) FROM messages WHERE wakes = 1 AND turn IS NULL),
                (SELECT count(*) FROM turns WHERE state IN ('waiting', 'running')),
                (SELECT count(*) FROM outbox WHERE state = 'pending')",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok(Open { messages, turns, outbox, unacknowledged: Platform::read(file)?.unacknowledged().len() })
}

/// Waits until nothing is open.
///
/// # Errors
/// Something still is when the time is over.
pub fn quiesce(root: &Path, file: &Path, patience: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let open = open(root, file)?;
        if open.is_nothing() {
            return Ok(());
        }
        if begin.elapsed() > patience {
            bail!("not all is done after {patience:?}: {open:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Ledger {
    /// Reads the books of a host that has nothing to do.
    ///
    /// # Errors
    /// The store or the platform's file cannot be read.
    pub fn read(root: &Path, file: &Path) -> anyhow::Result<Self> {
        let platform = Platform::read(file)?;
        let connection = store(root)?;
        let mut ledger = Self { brought: platform.brought.len(), ..Self::default() };
        ledger.inbound(&connection, &platform)?;
        ledger.outbound(&connection, &platform)?;
        Ok(ledger)
    }

    /// Whether the books are right.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.complaints.is_empty() && self.brought == self.replied + self.failed + self.dead + self.context
    }

    fn complain(&mut self, kind: &str, of: &[String]) {
        if !of.is_empty() {
            let some = of.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
            self.complaints.push(format!("{} {kind}: {some}", of.len()));
        }
    }

    /// Each message has one row, and each row that wakes one end.
    fn inbound(&mut self, connection: &Connection, platform: &Platform) -> anyhow::Result<()> {
        let mut query = connection.prepare(
            "SELECT m.platform_id, m.chat, m.text, m.wakes, t.state,
                    (SELECT count(*) FROM outbox o WHERE o.turn = t.id AND o.state = 'sent'),
                    (SELECT count(*) FROM outbox o WHERE o.turn = t.id AND o.state = 'dead'),
                    (SELECT count(*) FROM outbox o WHERE o.turn = t.id AND o.kind = 'notice')
             FROM messages m LEFT JOIN turns t ON t.id = m.turn",
        )?;
        let mut rows = query.query([])?;
        let mut stored: BTreeMap<String, usize> = BTreeMap::new();
        let brought: BTreeMap<&str, (&str, &str)> =
            platform.brought.iter().map(|said| (&*said.id, (&*said.chat, &*said.text))).collect();
        let (mut unended, mut strange) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (id, chat, text): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (wakes, state): (bool, Option<String>) = (row.get(3)?, row.get(4)?);
            let (sent, dead, notices): (u64, u64, u64) = (row.get(5)?, row.get(6)?, row.get(7)?);
            if brought.get(&*id) != Some(&(&*chat, &*text)) {
                strange.push(id.clone());
            }
            match state.as_deref() {
                _ if !wakes => self.context += 1,
                Some("settled" | "gave_up") if dead > 0 => self.dead += 1,
                Some("settled") if sent > 0 => self.replied += 1,
                Some("gave_up") if sent > 0 && notices > 0 => self.failed += 1,
                state => unended.push(format!("{id} ({}, {sent} sent)", state.unwrap_or("no turn"))),
            }
            *stored.entry(id).or_default() += 1;
        }
        self.complain("messages ended in silence", &unended);
        self.complain("rows are not what was brought", &strange);
        let lost: Vec<String> =
            brought.keys().filter(|id| !stored.contains_key(**id)).map(|id| (*id).to_owned()).collect();
        self.complain("messages were lost", &lost);
        let doubled: Vec<String> = stored.into_iter().filter(|(_, rows)| *rows > 1).map(|(id, _)| id).collect();
        self.complain("messages have two rows", &doubled);
        let unstored: Vec<String> = platform.unacknowledged().iter().map(|said| said.id.clone()).collect();
        self.complain("messages were not acknowledged", &unstored);
        Ok(())
    }

    /// What the platform has is what the outbox says, in its order, once for each message id.
    fn outbound(&mut self, connection: &Connection, platform: &Platform) -> anyhow::Result<()> {
        let mut query = connection.prepare("SELECT id, message_id, chat, text, state FROM outbox")?;
        let mut rows = query.query([])?;
        let mut outbox = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let key: (i64, String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            outbox.insert(key, row.get::<_, String>(4)?);
        }
        let mut accepted = BTreeSet::new();
        let mut latest: BTreeMap<&str, i64> = BTreeMap::new();
        let (mut unknown, mut disordered, mut ids) = (Vec::new(), Vec::new(), BTreeMap::new());
        for send in &platform.sends {
            let key = (send.outbox_id, send.message_id.clone(), send.chat.clone(), send.text.clone());
            // The same id is the same text, always: the row's.
            if !outbox.contains_key(&key) || *ids.entry(&*send.message_id).or_insert(send.outbox_id) != send.outbox_id {
                unknown.push(format!("{} {}", send.outbox_id, send.text));
            }
            if send.answer == Answer::Accepted && accepted.insert(key) {
                let latest = latest.entry(&send.chat).or_default();
                if send.outbox_id < *latest {
                    disordered.push(format!("{} after {latest} in {}", send.outbox_id, send.chat));
                }
                *latest = send.outbox_id;
            }
        }
        self.complain("sends are no rows of the outbox", &unknown);
        self.complain("sends left out of order", &disordered);
        let missing: Vec<String> = outbox
            .iter()
            .filter(|(key, state)| (*state == "sent") != accepted.contains(*key))
            .map(|(key, state)| format!("{} is {state}", key.0))
            .collect();
        self.complain("outbox rows are not what the platform has", &missing);
        Ok(())
    }

    /// How often the platform took a message that it had.
    ///
    /// # Errors
    /// The platform's file cannot be read.
    pub fn repeats(file: &Path) -> anyhow::Result<usize> {
        let platform = Platform::read(file).context("the platform's file")?;
        let mut seen = BTreeSet::new();
        let accepted = platform.sends.iter().filter(|send| send.answer == Answer::Accepted);
        Ok(accepted.filter(|send| !seen.insert(&send.message_id)).count())
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brought, replied, failed, dead, context, complaints } = self;
        write!(f, "in {brought} = replied {replied} + failed {failed} + dead {dead} + context {context}")?;
        write!(f, ": {}", if self.balances() { "balanced" } else { "NOT BALANCED" })?;
        complaints.iter().try_for_each(|complaint| write!(f, "\n  {complaint}"))
    }
}
