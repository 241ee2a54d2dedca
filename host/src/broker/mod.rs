//! The way out of a sealed container.
//!
//! Each group has a unix socket in a directory of its own, mounted into that group's container only;
//! so the socket is the group's identity and nothing that a client says can change it. Requests to the
//! two model APIs are sent on with the operator's credential in place of whatever the client sent;
//! requests to other hosts, as a proxy gets them, go where the group's rules allow ([`egress`]);
//! everything else is refused. Bodies stream both ways and are never held or logged; of answers, what they used
//! is read as they pass.
//!
//! A connection carries one request. It is a local one and costs nothing, and so no client holds a
//! place without asking something, and none meets a connection that was closed for being idle.

pub mod access;
pub mod egress;
mod forward;
pub mod login;
mod patience;
pub mod policy;
pub mod refusal;
pub mod scan;
mod tally;
#[cfg(test)]
mod tests;
mod upstream;

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_protocol::paths::PLACEHOLDER_CREDENTIAL;
use longshore_protocol::{Failure, GroupId};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, warn};

use self::access::{Choice, Offers, SignIn};
use self::egress::network::Internet;
use self::egress::rules::Rules;
use self::egress::{Aside, Counts, Egress, Limits, WayOut};
use self::login::{Access, ChatGptLogin};
use self::policy::Api;
use self::refusal::Refusal;
use self::upstream::Connections;
use crate::config::{BaseUrl, ClaudeCredential, Config, Secret};
use crate::groups::Group;
use crate::socket::SocketFile;
use crate::usage::denial;
use crate::usage::meter::Meter;

/// The socket's name in the group's directory.
const SOCKET: &str = "broker.sock";
/// Connections of one group at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// All headers of a request together.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How long a client may go on after its answer.
const LINGER: Duration = Duration::from_secs(2);
/// Out of file descriptors, most likely: some may be free in a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The two model APIs as the operator wants them reached.
#[derive(Debug, Clone)]
pub struct Upstreams {
    /// For `claude`.
    pub anthropic: Upstream,
    /// For `codex`.
    pub openai: Upstream,
}

/// One model API.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it is; `/v1/messages`, or for `OpenAI` `/responses`, follows.
    pub base: BaseUrl,
    /// What to show there.
    pub credential: Credential,
    /// Whether to add `x-longshore-group`: only for the rehearsal.
    pub names_group: bool,
}

/// What to show to an API in place of what the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing is set: requests are answered with this sentence and go nowhere.
    None {
        /// What the operator has to do.
        hint: &'static str,
    },
    /// An API key: `x-api-key` at Anthropic, a bearer token at `OpenAI`.
    ApiKey(Secret),
    /// `Authorization: Bearer`.
    Bearer(Secret),
    /// As [`Credential::Bearer`], of a subscription. The CLI has to know, because it then adds a beta
    /// header and prefers another model.
    OauthBearer(Secret),
    /// A token of the host's ChatGPT login, with the account that it is for.
    ChatGpt(Access),
    /// What the client sends: it has the login itself.
    AsSent,
    /// Both headers.
    ApiKeyAndBearer {
        /// For `x-api-key`.
        api_key: Secret,
        /// For `Authorization: Bearer`.
        bearer: Secret,
    },
}

const CLAUDE_HINT: &str = "no credential for claude: set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or \
                           CLAUDE_CODE_OAUTH_TOKEN in .env and start longshore again";
const CODEX_HINT: &str =
    "no credential for codex: set CODEX_API_KEY or OPENAI_API_KEY in .env and start longshore again";

impl Upstreams {
    /// The real APIs, or the operator's gateways, with the operator's credentials.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        let claude = match config.claude.credential.clone() {
            None => Credential::None { hint: CLAUDE_HINT },
            Some(ClaudeCredential::ApiKey(key)) => Credential::ApiKey(key),
            Some(ClaudeCredential::AuthToken(token)) => Credential::Bearer(token),
            Some(ClaudeCredential::OauthToken(token)) => Credential::OauthBearer(token),
            Some(ClaudeCredential::ApiKeyAndAuthToken { api_key, auth_token }) => {
                Credential::ApiKeyAndBearer { api_key, bearer: auth_token }
            }
        };
        let codex = config.codex.api_key.clone().map_or(Credential::None { hint: CODEX_HINT }, Credential::ApiKey);
        Self {
            anthropic: Upstream {
                base: config.claude.base_url.clone().unwrap_or_else(BaseUrl::anthropic),
                credential: claude,
                names_group: false,
            },
            openai: Upstream {
                base: config.codex.base_url.clone().unwrap_or_else(BaseUrl::openai),
                credential: codex,
                names_group: false,
            },
        }
    }

    /// Stand-ins for both APIs, which are told the group and never shown a real credential.
    #[must_use]
    pub fn rehearsal(anthropic: BaseUrl, openai: BaseUrl) -> Self {
        let upstream = |base| Upstream { base, credential: Credential::ApiKey(Secret::stand_in()), names_group: true };
        Self { anthropic: upstream(anthropic), openai: upstream(openai) }
    }

    /// The variables that a container needs so that each CLI behaves as with the real kind of credential.
    ///
    /// Without a credential the CLIs get a key's placeholder too: then they ask, and show our answer.
    #[must_use]
    pub fn placeholders(&self) -> Vec<(&'static str, &'static str)> {
        let claude: &[&str] = match self.anthropic.credential {
            Credential::None { .. } | Credential::ApiKey(_) | Credential::ChatGpt(_) | Credential::AsSent => {
                &["ANTHROPIC_API_KEY"]
            }
            Credential::Bearer(_) => &["ANTHROPIC_AUTH_TOKEN"],
            Credential::OauthBearer(_) => &["CLAUDE_CODE_OAUTH_TOKEN"],
            Credential::ApiKeyAndBearer { .. } => &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
        };
        claude.iter().chain(&["LONGSHORE_API_KEY"]).map(|name| (*name, PLACEHOLDER_CREDENTIAL)).collect()
    }
}

/// Forwards the requests of all groups.
pub struct Broker {
    upstreams: Upstreams,
    chatgpt: Option<ChatGpt>,
    meter: Arc<Meter>,
    connections: Arc<Connections>,
    egress: Egress,
}

/// The way of groups that sign in with ChatGPT.
pub struct ChatGpt {
    /// Where their requests go; `/responses` follows.
    pub base: BaseUrl,
    /// The login.
    pub login: Arc<ChatGptLogin>,
}

impl Broker {
    /// Connects to nothing yet. No login, and names as the system has them.
    #[must_use]
    pub fn new(upstreams: Upstreams, meter: Arc<Meter>) -> Arc<Self> {
        Self::with(upstreams, None, Internet::default(), meter)
    }

    /// The same with a ChatGPT login for the groups that want it, and tools on the `internet`.
    #[must_use]
    pub fn with(upstreams: Upstreams, chatgpt: Option<ChatGpt>, internet: Internet, meter: Arc<Meter>) -> Arc<Self> {
        Self::assembled(upstreams, chatgpt, Egress::new(internet, Limits::ORDINARY), meter)
    }

    fn assembled(upstreams: Upstreams, chatgpt: Option<ChatGpt>, egress: Egress, meter: Arc<Meter>) -> Arc<Self> {
        Arc::new(Self { upstreams, chatgpt, meter, connections: Arc::default(), egress })
    }

    /// How the group's provider signs in.
    ///
    /// # Errors
    /// A failure of kind `auth` when it cannot: no container is started then.
    pub fn sign_in(&self, group: &Group) -> Result<SignIn, Failure> {
        let set = |upstream: &Upstream| !matches!(upstream.credential, Credential::None { .. });
        let offers = Offers {
            claude: set(&self.upstreams.anthropic),
            codex_key: set(&self.upstreams.openai),
            codex_login: self.chatgpt.as_ref().is_some_and(|chatgpt| chatgpt.login.exists()),
        };
        let choice = match &self.chatgpt {
            Some(_) => Choice { method: group.codex.auth_method, credentials: group.codex.credentials },
            // The rehearsal takes everybody as they are.
            None => Choice::default(),
        };
        access::access(group.provider, choice, offers)
    }

    /// Whether the group's budget allows a turn to begin.
    ///
    /// # Errors
    /// A failure of kind `config` when it does not.
    pub async fn within_budget(&self, group: &GroupId) -> Result<(), Failure> {
        self.meter.look_at_prices().await;
        self.meter.admit(group).map_err(|denial| denial::failure(&denial))
    }

    /// The upstream for a request of a group that signs in like that.
    async fn upstream(&self, api: Api, sign_in: SignIn) -> Result<Cow<'_, Upstream>, Refusal> {
        let upstream = match api {
            Api::Anthropic => &self.upstreams.anthropic,
            Api::OpenAi => &self.upstreams.openai,
        };
        let (Some(chatgpt), Api::OpenAi) = (&self.chatgpt, api) else {
            return Ok(Cow::Borrowed(upstream));
        };
        let credential = match sign_in {
            SignIn::Key => return Ok(Cow::Borrowed(upstream)),
            SignIn::ChatGpt => {
                Credential::ChatGpt(chatgpt.login.access(&self.connections).await.map_err(Refusal::Login)?)
            }
            SignIn::MountedLogin => Credential::AsSent,
        };
        Ok(Cow::Owned(Upstream { base: chatgpt.base.clone(), credential, names_group: upstream.names_group }))
    }

    /// The ChatGPT login; a rehearsal has none.
    #[must_use]
    pub fn login(&self) -> Option<&Arc<ChatGptLogin>> {
        self.chatgpt.as_ref().map(|chatgpt| &chatgpt.login)
    }

    /// Where the ChatGPT login lies, for a container that is given it.
    #[must_use]
    pub fn login_directory(&self) -> Option<&Path> {
        self.login().map(|login| login.directory())
    }

    /// See [`Upstreams::placeholders`].
    #[must_use]
    pub fn placeholders(&self) -> Vec<(&'static str, &'static str)> {
        self.upstreams.placeholders()
    }

    /// What the tools of a group have sent out and received, and tried to.
    #[must_use]
    pub fn egress_counts(&self, group: &GroupId) -> Counts {
        self.egress.counts(group)
    }

    /// Opens the group's socket, `<directory>/broker.sock`, and serves it until the link is dropped.
    /// `rules` say what the group's tools may reach.
    ///
    /// `directory` must be the group's alone; it is made (mode 0755) if there is none, and an older
    /// socket in it is replaced. Only `owner`, a user and a group id, can connect; without it only the
    /// host's own user.
    ///
    /// # Errors
    /// The directory or the socket cannot be made or given to `owner`, or there is no tokio runtime.
    pub fn open(
        self: &Arc<Self>,
        group: &GroupId,
        directory: &Path,
        owner: Option<(u32, u32)>,
        sign_in: SignIn,
        rules: Rules,
    ) -> io::Result<BrokerLink> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let (socket, listener) = SocketFile::bind(&directory.join(SOCKET), owner)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let client = Client { group: group.clone(), sign_in, way_out: self.egress.way_out(group, rules) };
        let accepting = runtime.spawn(accept(Arc::clone(self), client, listener)).abort_handle();
        Ok(BrokerLink { accepting, socket })
    }
}

/// A group's open socket. Dropping it ends the group's connections and removes the file.
pub struct BrokerLink {
    accepting: AbortHandle,
    socket: SocketFile,
}

impl BrokerLink {
    /// The socket's path on the host.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }
}

impl Drop for BrokerLink {
    fn drop(&mut self) {
        // The task owns the connections, so they end with it.
        self.accepting.abort();
    }
}

/// Whose socket it is, which is all that identifies a request.
#[derive(Clone)]
struct Client {
    group: GroupId,
    sign_in: SignIn,
    way_out: WayOut,
}

async fn accept(broker: Arc<Broker>, client: Client, listener: UnixListener) {
    let group = &client.group;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(Arc::clone(&broker), client.clone(), stream));
                }
                Err(error) => {
                    warn!(%group, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(failure) = ended {
                    error!(%group, %failure, "a connection panicked");
                }
            }
        }
    }
}

async fn serve(broker: Arc<Broker>, client: Client, stream: UnixStream) {
    let group = &client.group;
    let aside = Aside::default();
    let service = service_fn(|request| forward::answer(&broker, &client, &aside, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match connection.without_shutdown().await {
        Ok(answered) => match aside.tunnel() {
            Some(tunnel) => tunnel.carry(group, answered.io.into_inner(), &answered.read_buf).await,
            None => linger(answered.io.into_inner()).await,
        },
        // A client that leaves early is the usual end of an interrupted turn.
        Err(error) => debug!(%group, %error, "a connection ended early"),
    }
}

/// Lets a client that was answered early finish its request. Closing under it would reset the
/// connection, and it would report that in place of the answer.
async fn linger(mut stream: UnixStream) {
    if stream.shutdown().await.is_ok() {
        // However it ends, nobody waits for it.
        let _ = timeout(LINGER, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
    }
}
