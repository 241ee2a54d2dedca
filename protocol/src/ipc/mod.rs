//! Agent → host: the files by which an agent asks for something, and what the host writes back.
//!
//! A file in `/workspace/ipc/messages` or `/workspace/ipc/tasks` holds one [`Petition`]. It is written
//! under another name and renamed to `<name>.json`; the host's [`Answer`] appears as
//! `/workspace/ipc/answers/<name>.json`. Names of fields and values are those of NanoClaw's file
//! protocol, so that prompts and skills written for it work; `timezone`, `misfire`, `overlap` and
//! `jitter_seconds` are this project's own.

mod answer;
pub mod example;
mod petition;
mod schedule;
mod snapshot;
#[cfg(test)]
mod tests;

pub use self::answer::Answer;
pub use self::petition::{Petition, RegisterGroup, ScheduleTask, SendMessage, TaskReference, Unreadable, UpdateTask};
pub use self::schedule::{ContextMode, Misfire, Overlap, ScheduleType, TaskStatus};
pub use self::snapshot::{AvailableGroup, AvailableGroups, TaskSnapshot};

/// The largest file that the host reads, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024;
/// The longest file name that the host takes, in bytes: what a name and the host's own endings need.
pub const MAX_NAME_BYTES: usize = 200;
/// The largest `jitter_seconds`.
pub const MAX_JITTER_SECONDS: u32 = 3600;
