//! The connections of a link: what is to be said, what was heard, and what each side still may.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::{Notify, mpsc};

use crate::connection::Connection;
use crate::frame::{Head, Kind, MOST_DATA};
use crate::{LinkError, WINDOW};

/// Bytes that a connection takes before they are on their way.
const OUTBOX: usize = 16 * 1024;
/// Refusals that a peer has not read yet; one that provokes more is none of ours.
const MOST_REFUSALS: usize = 256;

/// What both loops and all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    table: Mutex<Table>,
    /// There may be something to write.
    pub(crate) work: Notify,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    entries: BTreeMap<u32, Entry>,
    /// Connections at once.
    most: usize,
    /// Where new ones go; absent at the end that opens them.
    accepted: Option<mpsc::Sender<Connection>>,
    /// The last number that was given.
    last: u32,
    /// Whose turn to write it was last.
    turn: u32,
    refused: VecDeque<u32>,
    pub(crate) ping: bool,
    pong: bool,
    /// Something came since this was last cleared.
    pub(crate) heard: bool,
    pub(crate) over: bool,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) inbox: VecDeque<u8>,
    /// The peer has sent all it will.
    pub(crate) in_ended: bool,
    /// How much the peer may send.
    granted: u32,
    /// Read, and not granted anew yet.
    owed: u32,
    pub(crate) reader: Option<Waker>,
    pub(crate) outbox: VecDeque<u8>,
    /// How much we may send.
    credit: u32,
    pub(crate) out: Out,
    pub(crate) writer: Option<Waker>,
    opening: bool,
    /// The peer broke it off.
    pub(crate) reset: bool,
    /// Nobody here has it any more.
    dropped: bool,
}

/// How far our direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    Open,
    /// It ends after what is in the outbox.
    Ending,
    Ended,
}

impl Entry {
    fn new(opening: bool) -> Self {
        Self {
            inbox: VecDeque::new(),
            in_ended: false,
            granted: WINDOW,
            owed: 0,
            reader: None,
            outbox: VecDeque::new(),
            credit: WINDOW,
            out: Out::Open,
            writer: None,
            opening,
            reset: false,
            dropped: false,
        }
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    pub(crate) fn room(&self) -> usize {
        OUTBOX.saturating_sub(self.outbox.len())
    }

    /// Takes bytes out of the inbox; the peer may then send as many more. Whether it is to be told so.
    pub(crate) fn take(&mut self, most: usize) -> (Vec<u8>, bool) {
        let count = most.min(self.inbox.len());
        let bytes: Vec<u8> = self.inbox.drain(..count).collect();
        // Never more than the window, which fits.
        self.owed += u32::try_from(count).unwrap_or(u32::MAX);
        (bytes, self.owes_credit())
    }

    fn owes_credit(&self) -> bool {
        self.owed >= WINDOW / 2 && !self.in_ended && !self.dropped
    }

    /// The connection's next frame, if it has something to say and may.
    fn next(&mut self, id: u32, body: &mut Vec<u8>) -> Option<Head> {
        if std::mem::take(&mut self.opening) {
            return Some(Head::new(Kind::Open, id, 0));
        }
        if self.owes_credit() {
            let owed = std::mem::take(&mut self.owed);
            self.granted += owed;
            return Some(Head::new(Kind::Credit, id, owed));
        }
        let count = u32::try_from(self.outbox.len()).unwrap_or(u32::MAX).min(MOST_DATA).min(self.credit);
        if count > 0 {
            body.extend(self.outbox.drain(..count as usize));
            self.credit -= count;
            if let Some(waker) = self.writer.take() {
                waker.wake();
            }
            return Some(Head::new(Kind::Data, id, count));
        }
        if !self.outbox.is_empty() {
            return None;
        }
        if self.dropped && self.out == Out::Open {
            // Whoever left without an end, and what was said before that has been sent.
            self.out = Out::Ended;
            self.in_ended = true;
            return Some(Head::new(Kind::Reset, id, 0));
        }
        if self.out == Out::Ending {
            self.out = Out::Ended;
            return Some(Head::new(Kind::End, id, 0));
        }
        if self.dropped && self.out == Out::Ended && !self.in_ended {
            // Nobody would read what the peer still has to say.
            self.in_ended = true;
            return Some(Head::new(Kind::Reset, id, 0));
        }
        None
    }

    /// Whether there is nothing left to do for either side.
    fn is_done(&self) -> bool {
        self.dropped && (self.reset || (self.out == Out::Ended && self.in_ended))
    }
}

impl Shared {
    pub(crate) fn new(most: usize, accepted: Option<mpsc::Sender<Connection>>) -> Arc<Self> {
        let table = Table {
            entries: BTreeMap::new(),
            most,
            accepted,
            last: 0,
            turn: 0,
            refused: VecDeque::new(),
            ping: false,
            pong: false,
            heard: false,
            over: false,
        };
        Arc::new(Self { table: Mutex::new(table), work: Notify::new() })
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this end takes connections.
    pub(crate) fn takes(&self) -> bool {
        self.table().accepted.is_some()
    }

    /// A connection of our own; none when there are too many, or the link is over.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Connection> {
        let mut table = self.table();
        if table.over || table.entries.len() >= table.most {
            return None;
        }
        table.last = table.last.checked_add(1)?;
        let id = table.last;
        table.entries.insert(id, Entry::new(true));
        drop(table);
        self.work.notify_one();
        Some(Connection::new(id, self.clone()))
    }

    /// Nobody here has the connection any more.
    pub(crate) fn forget(&self, id: u32) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&id) {
            entry.dropped = true;
            entry.inbox = VecDeque::new();
            table.sweep(id);
        }
        drop(table);
        self.work.notify_one();
    }

    /// The link is over: whoever waits is told.
    pub(crate) fn end(&self) {
        let mut table = self.table();
        table.over = true;
        table.accepted = None;
        for entry in table.entries.values_mut() {
            entry.wake();
        }
    }

    /// What a frame means; its data, if any, is given to [`Shared::hear_data`].
    pub(crate) fn hear(self: &Arc<Self>, head: Head) -> Result<(), LinkError> {
        let Head { kind, id, value } = head;
        let mut table = self.table();
        table.heard = true;
        if matches!(kind, Kind::Data | Kind::Credit | Kind::End | Kind::Reset) && (id == 0 || id > table.last) {
            return Err(LinkError::Rules("speaks of a connection that never was"));
        }
        match kind {
            Kind::Open => return self.accept(table, id),
            // It sends nothing of its own, so it may be asked as often as anybody likes.
            Kind::Ping => table.pong = true,
            Kind::Pong => {}
            Kind::Data | Kind::Credit | Kind::End | Kind::Reset => {
                if kind == Kind::Data && (value == 0 || value > MOST_DATA) {
                    return Err(LinkError::Rules("sends a frame of a size that there is not"));
                }
                // One that is gone here may still be there on the other side.
                let Some(entry) = table.entries.get_mut(&id) else { return Ok(()) };
                entry.hear(kind, value)?;
                table.sweep(id);
            }
        }
        drop(table);
        self.work.notify_one();
        Ok(())
    }

    fn accept(self: &Arc<Self>, mut table: MutexGuard<'_, Table>, id: u32) -> Result<(), LinkError> {
        let Some(accepted) = table.accepted.clone() else {
            return Err(LinkError::Rules("opens a connection, which is not its part"));
        };
        if id <= table.last {
            return Err(LinkError::Rules("opens a connection that was there already"));
        }
        table.last = id;
        if table.entries.len() < table.most {
            table.entries.insert(id, Entry::new(false));
            drop(table);
            // A connection that is not taken is dropped, which breaks it off.
            drop(accepted.try_send(Connection::new(id, self.clone())));
            return Ok(());
        }
        if table.refused.len() >= MOST_REFUSALS {
            return Err(LinkError::Rules("opens more connections than it may and does not hear that"));
        }
        table.refused.push_back(id);
        drop(table);
        self.work.notify_one();
        Ok(())
    }

    /// The data of a frame that was heard.
    pub(crate) fn hear_data(&self, id: u32, bytes: &[u8]) {
        if let Some(entry) = self.table().entries.get_mut(&id).filter(|entry| !entry.dropped) {
            entry.inbox.extend(bytes);
            if let Some(waker) = entry.reader.take() {
                waker.wake();
            }
        }
    }
}

impl Entry {
    fn hear(&mut self, kind: Kind, value: u32) -> Result<(), LinkError> {
        match kind {
            Kind::Data => {
                if self.in_ended && !self.dropped {
                    return Err(LinkError::Rules("goes on after its end"));
                }
                self.granted =
                    self.granted.checked_sub(value).ok_or(LinkError::Rules("sends more than it was granted"))?;
            }
            Kind::Credit => {
                let credit = self.credit.checked_add(value).filter(|credit| *credit <= WINDOW);
                self.credit = credit.ok_or(LinkError::Rules("grants more than it was sent"))?;
            }
            Kind::End => {
                self.in_ended = true;
                self.wake();
            }
            Kind::Reset => {
                self.reset = true;
                self.outbox.clear();
                self.wake();
            }
            Kind::Open | Kind::Ping | Kind::Pong => {}
        }
        Ok(())
    }
}

impl Table {
    pub(crate) fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    /// Removes the connection if both sides are done with it.
    fn sweep(&mut self, id: u32) {
        if self.entries.get(&id).is_some_and(Entry::is_done) {
            self.entries.remove(&id);
        }
    }

    /// What to write next; its data is put into `body`. Every connection has its turn.
    pub(crate) fn next(&mut self, body: &mut Vec<u8>) -> Option<Head> {
        body.clear();
        if std::mem::take(&mut self.pong) {
            return Some(Head::new(Kind::Pong, 0, 0));
        }
        if std::mem::take(&mut self.ping) {
            return Some(Head::new(Kind::Ping, 0, 0));
        }
        if let Some(id) = self.refused.pop_front() {
            return Some(Head::new(Kind::Reset, id, 0));
        }
        let turn = self.turn;
        let ids: Vec<u32> = self
            .entries
            .range(turn.saturating_add(1)..)
            .chain(self.entries.range(..=turn))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(entry) = self.entries.get_mut(&id).filter(|entry| !entry.reset) else { continue };
            let head = entry.next(id, body);
            self.sweep(id);
            if head.is_some() {
                self.turn = id;
                return head;
            }
        }
        None
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.entries.len()
    }
}
