//! Which credential a group's requests carry: pure.

use longshore_protocol::{Failure, FailureKind, ProviderKind};

use super::{CLAUDE_HINT, CODEX_HINT};
use crate::groups::{AuthMethod, Credentials};

/// How `codex` signs in for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// With the host's key, which the broker adds.
    Key,
    /// With the host's ChatGPT login, whose token the broker adds and refreshes.
    ChatGpt,
    /// With the ChatGPT login itself, mounted into the container: the broker passes on what codex sends.
    MountedLogin,
}

/// What the host has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offers {
    /// A credential for Claude.
    pub claude: bool,
    /// A key for Codex.
    pub codex_key: bool,
    /// A ChatGPT login for Codex.
    pub codex_login: bool,
}

/// How a group signs in, as far as that is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// `authMethod`; absent means a login if there is one, else the key.
    pub method: Option<AuthMethod>,
    /// `credentials`.
    pub credentials: Credentials,
}

const NO_KEY: &str = "no credential for codex: this group wants an API key; set CODEX_API_KEY or OPENAI_API_KEY in \
                      .env and start longshore again, or change `authMethod`";
const NO_LOGIN: &str = "no credential for codex: this group wants a ChatGPT login; run `longshore login codex`, or \
                        change `authMethod`";

/// The way in which a group's provider signs in.
///
/// # Errors
/// A failure of kind `auth` when there is none: no container is started then.
pub fn access(provider: ProviderKind, choice: Choice, offers: Offers) -> Result<SignIn, Failure> {
    let none = |hint: &str| Err(Failure::new(provider.as_str(), FailureKind::Auth, hint));
    let login = match choice.credentials {
        Credentials::Brokered => SignIn::ChatGpt,
        Credentials::Mounted => SignIn::MountedLogin,
    };
    match (provider, choice.method) {
        // What codex would use makes no difference to a turn of claude.
        (ProviderKind::Claude, _) if offers.claude => Ok(SignIn::Key),
        (ProviderKind::Claude, _) => none(CLAUDE_HINT),
        (ProviderKind::Codex, Some(AuthMethod::ApiKey)) if offers.codex_key => Ok(SignIn::Key),
        (ProviderKind::Codex, Some(AuthMethod::ApiKey)) => none(NO_KEY),
        (ProviderKind::Codex, Some(AuthMethod::Chatgpt) | None) if offers.codex_login => Ok(login),
        (ProviderKind::Codex, Some(AuthMethod::Chatgpt)) => none(NO_LOGIN),
        (ProviderKind::Codex, None) if offers.codex_key => Ok(SignIn::Key),
        (ProviderKind::Codex, None) => none(CODEX_HINT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_signs_in_as_it_chose_and_else_with_what_there_is() {
        use AuthMethod::{ApiKey, Chatgpt};
        use SignIn::{ChatGpt, Key, MountedLogin};
        // method, key there, login there, brokered and mounted answer
        let cases = [
            (None, false, false, None, None),
            (None, true, false, Some(Key), Some(Key)),
            (None, false, true, Some(ChatGpt), Some(MountedLogin)),
            (None, true, true, Some(ChatGpt), Some(MountedLogin)),
            (Some(ApiKey), true, true, Some(Key), Some(Key)),
            (Some(ApiKey), false, true, None, None),
            (Some(Chatgpt), true, true, Some(ChatGpt), Some(MountedLogin)),
            (Some(Chatgpt), true, false, None, None),
        ];
        for (method, codex_key, codex_login, brokered, mounted) in cases {
            let offers = Offers { claude: false, codex_key, codex_login };
            for (credentials, expected) in [(Credentials::Brokered, brokered), (Credentials::Mounted, mounted)] {
                let found = access(ProviderKind::Codex, Choice { method, credentials }, offers);
                assert_eq!(found.as_ref().ok().copied(), expected, "{method:?} {credentials:?} {offers:?}");
                if let Err(failure) = found {
                    assert_eq!(failure.code, "CODEX_AUTH_ERROR");
                    assert!(failure.message.starts_with("no credential for codex"), "{failure:?}");
                }
            }
        }
    }

    #[test]
    fn claude_needs_a_credential_of_its_own() {
        let offers = Offers { claude: false, codex_key: true, codex_login: true };
        assert!(access(ProviderKind::Claude, Choice::default(), offers).is_err());
        assert!(access(ProviderKind::Claude, Choice::default(), Offers { claude: true, ..Offers::default() }).is_ok());
    }
}
