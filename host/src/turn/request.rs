//! What the runner is told of a turn.

use longshore_protocol::{CodexSignIn, HostTools, ProviderKind, TurnRequest};

use super::prelude::{MEMORY_BYTES, PreludeInput, SharedMemory, prelude};
use super::prompt::{PromptInput, PromptLimits, PromptMessage, Standing, TaskPrompt, prompt, task_prompt};
use super::run::TurnRunner;
use crate::broker::access::SignIn;
use crate::groups::{CodexTools, Group};
use crate::store::turns::{BegunTurn, CoveredMessage, Subject};

impl TurnRunner {
    /// The turn as the runner is told it.
    pub(super) fn request(&self, group: &Group, turn: &BegunTurn, sign_in: SignIn) -> TurnRequest {
        let zone = group.timezone.as_ref().unwrap_or(&self.time_zone);
        let time_zone = zone.iana_name().unwrap_or("UTC");
        let memory = self.memory.read(&group.id, group.provider);
        let prelude = prelude(&PreludeInput {
            assistant: &self.assistant,
            chat_name: &group.name,
            chat: &group.chat,
            channel: turn.channel.as_deref().unwrap_or("unknown"),
            is_main: group.is_main,
            time_zone,
            date: self.clock.now().to_zoned(zone.clone()).date(),
            provider: group.provider,
            tools: host_tools(group),
            shared_memory: SharedMemory { all: memory.all.as_deref(), global: memory.global.as_deref() },
            group_memory: memory.group.as_deref(),
            memory_bytes: MEMORY_BYTES,
        });
        let prompt = match &turn.subject {
            Subject::Messages { messages, omitted } => {
                let messages: Vec<PromptMessage> = messages.iter().cloned().map(prompt_message).collect();
                let limits = PromptLimits { messages: self.max_messages, ..PromptLimits::default() };
                let undelivered = &turn.undelivered;
                prompt(&PromptInput { messages: &messages, omitted: *omitted, time_zone, undelivered, limits })
            }
            Subject::Task(run) => task_prompt(&TaskPrompt {
                task: run.task.as_str(),
                scheduled_for: run.scheduled_for,
                prompt: &run.prompt,
                time_zone,
                undelivered: &turn.undelivered,
            }),
        };
        let mut settings = group.settings.clone();
        if group.provider == ProviderKind::Codex && settings.model.is_none() {
            settings.model.clone_from(&self.codex_model);
        }
        if sign_in == SignIn::MountedLogin {
            settings.sign_in = CodexSignIn::MountedLogin;
        }
        TurnRequest {
            turn: turn.id.clone(),
            provider: group.provider,
            prompt,
            prelude,
            session: turn.conversation().cloned().filter(|_| resumes(group)),
            settings,
            tools: host_tools(group),
            time_limit_seconds: group.container.time_limit.unwrap_or(self.time_limit).as_secs().max(1),
        }
    }
}

fn prompt_message(message: CoveredMessage) -> PromptMessage {
    PromptMessage {
        sender: message.sender,
        sender_name: message.sender_name,
        sent_at: message.sent_at,
        text: message.text,
        reply_to: message.reply_to,
        edited: message.edited,
        standing: if message.wakes { Standing::Waking } else { Standing::Context },
    }
}

/// Codex writes the files itself unless the operator chose otherwise.
fn host_tools(group: &Group) -> HostTools {
    match (group.provider, group.codex.tools) {
        (ProviderKind::Codex, CodexTools::Files) => HostTools::Files,
        _ if group.is_main => HostTools::MainMcp,
        _ => HostTools::Mcp,
    }
}

/// Claude resumes its conversation; Codex gets the missed messages and resumes only when told to.
fn resumes(group: &Group) -> bool {
    match group.provider {
        ProviderKind::Claude => true,
        ProviderKind::Codex => group.settings.resume,
    }
}
