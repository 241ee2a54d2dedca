//! One client of the platform: made, used and ended. Never two of one account: see [`crate::data::Lock`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;
use wacore::store::DevicePropsOverride;
use whatsapp_rust::InboundDurabilityHook;
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::prelude::*;
use whatsapp_rust::store::SqliteStore;

use crate::data::{Account, AccountState, Data, Group, Lock};
use crate::dial::Dial;
use crate::map::Identity;

/// How long an end may take: buffers are flushed, the server is told.
const END: Duration = Duration::from_secs(3);
/// The longest name of a group that is passed on, in characters.
const MAX_NAME: usize = 200;

/// Where the platform is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// At WhatsApp.
    Platform,
    /// On this machine, as a rehearsal.
    Rehearsal {
        /// `ws://127.0.0.1:…`
        url: String,
        /// What to call ourselves; otherwise WhatsApp is asked for its current version.
        version: (u32, u32, u32),
    },
}

/// A client that runs.
pub struct Session {
    /// It.
    pub client: Arc<Client>,
    /// What happens to it.
    pub events: Receiver<Arc<Event>>,
    /// Resolves when it has given up.
    pub running: BotHandle,
}

impl Session {
    /// Makes a client of the account's keys, which connects by itself from now on.
    ///
    /// # Errors
    /// The keys cannot be opened.
    pub async fn start(
        endpoint: &Endpoint,
        data: &Data,
        _lock: &Lock,
        hook: impl InboundDurabilityHook + 'static,
        pair: Option<PairCodeOptions>,
    ) -> anyhow::Result<Self> {
        let path = data.keys();
        let path = path.to_str().context("the data folder's name is not UTF-8")?;
        let store = SqliteStore::new(path).await.context("the keys cannot be opened")?;
        let mut builder = Bot::builder().with_backend(store);
        let mut rehearsal = None;
        if let Endpoint::Rehearsal { url, version } = endpoint {
            rehearsal = Some(url.as_str());
            // At WhatsApp the phone tells the name, and another one would be the account's new name.
            builder = builder.with_version(*version).with_push_name("Andy").with_wanted_pre_key_count(40);
        }
        let mut builder = builder
            .with_transport_factory(Dial::new(rehearsal)?)
            // What the phone shows in its list of linked devices. Anything but a system's name is refused.
            .with_device_props(DevicePropsOverride::new().with_os("Linux"))
            .skip_history_sync()
            // Without one, messages count as received as soon as they are decrypted.
            .with_inbound_durability_hook(hook);
        if let Some(options) = pair {
            builder = builder.with_pair_code(options);
        }
        let bot = builder.build().await.context("the client cannot be made")?;
        let client = bot.client();
        let (handler, events) = ChannelEventHandler::new();
        client.subscribe_handler(handler).detach();
        Ok(Self { client, events, running: bot.spawn() })
    }

    /// Under which ids the account is known.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::new(self.client.pn(), self.client.lid())
    }

    /// Leaves the client as a crash would, for a process that ends now.
    ///
    /// An end in order writes down how far its keys have moved, and so for messages as well that it has decrypted
    /// and not yet kept. When those come again they pass for duplicates, and are lost. Whatever has to outlive a
    /// crash is written before.
    pub fn abandon(self) {
        self.running.abort();
    }

    /// Ends the client, for another one in this process: what it holds is flushed, and nothing of it runs any more.
    pub async fn end(self) {
        if timeout(END, self.running.shutdown()).await.is_err() {
            tracing::warn!("the client did not end in time");
        }
    }
}

/// The groups that the account is in, by name.
///
/// # Errors
/// The server does not answer.
pub async fn groups(client: &Client) -> anyhow::Result<Vec<Group>> {
    let listed = client.groups().get_participating().await?;
    let mut groups: Vec<Group> = listed
        .values()
        .map(|group| Group {
            chat: group.id.to_string(),
            name: group.subject.chars().take(MAX_NAME).collect(),
            participants: group.participants.len(),
        })
        .collect();
    groups.sort_by(|a, b| (&a.name, &a.chat).cmp(&(&b.name, &b.chat)));
    Ok(groups)
}

/// The account as it is to be remembered, if the client has one.
#[must_use]
pub fn account(client: &Client) -> Option<Account> {
    Some(Account {
        phone: client.pn()?.to_non_ad().to_string(),
        hidden: client.lid().map(|jid| jid.to_non_ad().to_string()),
        name: client.push_name(),
        linked_at: wacore::time::now_utc().to_rfc3339(),
        state: AccountState::Linked,
    })
}
