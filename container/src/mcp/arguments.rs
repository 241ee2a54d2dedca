//! The tools' arguments and the petitions that they become; pure.
//!
//! The descriptions are read by models: they say what a value looks like and what its absence means.

use longshore_protocol::TaskId;
use longshore_protocol::ipc::{self, ContextMode, MAX_JITTER_SECONDS, Misfire, Overlap, Petition, ScheduleType};
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema;

/// What a tool asks the host for.
pub trait Asks {
    /// The petition.
    ///
    /// # Errors
    /// Which argument is wrong, and how.
    fn petition(self) -> Result<Petition, String>;
}

/// `send_message`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = schema::plain)]
pub struct SendMessage {
    /// The message, in light Markdown.
    pub text: String,
    /// A role in whose name it is sent, such as "Researcher"; it is put in bold before the text. Leave it out to speak as yourself.
    pub sender: Option<String>,
    /// The chat to send it to. Leave it out for this group's own chat; only the main group may name another.
    pub chat_jid: Option<String>,
}

/// `schedule_task`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = schema::plain)]
pub struct ScheduleTask {
    /// What you will be told to do when the time comes. With context_mode `isolated` it must say everything that you need to know then.
    pub prompt: String,
    /// `cron` for certain times again and again, `interval` for every so many milliseconds, `once` for one time.
    #[schemars(schema_with = "schema::schedule_type")]
    pub schedule_type: ScheduleType,
    /// cron: five fields (minute hour day month weekday) in the group's time zone, such as "0 9 * * 1-5". interval: milliseconds, such as "3600000". once: a local time such as "2026-02-01T15:30:00", or one with an offset such as "2026-02-01T15:30:00+01:00".
    #[serde(deserialize_with = "schema::text_or_number")]
    #[schemars(with = "String")]
    pub schedule_value: String,
    /// `group` (the default) runs in this group's conversation, with what was said there; `isolated` starts fresh each time.
    #[serde(default)]
    #[schemars(schema_with = "schema::context_mode")]
    pub context_mode: Option<ContextMode>,
    /// The IANA time zone in which the times are meant, such as "Europe/Berlin". Leave it out for the group's.
    pub timezone: Option<String>,
    /// What becomes of times that passed while the host was off: `latest` (the default) runs the latest of them, `skip` none, `all` each.
    #[serde(default)]
    #[schemars(schema_with = "schema::misfire")]
    pub misfire: Option<Misfire>,
    /// What becomes of a time that comes while the last run still goes on: `skip` (the default) leaves it out, `queue` lets it wait.
    #[serde(default)]
    #[schemars(schema_with = "schema::overlap")]
    pub overlap: Option<Overlap>,
    /// Start up to so many seconds after the time, at random. 0 if left out.
    #[schemars(range(max = MAX_JITTER_SECONDS))]
    pub jitter_seconds: Option<u32>,
    /// The chat of the group whose task it becomes. Leave it out for this group; only the main group may name another.
    pub target_group_jid: Option<String>,
}

/// `pause_task`, `resume_task` and `cancel_task`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskReference {
    /// The task's id, as schedule_task and list_tasks say it.
    #[schemars(with = "String")]
    pub task_id: TaskId,
}

/// `update_task`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = schema::plain)]
pub struct UpdateTask {
    /// The task's id, as schedule_task and list_tasks say it.
    #[schemars(with = "String")]
    pub task_id: TaskId,
    /// What you will be told to do when the time comes.
    pub prompt: Option<String>,
    /// `cron`, `interval` or `once`, as in schedule_task. A new type needs a new schedule_value.
    #[serde(default)]
    #[schemars(schema_with = "schema::schedule_type")]
    pub schedule_type: Option<ScheduleType>,
    /// Its times, as in schedule_task.
    #[serde(default, deserialize_with = "schema::optional_text_or_number")]
    #[schemars(with = "Option<String>")]
    pub schedule_value: Option<String>,
    /// `group` or `isolated`, as in schedule_task.
    #[serde(default)]
    #[schemars(schema_with = "schema::context_mode")]
    pub context_mode: Option<ContextMode>,
    /// The IANA time zone in which the times are meant.
    pub timezone: Option<String>,
    /// What becomes of times that passed while the host was off, as in schedule_task.
    #[serde(default)]
    #[schemars(schema_with = "schema::misfire")]
    pub misfire: Option<Misfire>,
    /// What becomes of a time that comes while the last run still goes on, as in schedule_task.
    #[serde(default)]
    #[schemars(schema_with = "schema::overlap")]
    pub overlap: Option<Overlap>,
    /// Start up to so many seconds after the time, at random.
    #[schemars(range(max = MAX_JITTER_SECONDS))]
    pub jitter_seconds: Option<u32>,
}

/// `register_group`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = schema::plain)]
pub struct RegisterGroup {
    /// The chat's id, as /workspace/ipc/available_groups.json lists it.
    pub jid: String,
    /// The group's name, for people.
    pub name: String,
    /// A new folder's name: letters, digits, `-` and `_`, such as "family-chat".
    pub folder: String,
    /// The word with which people there call you, such as "@Andy". Leave it out for the usual one.
    pub trigger: Option<String>,
    /// false to answer every message there; true (the default) only those with the trigger.
    pub requires_trigger: Option<bool>,
    /// Which agent answers there: `claude` or `codex`. Leave it out for the usual one.
    pub provider: Option<String>,
    /// The IANA time zone of the people there, such as "Europe/Berlin". Leave it out for the usual one.
    pub timezone: Option<String>,
}

impl From<TaskReference> for ipc::TaskReference {
    fn from(reference: TaskReference) -> Self {
        Self { id: reference.task_id }
    }
}

impl Asks for SendMessage {
    fn petition(self) -> Result<Petition, String> {
        filled("text", &self.text)?;
        Ok(Petition::Message(ipc::SendMessage { chat: self.chat_jid, text: self.text, sender: self.sender }))
    }
}

impl Asks for ScheduleTask {
    fn petition(self) -> Result<Petition, String> {
        filled("prompt", &self.prompt)?;
        filled("schedule_value", &self.schedule_value)?;
        bounded(self.jitter_seconds)?;
        Ok(Petition::ScheduleTask(Box::new(ipc::ScheduleTask {
            id: None,
            prompt: self.prompt,
            schedule_type: self.schedule_type,
            schedule_value: self.schedule_value,
            // Said, because a file that does not say it means an isolated one.
            context_mode: Some(self.context_mode.unwrap_or(ContextMode::Group)),
            timezone: self.timezone,
            misfire: self.misfire,
            overlap: self.overlap,
            jitter_seconds: self.jitter_seconds,
            target: self.target_group_jid,
            group_folder: None,
            chat: None,
            script: None,
        })))
    }
}

impl Asks for UpdateTask {
    fn petition(self) -> Result<Petition, String> {
        bounded(self.jitter_seconds)?;
        let update = ipc::UpdateTask {
            id: self.task_id,
            prompt: self.prompt,
            schedule_type: self.schedule_type,
            schedule_value: self.schedule_value,
            context_mode: self.context_mode,
            timezone: self.timezone,
            misfire: self.misfire,
            overlap: self.overlap,
            jitter_seconds: self.jitter_seconds,
            script: None,
        };
        Ok(Petition::UpdateTask(Box::new(update)))
    }
}

impl Asks for RegisterGroup {
    fn petition(self) -> Result<Petition, String> {
        for (name, value) in [("jid", &self.jid), ("name", &self.name), ("folder", &self.folder)] {
            filled(name, value)?;
        }
        Ok(Petition::RegisterGroup(Box::new(ipc::RegisterGroup {
            jid: self.jid,
            name: self.name,
            folder: self.folder,
            trigger: self.trigger,
            requires_trigger: self.requires_trigger,
            provider: self.provider,
            timezone: self.timezone,
            container_config: None,
            is_main: None,
        })))
    }
}

fn filled(name: &str, value: &str) -> Result<(), String> {
    if value.trim().is_empty() { Err(format!("`{name}` is empty")) } else { Ok(()) }
}

fn bounded(jitter_seconds: Option<u32>) -> Result<(), String> {
    match jitter_seconds.filter(|seconds| *seconds > MAX_JITTER_SECONDS) {
        Some(seconds) => Err(format!("`jitter_seconds` is {seconds}; it is {MAX_JITTER_SECONDS} at most")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::schema::Arguments;
    use super::*;

    fn petition<T: Asks + serde::de::DeserializeOwned>(arguments: Value) -> Result<Value, String> {
        let read: Arguments<T> = serde_json::from_value(arguments).unwrap();
        read.0.and_then(Asks::petition).map(|petition| serde_json::to_value(petition).unwrap())
    }

    #[test]
    fn a_task_of_the_tool_belongs_to_the_groups_conversation_unless_told_otherwise() {
        let mut task = json!({"prompt": "p", "schedule_type": "once", "schedule_value": "2026-02-01T15:30:00"});
        let said = petition::<ScheduleTask>(task.clone()).unwrap();
        assert_eq!(
            said,
            json!({
                "type": "schedule_task", "prompt": "p", "schedule_type": "once",
                "schedule_value": "2026-02-01T15:30:00", "context_mode": "group"
            })
        );
        task["context_mode"] = json!("isolated");
        assert_eq!(petition::<ScheduleTask>(task).unwrap()["context_mode"], "isolated");
    }

    #[test]
    fn every_argument_has_its_place_in_the_file() {
        let task = json!({
            "prompt": "p", "schedule_type": "cron", "schedule_value": "0 9 * * *", "context_mode": "isolated",
            "timezone": "Europe/Berlin", "misfire": "all", "overlap": "queue", "jitter_seconds": 3600,
            "target_group_jid": "a@g.us"
        });
        let update = json!({
            "task_id": "task-1-a", "prompt": "p", "schedule_type": "interval", "schedule_value": "60000",
            "context_mode": "group", "timezone": "UTC", "misfire": "skip", "overlap": "skip", "jitter_seconds": 1
        });
        let group = json!({
            "jid": "a@g.us", "name": "A", "folder": "a", "trigger": "@Andy", "requires_trigger": false,
            "provider": "codex", "timezone": "UTC"
        });
        let message = json!({"text": "hi", "sender": "Researcher", "chat_jid": "a@g.us"});
        insta::assert_snapshot!([
            petition::<SendMessage>(message),
            petition::<ScheduleTask>(task),
            petition::<UpdateTask>(update),
            petition::<RegisterGroup>(group),
        ]
        .map(|petition| petition.unwrap().to_string())
        .join("\n"), @r#"
        {"type":"message","chatJid":"a@g.us","text":"hi","sender":"Researcher"}
        {"type":"schedule_task","prompt":"p","schedule_type":"cron","schedule_value":"0 9 * * *","context_mode":"isolated","timezone":"Europe/Berlin","misfire":"all","overlap":"queue","jitter_seconds":3600,"targetJid":"a@g.us"}
        {"type":"update_task","taskId":"task-1-a","prompt":"p","schedule_type":"interval","schedule_value":"60000","context_mode":"group","timezone":"UTC","misfire":"skip","overlap":"skip","jitter_seconds":1}
        {"type":"register_group","jid":"a@g.us","name":"A","folder":"a","trigger":"@Andy","requiresTrigger":false,"provider":"codex","timezone":"UTC"}
        "#);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let task = |prompt: &str, jitter: u32| json!({"prompt": prompt, "schedule_type": "cron", "schedule_value": "* * * * *", "jitter_seconds": jitter});
        let of = |result: Result<Value, String>| result.unwrap_err();
        assert_eq!(of(petition::<SendMessage>(json!({"text": " \n"}))), "`text` is empty");
        assert_eq!(of(petition::<ScheduleTask>(task("", 0))), "`prompt` is empty");
        let error = of(petition::<ScheduleTask>(task("p", 3601)));
        assert_eq!(error, "`jitter_seconds` is 3601; it is 3600 at most");
        assert_eq!(
            of(petition::<RegisterGroup>(json!({"jid": "a@g.us", "name": "A", "folder": ""}))),
            "`folder` is empty"
        );
    }
}
