//! A conversation over the control socket, as `longshore chat` has it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::Installation;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal that is attached to a group's chat.
pub struct Talk {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Talk {
    /// Attaches to a group's chat.
    ///
    /// # Errors
    /// No host runs, or it has no such group.
    pub fn attach(installation: &Installation, group: &str) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(installation.path("data/host.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut talk = Self { reader: BufReader::new(stream.try_clone()?), writer: stream };
        talk.tell(&json!({ "type": "attach", "group": group }))?;
        talk.until("attached")?;
        Ok(talk)
    }

    /// Says something; returns when it is stored.
    ///
    /// # Errors
    /// The host has gone, or refuses it.
    pub fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.tell(&json!({ "type": "say", "text": text }))?;
        self.until("accepted").map(drop)
    }

    /// The next text that comes into the chat.
    ///
    /// # Errors
    /// The host has gone, or nothing came for a minute.
    pub fn hear(&mut self) -> anyhow::Result<String> {
        let line = self.until("text")?;
        Ok(line["text"].as_str().context("a text line has a text")?.to_owned())
    }

    /// One turn that is answered with an echo: the time from saying to hearing, in ms. Its end is waited
    /// for and not counted.
    ///
    /// # Errors
    /// The host has gone, or says something else.
    pub fn turn(&mut self) -> anyhow::Result<f64> {
        let begin = Instant::now();
        self.tell(&json!({ "type": "say", "text": "hello" }))?;
        let text = self.hear()?;
        let elapsed = begin.elapsed().as_secs_f64() * 1000.0;
        ensure!(text.contains("You said"), "not the echo: {text}");
        self.until("ended")?;
        Ok(elapsed)
    }

    /// The next line of a kind; others are skipped.
    ///
    /// # Errors
    /// The host has gone, or sends an error.
    pub fn until(&mut self, kind: &str) -> anyhow::Result<Value> {
        loop {
            let mut line = String::new();
            ensure!(self.reader.read_line(&mut line)? > 0, "the host has gone");
            let line: Value = serde_json::from_str(&line)?;
            ensure!(line["type"] != "error", "the host says {line}");
            if line["type"] == kind {
                return Ok(line);
            }
        }
    }

    fn tell(&mut self, line: &Value) -> anyhow::Result<()> {
        Ok(writeln!(self.writer, "{line}")?)
    }
}
