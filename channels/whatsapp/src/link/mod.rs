//! Linking an account: a QR code to scan or a code to type, and a passkey if the platform asks for one.

mod code;
mod passkey;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::timeout;
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::prelude::*;

use crate::account::number;
use crate::data::{AccountState, Data, Lock};
use crate::hook::NotNow;
use crate::news::{self, News};
use crate::session::{self, Endpoint, Session};

/// How many times codes are asked for anew; one time is some three minutes.
const ROUNDS: usize = 5;
/// From the pairing to the first connection. The phone may take its time to share its keys.
const FIRST_CONNECTION: Duration = Duration::from_secs(60);

/// `longshore-whatsapp link`.
#[derive(Debug, clap::Args)]
pub struct LinkArgs {
    /// Also write the QR code to this file, as PNG.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// Link by a code that is typed on the phone with this number, such as `+49151…`.
    #[arg(long, value_name = "NUMBER", conflicts_with = "png")]
    phone: Option<String>,
    /// If WhatsApp asks for a passkey: the file that will hold the browser's answer. Otherwise it is pasted here.
    #[arg(long, value_name = "FILE")]
    passkey_file: Option<PathBuf>,
}

/// What one client's attempt came to.
enum Attempt {
    Linked,
    /// Its codes are used up.
    Again,
}

/// Links an account.
///
/// # Errors
/// One is linked already, nobody scanned, or the platform refused.
pub async fn link(args: LinkArgs, endpoint: &Endpoint, data: &Data) -> anyhow::Result<()> {
    let phone = args.phone.as_deref().map(digits).transpose()?;
    // An adapter that has no link leaves the folder at once, but it may be about to look.
    let lock = data.lock()?.context("a running adapter uses a link in this folder; stop the host first")?;
    match data.account()? {
        Some(account) if account.state == AccountState::Linked => {
            bail!("{} is linked already; `longshore whatsapp unlink` removes that", number(&account.phone));
        }
        // Keys of a link that was removed, or of an attempt that was cut off, link nothing any more.
        _ => data.forget(&lock)?,
    }
    for round in 1..=ROUNDS {
        match attempt(&args, phone.as_deref(), endpoint, data, &lock).await? {
            Attempt::Linked => return Ok(()),
            Attempt::Again if round < ROUNDS => say("Nobody has used the code in time; here are new ones.")?,
            Attempt::Again => {}
        }
        data.forget(&lock)?;
    }
    bail!("nobody has used a code in time; run it again when the phone is at hand")
}

async fn attempt(
    args: &LinkArgs,
    phone: Option<&str>,
    endpoint: &Endpoint,
    data: &Data,
    lock: &Lock,
) -> anyhow::Result<Attempt> {
    let pair = phone.map(|phone| PairCodeOptions { phone_number: phone.to_owned(), ..Default::default() });
    let mut session = Session::start(endpoint, data, lock, NotNow, pair).await?;
    let attempted = follow(args, phone.is_some(), &mut session).await;
    if let Ok(Attempt::Linked) = attempted
        && let Some(account) = session::account(&session.client)
    {
        let groups = timeout(FIRST_CONNECTION, session::groups(&session.client)).await;
        if let Ok(Ok(groups)) = groups {
            data.set_groups(&groups)?;
        }
        session.end().await;
        // Last: from now on a running adapter takes the link over.
        data.set_account(&account)?;
        let name = if account.name.is_empty() { String::new() } else { format!(" ({})", account.name) };
        say(&format!("Linked: {}{name}.", number(&account.phone)))?;
        return Ok(Attempt::Linked);
    }
    session.end().await;
    attempted
}

/// Shows what the platform offers until it is used.
async fn follow(args: &LinkArgs, by_code: bool, session: &mut Session) -> anyhow::Result<Attempt> {
    loop {
        let event = tokio::select! {
            event = session.events.recv() => event.context("the client has ended")?,
            () = &mut session.running => return Ok(Attempt::Again),
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        };
        match &*event {
            Event::PairingQrCode(qr) if !by_code => {
                let shown = code::terminal(&qr.code)?;
                if let Some(path) = &args.png {
                    code::png(&qr.code, path).with_context(|| format!("`{}` cannot be written", path.display()))?;
                }
                let seconds = qr.timeout.as_secs();
                say(&format!(
                    "{shown}\nOn the phone: WhatsApp → Settings → Linked devices → Link a device. Valid for {seconds} s."
                ))?;
            }
            Event::PairingCode(code) => {
                let shown = &code.code;
                say(&format!(
                    "Code: {shown}\nOn the phone: WhatsApp → Settings → Linked devices → Link a device → Link with phone number instead."
                ))?;
            }
            Event::PairingCodeRefresh(_) => return Ok(Attempt::Again),
            Event::PairingCodeError(error) => {
                let wait = error.backoff.map_or_else(String::new, |wait| format!("; wait {} s", wait.as_secs()));
                bail!("WhatsApp gives no code: {}{wait}; try without `--phone`", error.error);
            }
            Event::PairingQrCodesExhausted(_) => return Ok(Attempt::Again),
            Event::PairPasskeyRequest(request) => {
                let assertion = passkey::obtain(&request.request_options_json, args.passkey_file.as_deref()).await?;
                session.client.send_passkey_response(assertion).await.context("WhatsApp refused the passkey")?;
            }
            Event::PairPasskeyConfirmation(confirmation) => {
                if !confirmation.skip_handoff_ux {
                    passkey::confirm(&confirmation.code).await?;
                }
                session.client.send_passkey_confirmation().await.context("WhatsApp refused the confirmation")?;
            }
            Event::PairPasskeyError(error) => bail!("WhatsApp refused the passkey: {}", error.error),
            Event::PairSuccess(_) => {
                say("Scanned; finishing. This may take some seconds.")?;
                return finish(session).await;
            }
            Event::PairError(error) => bail!("the pairing failed: {}", error.error),
            event => refuse(event)?,
        }
    }
}

/// Waits for the first connection, without which the keys are good for nothing.
async fn finish(session: &mut Session) -> anyhow::Result<Attempt> {
    let client: Arc<Client> = session.client.clone();
    tokio::select! {
        connected = client.wait_for_connected(FIRST_CONNECTION) => {
            connected.context("the phone has not finished the pairing in time")?;
            Ok(Attempt::Linked)
        }
        refused = async {
            while let Ok(event) = session.events.recv().await {
                refuse(&event)?;
            }
            bail!("the client has ended")
        } => refused,
    }
}

fn refuse(event: &Event) -> anyhow::Result<()> {
    match news::read(event) {
        Some(News::Over(over)) => bail!("{}", over.detail),
        _ => Ok(()),
    }
}

/// A phone number as the platform wants it: digits only, with the country.
fn digits(phone: &str) -> anyhow::Result<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let rest_is_filling = phone.chars().all(|character| character.is_ascii_digit() || " +-()/.".contains(character));
    if !rest_is_filling || !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
        bail!("`{phone}` is no phone number with its country, such as `+49 151 23456789`");
    }
    Ok(digits)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_country() {
        for phone in ["+49 151 234-567", "49151234567", "+49 (151) 234/567"] {
            assert_eq!(digits(phone).unwrap(), "49151234567", "{phone}");
        }
        for phone in ["0151 234567", "", "+49", "call me 4915123456", "+491512345678901234"] {
            assert!(digits(phone).is_err(), "{phone}");
        }
    }
}
