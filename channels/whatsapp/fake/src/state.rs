//! What the server knows: accounts, groups, and what it has seen.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use tokio::sync::mpsc::UnboundedSender;
use wacore::libsignal::protocol::KeyPair;
use wacore_binary::Jid;
use wacore_binary::node::Node;

/// What a connection is to write.
#[derive(Debug)]
pub enum Out {
    /// A stanza.
    Node(Node),
    /// Nothing any more.
    Close,
}

/// The way to a connection.
pub type Way = UnboundedSender<Out>;

/// A device's public keys, as it uploaded them.
#[derive(Debug, Default, Clone)]
pub struct Keys {
    /// Its registration id.
    pub registration: Vec<u8>,
    /// Its identity.
    pub identity: Vec<u8>,
    /// Its signed key.
    pub signed: Option<Node>,
    /// Its keys for one use each.
    pub one_time: VecDeque<Node>,
}

/// A linked device, or the phone itself (number 0).
#[derive(Debug, Default)]
pub struct Device {
    /// Its keys.
    pub keys: Keys,
    /// The account's signature of them.
    pub signature: Option<Vec<u8>>,
    /// Its connection.
    pub way: Option<Way>,
    /// What came while it was away.
    pub offline: Vec<Node>,
    /// What it was given and has not acknowledged.
    pub unacked: Vec<Node>,
    /// Whether the phone has shared its key for settings with it.
    pub has_shared_key: bool,
}

/// Somebody with a phone.
pub struct Account {
    /// The phone number.
    pub phone: String,
    /// The hidden id.
    pub hidden: String,
    /// The name that others see.
    pub name: String,
    /// The phone's keys.
    pub keys: KeyPair,
    /// The devices by number.
    pub devices: BTreeMap<u16, Device>,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id, without the server's name.
    pub id: String,
    /// Its name.
    pub subject: String,
    /// The members' phone numbers.
    pub members: Vec<String>,
    /// Whether members are known to each other by their hidden ids.
    pub is_hidden: bool,
}

/// How a connection is refused.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    /// The reason's number.
    pub reason: u16,
    /// Of a ban: its code and its length in seconds.
    pub ban: Option<(u16, u32)>,
}

impl Failure {
    /// With this reason.
    #[must_use]
    pub fn new(reason: u16) -> Self {
        Self { reason, ban: None }
    }
}

/// What becomes of the next message of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the server has it.
    Lost,
    /// The server passes it on, and the connection breaks before it says so.
    Unconfirmed,
    /// The server passes on something that cannot be decrypted.
    Corrupted,
}

/// A pair code's state.
#[derive(Clone)]
pub struct PairCode {
    /// The companion's key, wrapped.
    pub wrapped: Vec<u8>,
    /// The companion's key, and the phone's own of this exchange, once the code was typed.
    pub exchange: Option<([u8; 32], KeyPair)>,
    /// The companion's connection.
    pub way: Way,
}

/// A message as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Who sent it: phone number and device.
    pub from: (String, u16),
    /// Where to.
    pub to: String,
    /// Its id.
    pub id: String,
}

/// Everything.
#[derive(Default)]
pub struct State {
    /// Accounts by phone number.
    pub accounts: HashMap<String, Account>,
    /// Groups by id.
    pub groups: HashMap<String, Group>,
    /// Connections that wait to be linked, by the reference in their QR codes.
    pub unlinked: HashMap<String, Way>,
    /// Pair codes by phone number.
    pub pair_codes: HashMap<String, PairCode>,
    /// How the next connections of an account are refused.
    pub refusals: HashMap<String, VecDeque<Failure>>,
    /// What becomes of the next messages of an account.
    pub faults: HashMap<String, VecDeque<Fault>>,
    /// After so many more messages to an account its connection breaks.
    pub cut_after: HashMap<String, usize>,
    /// Every message that came in, in order.
    pub messages: Vec<Wire>,
    /// What was acknowledged: the phone number and the message's id.
    pub acked: Vec<(String, String)>,
    /// Every typing notice that came in.
    pub chatstates: Vec<Node>,
    /// How many times messages were asked for again.
    pub retries: usize,
    /// How often each account logged in.
    pub logins: HashMap<String, usize>,
    /// What it had no answer for.
    pub unknown: BTreeSet<String>,
    pub(crate) last_id: u64,
}

impl State {
    /// The account with this phone number or hidden id.
    #[must_use]
    pub fn find(&self, jid: &Jid) -> Option<&Account> {
        self.accounts.values().find(|account| account.phone == jid.user.as_str() || account.hidden == jid.user.as_str())
    }

    pub(crate) fn find_mut(&mut self, jid: &Jid) -> Option<&mut Account> {
        self.accounts
            .values_mut()
            .find(|account| account.phone == jid.user.as_str() || account.hidden == jid.user.as_str())
    }

    pub(crate) fn device(&mut self, who: &(String, u16)) -> Option<&mut Device> {
        self.accounts.get_mut(&who.0)?.devices.get_mut(&who.1)
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The ids of the messages that an account sent to a chat, in order.
    #[must_use]
    pub fn sent_by(&self, phone: &str) -> Vec<String> {
        self.messages.iter().filter(|wire| wire.from.0 == phone).map(|wire| wire.id.clone()).collect()
    }
}
