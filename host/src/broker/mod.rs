//! The way out of a sealed container.
//!
//! Each group has a [`Door`] of its own: a unix socket in a directory that is mounted into that group's
//! container only, or a link to a process that the host started in that very container. The door is the
//! group's identity and nothing that a client says can change it. Requests to the two model APIs are sent on with the operator's credential in place of whatever the client sent;
//! requests to other hosts, as a proxy gets them, go where the group's rules allow ([`egress`]);
//! everything else is refused. Bodies stream both ways and are never held or logged; of answers, what they used
//! is read as they pass.
//!
//! A connection carries one request. It is a local one and costs nothing, and so no client holds a
//! place without asking something, and none meets a connection that was closed for being idle.

pub mod access;
mod counted;
mod door;
pub mod egress;
mod forward;
pub mod login;
mod patience;
pub mod policy;
pub mod probe;
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

use longshore_protocol::paths::PLACEHOLDER_CREDENTIAL;
use longshore_protocol::{Failure, GroupId};

use self::access::{Choice, Offers, SignIn};
use self::egress::network::Internet;
use self::egress::rules::Rules;
use self::egress::{Counts, Egress, Limits, WayOut};
use self::login::{Access, ChatGptLogin};
use self::policy::Api;
use self::refusal::Refusal;
use self::upstream::Connections;
use crate::config::{BaseUrl, ClaudeCredential, Config, Secret};
use crate::groups::Group;
use crate::usage::denial;
use crate::usage::meter::Meter;

#[cfg(test)]
use self::door::MAX_CONNECTIONS;
pub use self::door::{BrokerLink, Door};

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

    /// The way in for a container of the group. `rules` say what the group's tools may reach.
    #[must_use]
    pub fn door(self: &Arc<Self>, group: &GroupId, sign_in: SignIn, rules: Rules) -> Door {
        let client = Client { group: group.clone(), sign_in, way_out: self.egress.way_out(group, rules) };
        Door::new(Arc::clone(self), client)
    }

    /// As [`Broker::door`], through [`Door::listen`].
    ///
    /// # Errors
    /// See there.
    pub fn open(
        self: &Arc<Self>,
        group: &GroupId,
        directory: &Path,
        owner: Option<(u32, u32)>,
        sign_in: SignIn,
        rules: Rules,
    ) -> io::Result<BrokerLink> {
        self.door(group, sign_in, rules).listen(directory, owner)
    }
}

/// Whose connections they are, which is all that identifies a request.
#[derive(Clone)]
struct Client {
    group: GroupId,
    sign_in: SignIn,
    way_out: WayOut,
}
