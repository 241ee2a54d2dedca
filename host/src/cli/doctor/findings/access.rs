//! What the groups' providers sign in with, and what the APIs say of it. Pure.

use jiff::Timestamp;
use longshore_protocol::ProviderKind;

use super::{Finding, HostSeen, Seen, Severity, error, instant, note, warning};
use crate::broker::probe::Verdict;

/// What a provider has to sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct CredentialSeen {
    /// Whose.
    pub(in crate::cli) provider: ProviderKind,
    /// The groups that use it.
    pub(in crate::cli) groups: Vec<String>,
    /// What.
    pub(in crate::cli) state: CredentialState,
}

/// A credential, as far as it may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum CredentialState {
    /// None that these groups could use; why, and what to do, as a turn would say it.
    Missing(String),
    /// The setting that holds it. It says nothing of itself.
    Setting(&'static str),
    /// The setting holds what looks like another kind of credential, which belongs into that other setting.
    Misplaced(&'static str, &'static str),
    /// A ChatGPT login, which ends then and is renewed before.
    Login { whose: Option<String>, expires_at: Option<Timestamp> },
    /// A ChatGPT login that cannot be used, and why.
    BrokenLogin(String),
}

/// An API that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Asked {
    /// Whose.
    pub(in crate::cli) provider: ProviderKind,
    /// With what.
    pub(in crate::cli) with: &'static str,
    /// What it said; `Err`: why it was not asked.
    pub(in crate::cli) verdict: Result<Verdict, String>,
}

pub(super) fn credentials(seen: &Seen) -> Vec<Finding> {
    let rehearsal = matches!(&seen.host, HostSeen::Running(status) if status.rehearsal);
    if rehearsal {
        return vec![note(
            "access",
            "the host rehearses: a stand-in answers, and no credential is used",
            "nothing to do",
        )];
    }
    seen.credentials.iter().map(|credential| of(seen, credential)).collect()
}

fn of(seen: &Seen, credential: &CredentialSeen) -> Finding {
    let CredentialSeen { provider, groups, state } = credential;
    let groups = groups.iter().map(|group| format!("`{group}`")).collect::<Vec<_>>().join(", ");
    match state {
        CredentialState::Missing(why) => {
            let (text, next) = why.split_once("; ").or_else(|| why.split_once(": ")).unwrap_or((why, "set one"));
            let setup = format!("longshore setup --provider {provider}");
            let next = format!("`{setup}` asks for it; or {next}");
            let finding = error("access", format!("{text} (groups on it: {groups})"), next).with(setup);
            // Without a host, nobody has said that it is not to be a rehearsal.
            finding.graded(if seen.runs() { Severity::Error } else { Severity::Warning })
        }
        CredentialState::Setting(key) => note(
            "access",
            format!("{provider} signs in with `{key}`"),
            "`longshore doctor --online` asks whether it is valid",
        )
        .with("longshore doctor --online"),
        CredentialState::Misplaced(key, right) => warning(
            "access",
            format!("`{key}` holds what looks like a credential for `{right}`"),
            format!("move it to `{right}` in `.env`, and start the host again"),
        ),
        CredentialState::Login { whose, expires_at } => {
            let whose = whose.as_ref().map(|whose| format!(" of {whose}")).unwrap_or_default();
            let (ends, next) = match expires_at {
                Some(at) if *at <= seen.now => {
                    (format!("its token ended at {}", instant(*at)), "it is renewed when a group needs it")
                }
                Some(at) => (format!("its token ends at {}", instant(*at)), "it is renewed before"),
                None => ("its token does not say when it ends".to_owned(), "it is renewed when it is refused"),
            };
            note("access", format!("{provider} signs in with the ChatGPT login{whose}; {ends}"), next)
        }
        CredentialState::BrokenLogin(why) => {
            error("access", why, "run `longshore login codex`").with("longshore login codex")
        }
    }
}

pub(super) fn asked(seen: &Seen) -> Vec<Finding> {
    seen.asked.iter().map(answer).collect()
}

fn answer(Asked { provider, with, verdict }: &Asked) -> Finding {
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(why) => return note("online", format!("{provider} was not asked: {why}"), "nothing to do"),
    };
    let setup = format!("longshore setup --provider {provider}");
    match verdict {
        Verdict::Valid => note("online", format!("{provider} accepts {with} and answers"), "nothing to do"),
        Verdict::Accepted(said) => note(
            "online",
            format!("{provider} accepts {with}; to the question itself it said: {said}"),
            "nothing to do",
        ),
        Verdict::WrongCredential(said) => {
            error("online", format!("{provider} does not accept {with}: {said}"), format!("run `{setup}`")).with(setup)
        }
        Verdict::NoQuota(said) => error(
            "online",
            format!("{provider} accepts {with} and has no quota left for it: {said}"),
            "add credit or wait, as the provider's own pages say",
        ),
        Verdict::Limited(said) => warning(
            "online",
            format!("{provider} accepts {with} and asks to come back later: {said}"),
            "turns wait for it by themselves",
        ),
        Verdict::Unreachable(why) => error(
            "online",
            format!("{provider} cannot be reached: {why}"),
            "see the network, and the base URL in `.env`; turns are tried again by themselves",
        ),
        Verdict::Unclear(said) => warning(
            "online",
            format!("{provider} answered {with} with what says neither yes nor no: {said}"),
            "ask again later",
        ),
    }
}
