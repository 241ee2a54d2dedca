//! What the operator asks about the linked account.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::data::{Account, AccountState, Data, Group};
use crate::hook::NotNow;
use crate::session::{self, Endpoint, Session};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// `longshore-whatsapp groups`.
#[derive(Debug, clap::Args)]
pub struct GroupsArgs {
    /// Print a JSON list: `chat`, `name`, `participants`.
    #[arg(long)]
    json: bool,
}

/// `longshore-whatsapp status`.
///
/// # Errors
/// The account's file cannot be read.
pub fn status(data: &Data) -> anyhow::Result<()> {
    let used = data.lock()?.is_none();
    let lines = describe(data.account()?.as_ref(), used);
    io::stdout().write_all(lines.as_bytes())?;
    Ok(())
}

fn describe(account: Option<&Account>, used: bool) -> String {
    let Some(account) = account else {
        return "No WhatsApp account is linked; run `longshore whatsapp link`.\n".to_owned();
    };
    let state = match (account.state, used) {
        (AccountState::LoggedOut, _) => "the link was removed; run `longshore whatsapp link`",
        (AccountState::Linked, true) => "linked, and in use by a running adapter",
        (AccountState::Linked, false) => "linked; no adapter runs",
    };
    let hidden = account.hidden.as_deref().map_or_else(String::new, |id| format!("hidden id  {id}\n"));
    format!(
        "number     {}\nname       {}\n{hidden}linked     {}\nstate      {state}\n",
        number(&account.phone),
        if account.name.is_empty() { "(none)" } else { &account.name },
        account.linked_at,
    )
}

/// `49151…@s.whatsapp.net` as people write it.
#[must_use]
pub fn number(phone: &str) -> String {
    let digits = phone.split(['@', ':']).next().unwrap_or_default();
    format!("+{digits}")
}

/// `longshore-whatsapp groups`: from the server, or what a running adapter has listed last.
///
/// # Errors
/// Nothing is linked, or the server does not answer.
pub async fn groups(args: GroupsArgs, endpoint: &Endpoint, data: &Data) -> anyhow::Result<()> {
    linked(data)?;
    let groups = match data.lock()? {
        Some(lock) => {
            let session = Session::start(endpoint, data, &lock, NotNow, None).await?;
            let listed = listed(&session).await;
            session.abandon();
            let groups = listed?;
            data.set_groups(&groups)?;
            groups
        }
        None => data.groups()?.context("the running adapter has not listed any groups yet; try again in a moment")?,
    };
    let mut out = io::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &groups)?;
        out.write_all(b"\n")?;
    } else {
        for Group { chat, name, participants } in &groups {
            writeln!(out, "{chat}  {participants:>4}  {}", name.replace(char::is_control, " "))?;
        }
    }
    Ok(())
}

async fn listed(session: &Session) -> anyhow::Result<Vec<Group>> {
    session.client.wait_for_connected(CONNECT).await.context("WhatsApp cannot be reached, or refuses the link")?;
    tokio::time::timeout(CONNECT, session::groups(&session.client)).await.context("WhatsApp does not answer")?
}

/// `longshore-whatsapp unlink`.
///
/// # Errors
/// The folder is in use or cannot be cleaned.
pub async fn unlink(endpoint: &Endpoint, data: &Data) -> anyhow::Result<()> {
    let account = linked(data)?;
    let Some(lock) = data.lock()? else { bail!("a running adapter uses the link; stop the host first") };
    let mut told = false;
    if account.state == AccountState::Linked {
        let session = Session::start(endpoint, data, &lock, NotNow, None).await?;
        if session.client.wait_for_connected(CONNECT).await.is_ok() {
            session.client.logout().await;
            told = true;
        }
        session.end().await;
    }
    data.forget(&lock)?;
    let number = number(&account.phone);
    let more = if told { "" } else { "; remove it on the phone as well: Settings → Linked devices" };
    writeln!(io::stdout(), "The link to {number} is removed here{more}.")?;
    Ok(())
}

fn linked(data: &Data) -> anyhow::Result<Account> {
    data.account()?.context("no WhatsApp account is linked; run `longshore whatsapp link`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_to_do() {
        assert!(describe(None, false).contains("longshore whatsapp link"));
        let account = Account {
            phone: "4915112345@s.whatsapp.net".into(),
            hidden: Some("1@lid".into()),
            name: "Andy".into(),
            linked_at: "2026-01-31T12:00:00Z".into(),
            state: AccountState::Linked,
        };
        let shown = describe(Some(&account), true);
        assert!(shown.starts_with("number     +4915112345\nname       Andy\nhidden id  1@lid\n"), "{shown}");
        assert!(shown.contains("in use"), "{shown}");
        let gone = Account { state: AccountState::LoggedOut, ..account };
        assert!(describe(Some(&gone), false).contains("longshore whatsapp link"));
    }
}
