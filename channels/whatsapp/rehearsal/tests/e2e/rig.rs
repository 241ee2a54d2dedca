//! A server, a person, and the adapter with the test as its host.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use longshore_protocol::channel::{AdapterCommand, AdapterEvent, ChatMessage, LinkState};
use longshore_whatsapp_fake::person::Person;
use longshore_whatsapp_fake::{FakeServer, PATIENCE};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use whatsapp_rust::Jid;

pub(crate) const BOT: &str = "15550001111";
pub(crate) const BOT_HIDDEN: &str = "100000000000001";
pub(crate) const HANA: &str = "15550002222";
pub(crate) const HANA_HIDDEN: &str = "100000000000002";
pub(crate) const GROUP: &str = "120363000000000001@g.us";

/// The server with two accounts in one group, and the adapter's folder.
pub(crate) struct Rig {
    pub(crate) server: Arc<FakeServer>,
    pub(crate) data: TempDir,
}

impl Rig {
    /// Nobody is linked yet.
    pub(crate) async fn new(is_hidden: bool) -> Result<Self> {
        let server = FakeServer::start().await?;
        server.add_account(BOT, BOT_HIDDEN, "Andy")?;
        server.add_account(HANA, HANA_HIDDEN, "Hana")?;
        server.add_group("120363000000000001", "Family", &[HANA, BOT], is_hidden);
        Ok(Self { server, data: TempDir::new()? })
    }

    /// The adapter is linked, and the person is there.
    pub(crate) async fn linked(is_hidden: bool) -> Result<(Self, Person)> {
        let rig = Self::new(is_hidden).await?;
        rig.link().await?;
        let hana = Person::join(&rig.server, HANA).await?;
        Ok((rig, hana))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--data").arg(self.data.path()).arg("--server").arg(self.server.url()).args(arguments);
        command.kill_on_drop(true);
        command
    }

    /// Runs a command to its end; what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let output = timeout(PATIENCE, self.command(arguments).output()).await??;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// Links the adapter by a code that is typed into the phone.
    pub(crate) async fn link(&self) -> Result<String> {
        let mut child = self.command(&["link", "--phone", BOT]).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let mut said = String::new();
        while let Some(line) = timeout(PATIENCE, lines.next_line()).await?? {
            if let Some(code) = line.strip_prefix("Code: ") {
                self.server.type_code(BOT, code)?;
            }
            said.push_str(&line);
            said.push('\n');
        }
        anyhow::ensure!(child.wait().await?.success(), "it could not link: {said}");
        Ok(said)
    }

    /// Starts the adapter; it may send as fast as it likes.
    pub(crate) async fn start(&self) -> Result<Host> {
        self.start_with(&["--chat-gap", "0", "--per-minute", "60000"]).await
    }

    pub(crate) async fn start_with(&self, arguments: &[&str]) -> Result<Host> {
        Host::start(self.command(arguments))
    }

    /// Starts the adapter and waits until it is connected and has listed its group.
    pub(crate) async fn up(&self) -> Result<Host> {
        let mut host = self.start().await?;
        host.state(LinkState::Up).await?;
        host.hear("the group", |event| matches!(event, AdapterEvent::Chat { .. }).then_some(())).await?;
        Ok(host)
    }

    pub(crate) fn group(&self) -> Jid {
        GROUP.parse().unwrap()
    }
}

/// The adapter as it was built with this program: a test is told where, and an example lies in a folder beside.
fn program() -> PathBuf {
    let beside = || {
        let this = std::env::current_exe().unwrap();
        this.ancestors().nth(2).unwrap().join("longshore-whatsapp-rehearsal")
    };
    option_env!("CARGO_BIN_EXE_longshore-whatsapp-rehearsal").map_or_else(beside, PathBuf::from)
}

/// The host's side of a running adapter.
pub(crate) struct Host {
    pub(crate) child: Child,
    stdin: Arc<Mutex<Option<ChildStdin>>>,
    events: mpsc::UnboundedReceiver<AdapterEvent>,
    storing: Arc<AtomicBool>,
    next_row: i64,
}

impl Host {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let stdin = Arc::new(Mutex::new(Some(child.stdin.take().context("no stdin")?)));
        let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        let (told, events) = mpsc::unbounded_channel();
        let storing = Arc::new(AtomicBool::new(true));
        let (way, stores) = (stdin.clone(), storing.clone());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let event: AdapterEvent =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("`{line}` is no line: {error}"));
                if stores.load(Ordering::SeqCst)
                    && let Some(ack) = ack(&event)
                {
                    let _ = write(&way, &ack).await;
                }
                if told.send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, stdin, events, storing, next_row: 1 })
    }

    /// From now on what comes is stored, or is not.
    pub(crate) fn store(&self, storing: bool) {
        self.storing.store(storing, Ordering::SeqCst);
    }

    pub(crate) async fn say(&self, command: &AdapterCommand) -> Result<()> {
        write(&self.stdin, command).await
    }

    pub(crate) async fn say_line(&self, line: &str) -> Result<()> {
        let mut stdin = self.stdin.lock().await;
        stdin.as_mut().context("it is closed")?.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        *self.stdin.lock().await = None;
    }

    /// Asks for a text to be sent; the row and the message's id.
    pub(crate) async fn send(&mut self, chat: &str, text: &str, reply_to: Option<&str>) -> Result<(i64, String)> {
        let outbox_id = self.next_row;
        self.next_row += 1;
        let message_id = format!("01999AAA0000700080000000{outbox_id:08}");
        self.say(&AdapterCommand::Send {
            outbox_id,
            chat: chat.to_owned(),
            text: text.to_owned(),
            message_id: message_id.clone(),
            reply_to: reply_to.map(str::to_owned),
        })
        .await?;
        Ok((outbox_id, message_id))
    }

    /// Asks for a text to be sent and waits until the server has it.
    pub(crate) async fn sends(&mut self, chat: &str, text: &str, reply_to: Option<&str>) -> Result<String> {
        let (row, id) = self.send(chat, text, reply_to).await?;
        self.sent(row).await?;
        Ok(id)
    }

    pub(crate) async fn sent(&mut self, row: i64) -> Result<()> {
        self.hear("an answer", |event| match event {
            AdapterEvent::Sent { outbox_id, .. } if *outbox_id == row => Some(Ok(())),
            AdapterEvent::SendFailed { outbox_id, error, .. } if *outbox_id == row => Some(Err(error.clone())),
            AdapterEvent::SendLater { outbox_id, reason } if *outbox_id == row => Some(Err(reason.clone())),
            _ => None,
        })
        .await?
        .map_err(anyhow::Error::msg)
    }

    /// The next line from which something can be taken; those before it are skipped.
    pub(crate) async fn hear<T>(&mut self, what: &str, mut take: impl FnMut(&AdapterEvent) -> Option<T>) -> Result<T> {
        let next = async {
            while let Some(event) = self.events.recv().await {
                if let Some(taken) = take(&event) {
                    return Ok(taken);
                }
            }
            bail!("the adapter has ended; the host waited for {what}")
        };
        timeout(PATIENCE, next).await.with_context(|| format!("the host waited in vain for {what}"))?
    }

    pub(crate) async fn state(&mut self, wanted: LinkState) -> Result<String> {
        self.hear(&format!("{wanted:?}"), |event| match event {
            AdapterEvent::Status { state, detail } if *state == wanted => Some(detail.clone().unwrap_or_default()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn message(&mut self) -> Result<ChatMessage> {
        self.hear("a message", |event| match event {
            AdapterEvent::Message(message) => Some(message.as_ref().clone()),
            _ => None,
        })
        .await
    }

    /// The texts that came and were not heard, until the adapter's end.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(event) = self.events.recv().await {
            if let AdapterEvent::Message(message) = event {
                texts.push(message.text);
            }
        }
        texts
    }

    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Asks the adapter to end and sees that it does so in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.say(&AdapterCommand::Stop).await?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("it does not end")??;
        anyhow::ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

/// What the host answers once it has stored a line.
fn ack(event: &AdapterEvent) -> Option<AdapterCommand> {
    let (chat, sender, id) = match event {
        AdapterEvent::Message(message) => (&message.chat, &message.sender, &message.id),
        AdapterEvent::Edit(edit) => (&edit.chat, &edit.sender, &edit.id),
        AdapterEvent::Delete(deletion) => (&deletion.chat, &deletion.sender, &deletion.id),
        _ => return None,
    };
    Some(AdapterCommand::Ack { chat: chat.clone(), sender: sender.clone(), id: id.clone() })
}

async fn write(stdin: &Mutex<Option<ChildStdin>>, command: &AdapterCommand) -> Result<()> {
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    let mut stdin = stdin.lock().await;
    stdin.as_mut().context("it is closed")?.write_all(&line).await?;
    Ok(())
}
