//! What the tools say to the agent; pure.

use std::fmt::{Display, Write};

use jiff::Timestamp;
use longshore_protocol::ipc::{Answer, Petition, TaskSnapshot};

use crate::mailbox::MailboxError;

/// Tasks that are listed.
const MAX_LISTED: usize = 100;
/// Longest prompt in a list, in characters.
const PROMPT_CHARACTERS: usize = 200;

/// Arguments that are not sent at all.
#[must_use]
pub fn wrong_arguments(reason: &str) -> String {
    format!("Nothing was done, because an argument is wrong: {reason}")
}

/// The host did it, or (`Err`) says why not.
///
/// # Errors
/// The host's own words.
pub fn answered(petition: &Petition, answer: &Answer) -> Result<String, String> {
    if !answer.ok {
        let reason = answer.error.as_deref().filter(|reason| !reason.trim().is_empty());
        // In words, because `codex` passes a tool's text to its model without the mark of an error.
        return Err(format!("Not done: {}", reason.unwrap_or("the host refused this and did not say why.")));
    }
    let id = answer.id.as_deref().map_or_else(String::new, |id| format!(" `{id}`"));
    let mut text = match petition {
        Petition::Message(_) => format!("The host has taken the message{id} and sends it."),
        Petition::ScheduleTask(_) => format!("Scheduled task{id}."),
        Petition::PauseTask(_) => format!("Paused task{id}."),
        Petition::ResumeTask(_) => format!("Resumed task{id}."),
        Petition::CancelTask(_) => format!("Cancelled task{id}."),
        Petition::UpdateTask(_) => format!("Changed task{id}."),
        Petition::RefreshGroups {} => "The list of groups is written anew.".to_owned(),
        Petition::RegisterGroup(_) => format!("Registered group{id}."),
    };
    if let Some(status) = answer.status {
        text += &format!(" Status: {status}.");
    }
    if !answer.next_runs.is_empty() {
        let zone = answer.timezone.as_deref().map_or_else(String::new, |zone| format!(" ({zone})"));
        text += &format!("\nNext runs{zone}: {}", answer.next_runs.join(", "));
    }
    Ok(text)
}

/// There is no answer.
#[must_use]
pub fn unanswered(error: &MailboxError) -> String {
    match error {
        MailboxError::NotWritten(_) => format!("Nothing was done: {error}."),
        MailboxError::Unanswered { .. } => format!(
            "It is not known whether this was done: {error}. The host may still do it. Do not simply ask again, \
             or it may be done twice; find out first (`list_tasks` shows the tasks), or tell the people."
        ),
    }
}

/// The list of tasks is there and makes no sense.
#[must_use]
pub fn unreadable_list(error: &dyn Display) -> String {
    format!("The host's list of tasks cannot be read: {error}. Try again later.")
}

/// The tasks, one after another.
#[must_use]
pub fn list(tasks: &[TaskSnapshot]) -> String {
    let mut text = match tasks.len() {
        0 => return "There are no scheduled tasks.".to_owned(),
        1 => "1 task:\n".to_owned(),
        count => format!("{count} tasks:\n"),
    };
    for task in tasks.iter().take(MAX_LISTED) {
        // Writing to a text does not fail.
        let _ = write_task(&mut text, task);
    }
    if let Some(more @ 1..) = tasks.len().checked_sub(MAX_LISTED) {
        let _ = write!(text, "\nand {more} more, which are not shown.\n");
    }
    text
}

fn write_task(text: &mut String, task: &TaskSnapshot) -> std::fmt::Result {
    let TaskSnapshot { id, group_folder, schedule_type, schedule_value, context_mode, timezone, status, .. } = task;
    writeln!(text, "\n- `{id}` of group `{group_folder}`: {status}")?;
    if let Some(reason) = &task.paused_because {
        writeln!(text, "  paused because: {reason}")?;
    }
    writeln!(text, "  {schedule_type} `{schedule_value}` ({timezone}), context {context_mode}")?;
    if let Some(next) = &task.next_run {
        writeln!(text, "  next run: {}", local(next, timezone))?;
    }
    let mut prompt: String = task.prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = prompt.char_indices().nth(PROMPT_CHARACTERS) {
        prompt.truncate(cut);
        prompt.push('…');
    }
    writeln!(text, "  prompt: {prompt}")
}

/// A time in UTC as the clock of `zone` shows it, with that zone's offset; as it is where that cannot be told.
fn local(time: &str, zone: &str) -> String {
    let told = |time: Timestamp| {
        let zoned = time.in_tz(zone).ok()?;
        Some(time.display_with_offset(zoned.offset()).to_string())
    };
    time.parse().ok().and_then(told).unwrap_or_else(|| time.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use longshore_protocol::ipc::{ContextMode, ScheduleType, TaskStatus, example};

    use super::*;

    fn task(id: &str) -> TaskSnapshot {
        TaskSnapshot {
            id: id.to_owned(),
            group_folder: "family".to_owned(),
            prompt: "Say\ngood morning.".to_owned(),
            schedule_type: ScheduleType::Cron,
            schedule_value: "0 9 * * *".to_owned(),
            context_mode: ContextMode::Group,
            timezone: "Europe/Berlin".to_owned(),
            status: TaskStatus::Active,
            next_run: Some("2026-03-29T07:00:00Z".to_owned()),
            paused_because: None,
        }
    }

    #[test]
    fn what_was_done_is_said_with_all_that_the_host_told() {
        let answer = Answer {
            status: Some(TaskStatus::Active),
            timezone: Some("Europe/Berlin".to_owned()),
            next_runs: vec!["2026-03-28T09:00:00+01:00".to_owned(), "2026-03-29T09:00:00+02:00".to_owned()],
            ..Answer::done("task-1-a")
        };
        let mut said: Vec<String> =
            example::all().iter().map(|petition| answered(petition, &Answer::done("x")).unwrap()).collect();
        said.push(answered(&example::schedule("a@g.us"), &answer).unwrap());
        insta::assert_snapshot!(said.join("\n"), @"
        The host has taken the message `x` and sends it.
        Scheduled task `x`.
        Paused task `x`.
        Resumed task `x`.
        Cancelled task `x`.
        Changed task `x`.
        The list of groups is written anew.
        Registered group `x`.
        Scheduled task `task-1-a`. Status: active.
        Next runs (Europe/Berlin): 2026-03-28T09:00:00+01:00, 2026-03-29T09:00:00+02:00
        ");
    }

    #[test]
    fn what_was_not_done_is_said_in_the_hosts_words() {
        let refused = |answer| answered(&example::schedule("a@g.us"), &answer).unwrap_err();
        assert_eq!(refused(Answer::refused("only the main group may.")), "Not done: only the main group may.");
        assert_eq!(refused(Answer::default()), "Not done: the host refused this and did not say why.");
    }

    #[test]
    fn what_is_not_known_is_not_said_to_have_failed() {
        let path = PathBuf::from("/workspace/ipc/tasks/1-a.json");
        let unknown = MailboxError::Unanswered { path, reason: "no answer came within 30s".to_owned() };
        let none = MailboxError::NotWritten("the request cannot be written into `/x`: no space left".to_owned());
        insta::assert_snapshot!([unanswered(&unknown), unanswered(&none)].join("\n"), @"
        It is not known whether this was done: the request lies in `/workspace/ipc/tasks/1-a.json`, and no answer came within 30s. The host may still do it. Do not simply ask again, or it may be done twice; find out first (`list_tasks` shows the tasks), or tell the people.
        Nothing was done: the request cannot be written into `/x`: no space left.
        ");
    }

    #[test]
    fn tasks_are_listed_in_their_own_time() {
        let mut paused = task("task-2-b");
        paused.status = TaskStatus::Paused;
        paused.paused_because = Some("it failed five times".to_owned());
        paused.prompt = "ü".repeat(PROMPT_CHARACTERS + 1);
        (paused.next_run, paused.timezone) = (Some("soon".to_owned()), "Nowhere/Land".to_owned());
        insta::assert_snapshot!(list(&[task("task-1-a"), paused]), @"
        2 tasks:

        - `task-1-a` of group `family`: active
          cron `0 9 * * *` (Europe/Berlin), context group
          next run: 2026-03-29T09:00:00+02:00
          prompt: Say good morning.

        - `task-2-b` of group `family`: paused
          paused because: it failed five times
          cron `0 9 * * *` (Nowhere/Land), context group
          next run: soon
          prompt: üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü…
        ");
        assert_eq!(list(&[]), "There are no scheduled tasks.");
    }

    #[test]
    fn a_long_list_says_how_much_it_leaves_out() {
        let tasks: Vec<_> = (0..MAX_LISTED + 7).map(|number| task(&format!("task-{number}"))).collect();
        let text = list(&tasks);
        assert_eq!(text.matches("\n- ").count(), MAX_LISTED);
        assert!(text.starts_with("107 tasks:\n") && text.ends_with("and 7 more, which are not shown.\n"), "{text}");
    }
}
