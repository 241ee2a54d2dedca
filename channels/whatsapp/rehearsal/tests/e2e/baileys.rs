//! The same with a client by others as the person: its own handshake, codec and encryption. What ours and the
//! fake server share in mistakes would show here. Runs where Node.js and the package are installed: `make test`
//! installs it where npm is.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use longshore_protocol::channel::AdapterCommand;
use longshore_whatsapp_fake::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::rig::{GROUP, HANA, Rig};

/// A person by another client.
pub(crate) struct Peer {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn start(rig: &Rig, folder: &Path) -> Result<Self> {
        let root: String = rig.server.root_key().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut child = Command::new("node")
            .arg("peer.mjs")
            .arg(rig.server.url())
            .arg(root)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        Ok(Self { _child: child, stdin, lines })
    }

    /// Starts one and links it to Hana's account.
    pub(crate) async fn join(rig: &Rig, folder: &Path) -> Result<Self> {
        let mut peer = Self::start(rig, folder)?;
        let code = peer.hears("a code", |event| event["qr"].as_str().map(str::to_owned)).await?;
        rig.server.scan(HANA, &code)?;
        peer.hears("the connection", |event| event["open"].as_bool()).await?;
        Ok(peer)
    }

    pub(crate) async fn hears<T>(&mut self, what: &str, mut take: impl FnMut(&Value) -> Option<T>) -> Result<T> {
        let next = async {
            while let Some(line) = self.lines.next_line().await? {
                let event: Value = serde_json::from_str(&line)?;
                if let Some(taken) = take(&event) {
                    return Ok(taken);
                }
                if event.get("error").is_some() || event.get("closed").is_some() {
                    bail!("the peer failed: {event}");
                }
            }
            bail!("the peer has ended")
        };
        timeout(PATIENCE, next).await.with_context(|| format!("the peer waited in vain for {what}"))?
    }

    pub(crate) async fn say(&mut self, chat: &str, content: Value) -> Result<String> {
        let line = format!("{}\n", json!({ "send": chat, "content": content }));
        self.stdin.write_all(line.as_bytes()).await?;
        self.hears("what it sent", |event| event["sent"].as_str().map(str::to_owned)).await
    }
}

/// Where the client is; without Node.js or the package it says so, and there is none.
pub(crate) async fn folder() -> Option<&'static Path> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/baileys"));
    let has_node = Command::new("node").arg("--version").output().await.is_ok_and(|output| output.status.success());
    if has_node && folder.join("node_modules/baileys").is_dir() {
        return Some(folder);
    }
    eprintln!("left out: it needs Node.js, and `npm ci` in `channels/whatsapp/tests/baileys`");
    None
}

async fn a_conversation(is_hidden: bool, folder: &Path) -> Result<()> {
    let rig = Rig::new(is_hidden).await?;
    rig.link().await?;
    let mut peer = Peer::join(&rig, folder).await?;
    let mut host = rig.up().await?;
    // Twice: the second time without new keys.
    for round in ["first", "second"] {
        let id = peer.say(GROUP, json!({ "text": format!("{round} from another client") })).await?;
        let heard = host.message().await?;
        assert_eq!((heard.id.as_str(), heard.text), (&*id, format!("{round} from another client")));
        assert_eq!(heard.sender_name, "Hana");
        host.say(&AdapterCommand::Typing { chat: GROUP.into(), on: true }).await?;
        peer.hears("typing", |event| (event["presence"] == "composing").then_some(())).await?;
        let answer = host.sends(GROUP, &format!("**{round}** answer"), Some(&id)).await?;
        let message = peer
            .hears("the answer", |event| (event["message"]["id"] == answer.as_str()).then(|| event["message"].clone()));
        let message = message.await?;
        assert_eq!(message["text"], format!("*{round}* answer"));
        assert_eq!(message["quoted"], format!("{round} from another client"));
        host.say(&AdapterCommand::Typing { chat: GROUP.into(), on: false }).await?;
    }
    host.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_by_others_understands_us_and_we_it() -> Result<()> {
    let Some(folder) = folder().await else { return Ok(()) };
    for is_hidden in [false, true] {
        a_conversation(is_hidden, folder).await?;
    }
    Ok(())
}
