//! The credential: read without a trace, and asked about before it is kept.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use longshore_protocol::ProviderKind;

use super::Asking;
use super::interview::{Answers, Way};
use super::terminal::{confirm, secret};
use crate::broker::Upstreams;
use crate::broker::access::SignIn;
use crate::broker::probe::{Probe, Verdict};
use crate::cli::say;
use crate::config::{ClaudeCredential, Config, Secret};

/// More than any key has, in bytes.
const MAX_KEY_BYTES: u64 = 32 * 1024;

/// Where a key comes from, and whether its provider is asked about it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// A file; `-` is stdin.
    pub(super) file: Option<PathBuf>,
    /// Ask the provider whether it is valid.
    pub(super) check: bool,
}

/// The key that the answers call for. `None` when they call for none, or nobody has one now.
pub(super) async fn key(
    answers: &Answers,
    source: &Source,
    config: &Config,
    asking: Asking,
) -> anyhow::Result<Option<Secret>> {
    let what = match (answers.provider, answers.way) {
        (ProviderKind::Claude, Way::ApiKey) => "Anthropic API key",
        (ProviderKind::Claude, Way::Token) => "token of `claude setup-token`",
        (ProviderKind::Codex, Way::ApiKey) => "OpenAI API key",
        _ => return Ok(None),
    };
    loop {
        let typed = match (&source.file, asking) {
            (Some(file), _) => Some(from_file(file)?),
            (None, Asking::Person) => tokio::task::block_in_place(|| secret(&format!("The {what} (it is not shown)")))?,
            (None, Asking::Nobody) => bail!("--key-file is missing: a file with the {what}, or `-` for stdin"),
        };
        let Some(typed) = typed else {
            say("access    no key was given; a stand-in answers until there is one")?;
            return Ok(None);
        };
        let again = source.file.is_none() && asking == Asking::Person;
        let secret = match Secret::parse(&typed) {
            Ok(secret) => secret,
            Err(error) if again => {
                say(&format!("access    the {what} {error}; copy it again, in one piece"))?;
                continue;
            }
            Err(error) => bail!("the {what} {error}"),
        };
        if !source.check {
            return Ok(Some(secret));
        }
        match verdict(answers, config, &secret).await {
            Verdict::Valid | Verdict::Accepted(_) => {
                say(&format!("access    {} accepts it", answers.provider))?;
                return Ok(Some(secret));
            }
            Verdict::WrongCredential(said) if again => {
                say(&format!("access    {} does not accept it: {said}", answers.provider))?;
            }
            Verdict::WrongCredential(said) => {
                bail!(
                    "{} does not accept the {what}: {said}; nothing was changed (--no-check keeps it all the same)",
                    answers.provider
                );
            }
            Verdict::NoQuota(said) => {
                say(&format!("access    {} accepts it, and there is no quota left for it: {said}", answers.provider))?;
                return Ok(Some(secret));
            }
            Verdict::Limited(said) => {
                say(&format!("access    {} accepts it, and asks to come back later: {said}", answers.provider))?;
                return Ok(Some(secret));
            }
            Verdict::Unreachable(said) | Verdict::Unclear(said) => {
                say(&format!("access    {} could not be asked: {said}", answers.provider))?;
                let keep = !again || tokio::task::block_in_place(|| confirm("Keep the key all the same?", true))?;
                if keep {
                    return Ok(Some(secret));
                }
            }
        }
    }
}

/// What the provider says of it.
async fn verdict(answers: &Answers, config: &Config, secret: &Secret) -> Verdict {
    let mut config = config.clone();
    match (answers.provider, answers.way) {
        (ProviderKind::Codex, _) => config.codex.api_key = Some(secret.clone()),
        (ProviderKind::Claude, Way::Token) => {
            config.claude.credential = Some(ClaudeCredential::OauthToken(secret.clone()));
        }
        (ProviderKind::Claude, _) => config.claude.credential = Some(ClaudeCredential::ApiKey(secret.clone())),
    }
    let probe = Probe::new(Upstreams::from_config(&config), None, config.codex.model.clone());
    probe.ask(answers.provider, SignIn::Key).await
}

fn from_file(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_KEY_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_KEY_BYTES).read_to_string(&mut text))
    };
    read.with_context(|| format!("the key cannot be read from `{}`", file.display()))?;
    Ok(text.trim().to_owned())
}
