//! The agent's side of the mailbox: writes a petition, waits for the host's answer.
//!
//! A petition appears whole under its final name, or not at all. Within one process names sort in the
//! order of writing, which is the order in which the host takes them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_protocol::ipc::{Answer, MAX_FILE_BYTES, Petition};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{clock, regular};

/// How soon the answer is looked for first, and how seldom at last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum MailboxError {
    /// The host knows nothing of it.
    #[error("{0}")]
    NotWritten(String),
    /// The host may have done it, or may do it yet.
    #[error("the request lies in `{}`, and {reason}", path.display())]
    Unanswered {
        /// The petition.
        path: PathBuf,
        /// What is amiss with the answer.
        reason: String,
    },
}

/// One mailbox, as the agent sees it.
#[derive(Debug)]
pub struct Mailbox {
    directory: PathBuf,
    limit: Duration,
    /// The time in the last name, in milliseconds since 1970.
    last: Arc<Mutex<u64>>,
}

impl Mailbox {
    /// The mailbox in `directory`, which holds `messages`, `tasks` and `answers`; an answer is waited for
    /// as long as `limit`.
    #[must_use]
    pub fn new(directory: PathBuf, limit: Duration) -> Self {
        Self { directory, limit, last: Arc::default() }
    }

    /// Writes the petition and waits for what the host says to it.
    ///
    /// # Errors
    /// [`MailboxError`]: it could not be written, or no answer came.
    pub async fn ask(&self, petition: &Petition) -> Result<Answer, MailboxError> {
        let line = serde_json::to_vec(petition)
            .map_err(|error| MailboxError::NotWritten(format!("it cannot be put as JSON: {error}")))?;
        if line.len() > MAX_FILE_BYTES {
            let text = format!("it takes {} bytes, and the host reads {MAX_FILE_BYTES} at most", line.len());
            return Err(MailboxError::NotWritten(text));
        }
        let folder = self.directory.join(match petition {
            Petition::Message(_) => "messages",
            _ => "tasks",
        });
        let name = self.write(folder.clone(), line).await?;
        self.answer(&name).await.map_err(|reason| MailboxError::Unanswered { path: folder.join(name), reason })
    }

    /// Writes a file into `folder`; its name.
    async fn write(&self, folder: PathBuf, line: Vec<u8>) -> Result<String, MailboxError> {
        // Whoever asked first is let in first, and holds it until the file has its name, even when the
        // call is given up: so names are in the order of writing.
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let put = move || {
            *last = clock::unix_milliseconds().max(*last + 1);
            let name = format!("{:013}-{}.json", *last, &Uuid::new_v4().simple().to_string()[..8]);
            put(&folder, &name, &line).map(|()| name).map_err(|error| {
                MailboxError::NotWritten(format!("the request cannot be written into `{}`: {error}", folder.display()))
            })
        };
        // A shared folder that hangs must not hold up what else the agent asks.
        tokio::task::spawn_blocking(put)
            .await
            .map_err(|_| MailboxError::NotWritten("the request could not be written".to_owned()))?
    }

    /// What the host says to the file of that name; otherwise why there is nothing.
    ///
    /// Looks again and again, because inotify does not cross the shared folders of every engine: where
    /// containers run in a virtual machine, what the host writes raises no event inside.
    async fn answer(&self, name: &str) -> Result<Answer, String> {
        let path = self.directory.join("answers").join(name);
        let (deadline, mut pause) = (Instant::now() + self.limit, LOOKS.0);
        loop {
            let looked = path.clone();
            let found = tokio::task::spawn_blocking(move || read(&looked)).await;
            let trouble = match found {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) => trouble,
                Err(_) => Some("its answer cannot be read".to_owned()),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(trouble.unwrap_or_else(|| format!("no answer came within {:?}", self.limit)));
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOOKS.1);
        }
    }
}

/// Writes a file that appears whole under its name or leaves nothing behind.
fn put(folder: &Path, name: &str, line: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!("{name}.tmp"));
    std::fs::write(&draft, line).and_then(|()| std::fs::rename(&draft, folder.join(name))).inspect_err(|_| {
        // A draft that stays is never read.
        let _ = std::fs::remove_file(&draft);
    })
}

/// The answer in this file, or what is amiss with it; nothing where there is none yet.
fn read(path: &Path) -> Result<Answer, Option<String>> {
    let limit = MAX_FILE_BYTES as u64;
    let bytes = regular::read(path, limit).map_err(|error| {
        (error.kind() != io::ErrorKind::NotFound).then(|| format!("its answer cannot be opened: {error}"))
    })?;
    // It may still be being written where a rename is not seen as one.
    serde_json::from_slice(&bytes).map_err(|error| Some(format!("its answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use longshore_protocol::ipc::{SendMessage, example};
    use tempfile::TempDir;

    use super::*;

    fn mailbox(limit: Duration) -> (TempDir, Mailbox) {
        let directory = TempDir::new().unwrap();
        for name in ["messages", "tasks", "answers"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let mailbox = Mailbox::new(directory.path().to_owned(), limit);
        (directory, mailbox)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn names_sort_in_the_order_of_writing() {
        let (directory, mailbox) = mailbox(Duration::ZERO);
        let asked = (0..50).map(|number| {
            let petition =
                Petition::Message(SendMessage { chat: None, text: format!("message {number:02}"), sender: None });
            let mailbox = &mailbox;
            async move { mailbox.ask(&petition).await.unwrap_err() }
        });
        // All at once, as a CLI may call its tools.
        let mut waiting: Vec<_> = asked.map(Box::pin).collect();
        std::future::poll_fn(|context| {
            waiting.retain_mut(|one| one.as_mut().poll(context).is_pending());
            if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        let folder = directory.path().join("messages");
        let texts: Vec<String> = names(&folder)
            .iter()
            .map(|name| match Petition::read(&fs::read(folder.join(name)).unwrap()).unwrap() {
                Petition::Message(message) => message.text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, (0..50).map(|number| format!("message {number:02}")).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn each_kind_has_its_folder() {
        let (directory, mailbox) = mailbox(Duration::ZERO);
        for petition in example::all() {
            mailbox.ask(&petition).await.unwrap_err();
        }
        assert_eq!(names(&directory.path().join("messages")).len(), 1);
        assert_eq!(names(&directory.path().join("tasks")).len(), Petition::TYPES.len() - 1);
    }

    #[tokio::test]
    async fn what_the_host_would_not_read_is_not_written() {
        let (directory, mailbox) = mailbox(Duration::ZERO);
        let message = SendMessage { chat: None, text: "x".repeat(MAX_FILE_BYTES), sender: None };
        let error = mailbox.ask(&Petition::Message(message)).await.unwrap_err();
        assert!(matches!(&error, MailboxError::NotWritten(text) if text.contains("65536 at most")), "{error}");
        assert!(names(&directory.path().join("messages")).is_empty());
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let (directory, mailbox) = mailbox(Duration::from_secs(60));
        fs::remove_dir(directory.path().join("tasks")).unwrap();
        let error = mailbox.ask(&example::schedule("a@g.us")).await.unwrap_err();
        assert!(matches!(&error, MailboxError::NotWritten(text) if text.contains("/tasks`: ")), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_answer_is_told_apart_from_none() {
        for (content, says) in [(None, "no answer came within 0ns"), (Some("{\"ok\":"), "its answer cannot be read")] {
            let (directory, mailbox) = mailbox(Duration::ZERO);
            let name = "1-a.json";
            if let Some(content) = content {
                fs::write(directory.path().join("answers").join(name), content).unwrap();
            }
            let reason = mailbox.answer(name).await.unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }
}
