//! A WhatsApp server on this machine, for tests: as much of it as a linked device meets.
//!
//! A WebSocket with the Noise handshake (both patterns), linking by QR code and by pair code, key upload and
//! lookup, groups, end-to-end encrypted messages between real clients, receipts, typing, an offline queue, and
//! the faults that a test asks for. It never sees a text: clients encrypt for each other. A person on it is
//! another `whatsapp-rust` client ([`person`]).
//!
//! What it does not have: the real server's own oddities, its spam defence, media servers, history, TLS.

mod conn;
mod iq;
mod keyshare;
pub mod node;
mod noise;
mod pairing;
pub mod person;
mod relay;
pub mod state;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use wacore::libsignal::protocol::KeyPair;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::node::Node;

use self::node::public;
use self::noise::Identity;
use self::state::{Account, Device, Failure, Group, Keys, Out, State};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server. It runs until it is dropped and its connections have ended.
pub struct FakeServer {
    state: Mutex<State>,
    identity: Identity,
    addr: SocketAddr,
    me: Weak<FakeServer>,
}

impl FakeServer {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Arc<Self>> {
        let identity = Identity::generate()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let server = Arc::new_cyclic(|me| Self { state: Mutex::default(), identity, addr, me: me.clone() });
        let me = Arc::downgrade(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(server) = me.upgrade() else { break };
                // As any server of small frames does.
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    if let Err(error) = server.serve(stream).await {
                        tracing::debug!("a connection ended: {error:#}");
                    }
                });
            }
        });
        Ok(server)
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/ws/chat", self.addr)
    }

    /// The key that signs its certificates: a client that checks them has to be told.
    #[must_use]
    pub fn root_key(&self) -> [u8; 32] {
        self.identity.root
    }

    /// What it knows and does, for a test to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an account: a phone with its keys, behind which nobody is.
    ///
    /// # Errors
    /// Of the cryptography.
    pub fn add_account(&self, phone: &str, hidden: &str, name: &str) -> Result<()> {
        let keys = KeyPair::generate(&mut rand::rng());
        let signed = KeyPair::generate(&mut rand::rng());
        let signature = keys.private_key.calculate_signature(&signed.public_key.serialize(), &mut rand::rng())?;
        let signed_key = NodeBuilder::new("skey")
            .children([
                NodeBuilder::new("id").bytes(vec![0, 0, 1]).build(),
                NodeBuilder::new("value").bytes(public(&signed).to_vec()).build(),
                NodeBuilder::new("signature").bytes(signature.to_vec()).build(),
            ])
            .build();
        let phone_device = Device {
            keys: Keys {
                registration: vec![0, 0, 0x30, 0x39],
                identity: public(&keys).to_vec(),
                signed: Some(signed_key),
                one_time: VecDeque::new(),
            },
            has_shared_key: true,
            ..Device::default()
        };
        let account = Account {
            phone: phone.to_owned(),
            hidden: hidden.to_owned(),
            name: name.to_owned(),
            keys,
            devices: [(0, phone_device)].into(),
        };
        self.state().accounts.insert(phone.to_owned(), account);
        Ok(())
    }

    /// Makes a group of these phones; the first is its admin.
    pub fn add_group(&self, id: &str, subject: &str, members: &[&str], is_hidden: bool) {
        let members = members.iter().map(|&member| member.to_owned()).collect();
        let group = Group { id: id.to_owned(), subject: subject.to_owned(), members, is_hidden };
        self.state().groups.insert(id.to_owned(), group);
    }

    /// Breaks every connection of an account.
    pub fn cut(&self, phone: &str) {
        self.to_devices(phone, || Out::Close);
    }

    /// Sends every connected device of an account a stanza.
    pub fn push(&self, phone: &str, node: &Node) {
        self.to_devices(phone, || Out::Node(node.clone()));
    }

    fn to_devices(&self, phone: &str, out: impl Fn() -> Out) {
        let state = self.state();
        for device in state.accounts.get(phone).into_iter().flat_map(|account| account.devices.values()) {
            if let Some(way) = &device.way {
                // A connection that has ended meanwhile is as good as cut.
                let _ = way.send(out());
            }
        }
    }

    /// Refuses the next connections of an account, one for each failure.
    pub fn refuse(&self, phone: &str, failures: impl IntoIterator<Item = Failure>) {
        self.state().refusals.entry(phone.to_owned()).or_default().extend(failures);
    }

    /// Whether a linked device of the account is connected.
    #[must_use]
    pub fn is_connected(&self, phone: &str) -> bool {
        let state = self.state();
        state.accounts.get(phone).is_some_and(|account| account.devices.values().any(|device| device.way.is_some()))
    }

    /// Waits until a condition holds.
    ///
    /// # Errors
    /// It does not within [`PATIENCE`].
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&mut State) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !holds(&mut self.state()) {
            if Instant::now() > end {
                bail!("the server waited in vain for: {what}");
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}
