//! One petition of each kind, as the documentation and the agents' instructions show them.

use serde_json::Value;

use super::{ContextMode, Petition, RegisterGroup, ScheduleTask, ScheduleType, SendMessage, TaskReference, UpdateTask};

/// The chat in the examples.
pub const CHAT: &str = "120363336345536173@g.us";

/// A message to `chat`.
#[must_use]
pub fn message(chat: &str) -> Petition {
    Petition::Message(SendMessage {
        chat: Some(chat.to_owned()),
        text: "The report is ready.".to_owned(),
        sender: None,
    })
}

/// A daily task of the group that serves `chat`.
#[must_use]
pub fn schedule(chat: &str) -> Petition {
    Petition::ScheduleTask(Box::new(ScheduleTask {
        id: None,
        prompt: "Say good morning.".to_owned(),
        schedule_type: ScheduleType::Cron,
        schedule_value: "0 9 * * *".to_owned(),
        context_mode: Some(ContextMode::Group),
        timezone: None,
        misfire: None,
        overlap: None,
        jitter_seconds: None,
        target: Some(chat.to_owned()),
        group_folder: None,
        chat: None,
        script: None,
    }))
}

/// Pauses the task.
#[must_use]
pub fn pause(task: &str) -> Option<Petition> {
    task.parse().ok().map(|id| Petition::PauseTask(TaskReference { id }))
}

/// Registers a chat.
#[must_use]
pub fn register() -> Petition {
    Petition::RegisterGroup(Box::new(RegisterGroup {
        jid: "120363021234567890@g.us".to_owned(),
        name: "Book Club".to_owned(),
        folder: "book-club".to_owned(),
        trigger: Some("@Andy".to_owned()),
        requires_trigger: None,
        provider: None,
        timezone: None,
        container_config: None,
        is_main: None,
    }))
}

/// One of each kind.
#[must_use]
pub fn all() -> Vec<Petition> {
    let Ok(id) = "task-1767225600000-k3x9qa".parse::<crate::TaskId>() else { return Vec::new() };
    let reference = TaskReference { id: id.clone() };
    vec![
        message(CHAT),
        schedule(CHAT),
        Petition::PauseTask(reference.clone()),
        Petition::ResumeTask(reference.clone()),
        Petition::CancelTask(reference),
        Petition::UpdateTask(Box::new(UpdateTask {
            id,
            prompt: None,
            schedule_type: Some(ScheduleType::Interval),
            schedule_value: Some("3600000".to_owned()),
            context_mode: None,
            timezone: None,
            misfire: None,
            overlap: None,
            jitter_seconds: None,
            script: None,
        })),
        Petition::RefreshGroups {},
        register(),
    ]
}

/// The petition as one line of JSON.
#[must_use]
pub fn line(petition: &Petition) -> String {
    serde_json::to_value(petition).unwrap_or(Value::Null).to_string()
}
