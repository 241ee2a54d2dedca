//! Who answers: the models' providers, or the stand-in for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use longshore_rehearsal::Rehearsal;

use crate::broker::ChatGpt;
use crate::broker::login::{self, ChatGptLogin};
use crate::clock::Clock;
use crate::config::{BaseUrl, Config};

/// Where the ChatGPT login of codex lies, under the root.
pub const LOGIN: &str = "data/login/codex";
/// Where an operator may have put one by hand.
const SEEDED_LOGIN: &str = "data/codex/main/.codex/auth.json";

/// The way to ChatGPT's own API.
pub(super) fn chatgpt(config: &Config, root: &Path, clock: &Clock) -> ChatGpt {
    let token_url = config.codex.refresh_url.clone().unwrap_or_else(BaseUrl::chatgpt_token);
    let login = ChatGptLogin::new(root.join(LOGIN), token_url, clock.clone());
    match login.adopt(&root.join(SEEDED_LOGIN)) {
        // A warning, because an agent can write there, too: the operator should know the account.
        Ok(true) => {
            let account = login::describe(login.directory()).map(|login| login.account).unwrap_or_default();
            tracing::warn!(from = SEEDED_LOGIN, to = LOGIN, account, "took over a ChatGPT login");
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(from = SEEDED_LOGIN, %error, "a ChatGPT login could not be taken over"),
    }
    let base = config.codex.chatgpt_base_url.clone().unwrap_or_else(BaseUrl::chatgpt);
    ChatGpt { base, login }
}

/// Starts the stand-in on a free port.
pub(super) async fn start_rehearsal() -> anyhow::Result<Rehearsal> {
    let rehearsal = Rehearsal::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .context("the rehearsal server cannot start")?;
    tracing::warn!(address = %rehearsal.address(), "REHEARSAL: a stand-in answers, no model is asked");
    Ok(rehearsal)
}
