//! The tools.

use std::io;
use std::path::PathBuf;

use longshore_protocol::ipc::{Petition, TaskSnapshot};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

use super::arguments::{Asks, RegisterGroup, ScheduleTask, SendMessage, TaskReference, UpdateTask};
use super::schema::Arguments;
use super::{Audience, words};
use crate::mailbox::Mailbox;
use crate::regular;

/// The largest list of tasks that is read, in bytes.
const MAX_LIST_BYTES: u64 = 4 * 1024 * 1024;

/// The tools of one group.
#[derive(Debug)]
pub struct Tools {
    mailbox: Mailbox,
    tasks: PathBuf,
    router: ToolRouter<Self>,
}

#[tool_handler(router = self.router, name = "longshore")]
impl ServerHandler for Tools {}

#[tool_router(router = every_group, vis = "")]
impl Tools {
    /// Send a message to the chat at once, while you go on working: to say how far you are, or to send several messages. Your answer at the end of the turn is sent anyway; do not send it by this tool too.
    #[tool(annotations(destructive_hint = false, open_world_hint = true))]
    async fn send_message(&self, Parameters(arguments): Parameters<Arguments<SendMessage>>) -> CallToolResult {
        self.ask(arguments.0.and_then(Asks::petition)).await
    }

    /// Have a prompt run later, once or again and again. You run it then with all your tools, and what you say goes to the chat. Says the task's id and its next times, or why it cannot be.
    #[tool(annotations(destructive_hint = false, open_world_hint = false))]
    async fn schedule_task(&self, Parameters(arguments): Parameters<Arguments<ScheduleTask>>) -> CallToolResult {
        self.ask(arguments.0.and_then(Asks::petition)).await
    }

    /// List the scheduled tasks with their ids, times and states. The main group sees those of all groups.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    async fn list_tasks(&self) -> CallToolResult {
        told(self.listed().await)
    }

    /// Keep a task from running until it is resumed.
    #[tool(annotations(destructive_hint = false, idempotent_hint = true, open_world_hint = false))]
    async fn pause_task(&self, Parameters(arguments): Parameters<Arguments<TaskReference>>) -> CallToolResult {
        self.ask(arguments.0.map(|task| Petition::PauseTask(task.into()))).await
    }

    /// Let a paused task run again.
    #[tool(annotations(destructive_hint = false, idempotent_hint = true, open_world_hint = false))]
    async fn resume_task(&self, Parameters(arguments): Parameters<Arguments<TaskReference>>) -> CallToolResult {
        self.ask(arguments.0.map(|task| Petition::ResumeTask(task.into()))).await
    }

    /// Call a task off for good.
    #[tool(annotations(destructive_hint = true, idempotent_hint = true, open_world_hint = false))]
    async fn cancel_task(&self, Parameters(arguments): Parameters<Arguments<TaskReference>>) -> CallToolResult {
        self.ask(arguments.0.map(|task| Petition::CancelTask(task.into()))).await
    }

    /// Change a scheduled task. What you leave out stays as it is.
    #[tool(annotations(destructive_hint = true, idempotent_hint = true, open_world_hint = false))]
    async fn update_task(&self, Parameters(arguments): Parameters<Arguments<UpdateTask>>) -> CallToolResult {
        self.ask(arguments.0.and_then(Asks::petition)).await
    }
}

#[tool_router(router = main_group, vis = "")]
impl Tools {
    /// Answer in another chat too, from now on: gives it a group with a folder of its own. Only when the people of this main group ask for it.
    #[tool(annotations(destructive_hint = false, open_world_hint = false))]
    async fn register_group(&self, Parameters(arguments): Parameters<Arguments<RegisterGroup>>) -> CallToolResult {
        self.ask(arguments.0.and_then(Asks::petition)).await
    }
}

impl Tools {
    /// The tools that this audience has; `tasks` is the file in which the host lists the group's tasks.
    #[must_use]
    pub fn new(audience: Audience, mailbox: Mailbox, tasks: PathBuf) -> Self {
        let router = match audience {
            Audience::Group => Self::every_group(),
            Audience::Main => Self::every_group() + Self::main_group(),
        };
        Self { mailbox, tasks, router }
    }

    async fn ask(&self, petition: Result<Petition, String>) -> CallToolResult {
        let petition = match petition {
            Ok(petition) => petition,
            Err(wrong) => return told(Err(words::wrong_arguments(&wrong))),
        };
        told(match self.mailbox.ask(&petition).await {
            Ok(answer) => words::answered(&petition, &answer),
            Err(error) => Err(words::unanswered(&error)),
        })
    }

    async fn listed(&self) -> Result<String, String> {
        let path = self.tasks.clone();
        let read = tokio::task::spawn_blocking(move || regular::read(&path, MAX_LIST_BYTES));
        let tasks: Vec<TaskSnapshot> = match read.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| words::unreadable_list(&error))?,
            // The host writes it with the first task.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(words::unreadable_list(&error)),
        };
        Ok(words::list(&tasks))
    }
}

/// What the agent reads: an `Err` is an error of the tool, never of the protocol, which not every CLI
/// shows to its model.
fn told(text: Result<String, String>) -> CallToolResult {
    match text {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(text) => CallToolResult::error(vec![ContentBlock::text(text)]),
    }
}
