//! What agents ask of the host: files in, answers out.
//!
//! [`mailbox`] reads a hostile directory, [`watch`] knows when to look, a [`Grant`] decides and does.

pub mod authorise;
pub mod grant;
pub mod mailbox;
pub mod refusal;
mod register;
pub mod snapshot;
pub mod watch;

use std::fmt;

use async_trait::async_trait;
use longshore_protocol::GroupId;
use longshore_protocol::ipc::{Answer, Petition};

use crate::store::StoreError;

/// Which of a group's folders a file lay in. It makes no difference to what may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Folder {
    /// `messages`.
    Messages,
    /// `tasks`.
    Tasks,
}

impl Folder {
    /// Both, in the order in which they are read.
    pub const ALL: [Self; 2] = [Self::Messages, Self::Tasks];

    /// The folder's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Tasks => "tasks",
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A file that holds a petition.
#[derive(Debug, Clone, PartialEq)]
pub struct PetitionFile {
    /// Where it lies.
    pub folder: Folder,
    /// Its name.
    pub name: String,
    /// What tells it from a later file of the same name: one that is met again after a crash is the same.
    pub identity: String,
    /// What it asks.
    pub petition: Petition,
}

/// Decides about petitions and does what they ask.
#[async_trait]
pub trait Grant: Send + Sync + 'static {
    /// Grants or refuses the group's files in their order; one answer for each. What is answered is
    /// recorded: the same file (by group, folder, name and identity) is given the same answer again
    /// and has no further effect.
    ///
    /// # Errors
    /// Nothing was done for any of them; they are to be tried again.
    async fn grant(&self, group: &GroupId, files: Vec<PetitionFile>) -> Result<Vec<Answer>, StoreError>;
}
