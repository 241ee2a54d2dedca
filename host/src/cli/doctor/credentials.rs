//! What the groups' providers sign in with, and what the APIs say when they are asked.

use std::path::Path;

use longshore_protocol::ProviderKind;

use super::findings::{Asked, CredentialSeen, CredentialState};
use crate::app::{self, LOGIN};
use crate::broker::access::{Choice, Offers, SignIn, access};
use crate::broker::login::{self, ChatGptLogin, LoginError};
use crate::broker::probe::Probe;
use crate::broker::{ChatGpt, Upstreams};
use crate::clock::Clock;
use crate::config::{BaseUrl, ClaudeCredential, Config};
use crate::groups::Groups;

/// The codex key, whichever of its two settings holds it.
const CODEX_KEY: &str = "CODEX_API_KEY";
const CLAUDE_KEY: &str = "ANTHROPIC_API_KEY";
const CLAUDE_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";

/// What each group would sign in with, groups that do the same together.
pub(in crate::cli) fn credentials(config: &Config, groups: &Groups, root: &Path) -> Vec<CredentialSeen> {
    let login = login::describe(&root.join(LOGIN));
    let offers = Offers {
        claude: config.claude.credential.is_some(),
        codex_key: config.codex.api_key.is_some(),
        codex_login: !matches!(login, Err(LoginError::Missing)),
    };
    let mut seen: Vec<CredentialSeen> = Vec::new();
    for group in groups.iter() {
        let provider = group.provider;
        let choice = Choice { method: group.codex.auth_method, credentials: group.codex.credentials };
        let state = match access(provider, choice, offers) {
            Err(failure) => CredentialState::Missing(failure.message),
            Ok(SignIn::Key) => key(config, provider),
            Ok(SignIn::ChatGpt | SignIn::MountedLogin) => match &login {
                Ok(login) => CredentialState::Login { whose: login.email.clone(), expires_at: login.expires_at },
                Err(error) => CredentialState::BrokenLogin(error.to_string()),
            },
        };
        let known = seen.iter_mut().find(|known| known.provider == provider && known.state == state);
        match known {
            Some(known) => known.groups.push(group.id.to_string()),
            None => seen.push(CredentialSeen { provider, groups: vec![group.id.to_string()], state }),
        }
    }
    seen
}

/// The setting that holds the key. The vendors' own prefixes tell a key from a token.
fn key(config: &Config, provider: ProviderKind) -> CredentialState {
    let begins = |secret: &crate::config::Secret, prefix: &str| secret.expose().starts_with(prefix);
    match (provider, &config.claude.credential, &config.codex.api_key) {
        (ProviderKind::Codex, _, Some(key)) if begins(key, "sk-ant-") => {
            CredentialState::Misplaced(CODEX_KEY, CLAUDE_KEY)
        }
        (ProviderKind::Codex, ..) => CredentialState::Setting(CODEX_KEY),
        (ProviderKind::Claude, Some(ClaudeCredential::ApiKey(key)), _) if begins(key, "sk-ant-oat") => {
            CredentialState::Misplaced(CLAUDE_KEY, CLAUDE_TOKEN)
        }
        (ProviderKind::Claude, Some(ClaudeCredential::OauthToken(token)), _) if begins(token, "sk-ant-api") => {
            CredentialState::Misplaced(CLAUDE_TOKEN, CLAUDE_KEY)
        }
        (ProviderKind::Claude, Some(credential), _) => CredentialState::Setting(setting(credential)),
        (ProviderKind::Claude, None, _) => CredentialState::Setting(CLAUDE_KEY),
    }
}

/// The setting that holds it.
pub(in crate::cli) fn setting(credential: &ClaudeCredential) -> &'static str {
    match credential {
        ClaudeCredential::ApiKey(_) | ClaudeCredential::ApiKeyAndAuthToken { .. } => CLAUDE_KEY,
        ClaudeCredential::AuthToken(_) => "ANTHROPIC_AUTH_TOKEN",
        ClaudeCredential::OauthToken(_) => CLAUDE_TOKEN,
    }
}

/// Asks the API of each provider that has a credential, one small question each.
///
/// A refresh token is good for one use. So a login is refreshed here only while no host runs that could do so
/// at the same moment: the installation's lock is held until the answer is there.
pub(in crate::cli) async fn ask(config: &Config, root: &Path) -> Vec<Asked> {
    let clock = Clock::system();
    let described = login::describe(&root.join(LOGIN));
    let lock = app::lock(root);
    let token_url = config.codex.refresh_url.clone().unwrap_or_else(BaseUrl::chatgpt_token);
    let base = config.codex.chatgpt_base_url.clone().unwrap_or_else(BaseUrl::chatgpt);
    let chatgpt = ChatGpt { base, login: ChatGptLogin::new(root.join(LOGIN), token_url, clock.clone()) };
    let probe = Probe::new(Upstreams::from_config(config), Some(chatgpt), config.codex.model.clone());
    let mut asked = Vec::new();
    if let Some(credential) = &config.claude.credential {
        let provider = ProviderKind::Claude;
        asked.push(Asked { provider, with: setting(credential), verdict: Ok(probe.ask(provider, SignIn::Key).await) });
    }
    let provider = ProviderKind::Codex;
    if config.codex.api_key.is_some() {
        asked.push(Asked { provider, with: CODEX_KEY, verdict: Ok(probe.ask(provider, SignIn::Key).await) });
    }
    if let Ok(login) = described {
        // With time to spare nothing is refreshed.
        let soon = clock.now().saturating_add(jiff::SignedDuration::from_mins(10)).unwrap_or(jiff::Timestamp::MAX);
        let lasts = login.expires_at.is_some_and(|ends| ends > soon);
        let verdict = if lasts || lock.is_ok() {
            Ok(probe.ask(provider, SignIn::ChatGpt).await)
        } else {
            Err("its token is about to end, and only the running host may renew it".to_owned())
        };
        asked.push(Asked { provider, with: "the ChatGPT login", verdict });
    }
    asked
}
