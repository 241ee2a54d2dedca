//! May it do that? Pure. Who asks is known by the folder in which the file lay, never by what it says.

use std::sync::Arc;

use longshore_protocol::TaskId;
use longshore_protocol::ipc::ScheduleTask;

use super::refusal::Refusal;
use crate::groups::{Group, Groups};
use crate::store::tasks::Task;

/// Where a message may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To this chat, which a group serves.
    Served(String),
    /// To this chat, if a channel knows it.
    IfKnown(String),
}

/// Where a message of `asker` may go that names `chat`, or none for its own.
///
/// # Errors
/// [`Refusal::ForeignChat`].
pub fn destination(asker: &Group, groups: &Groups, chat: Option<&str>) -> Result<Destination, Refusal> {
    match chat {
        None => Ok(Destination::Served(asker.chat.clone())),
        Some(chat) if chat == asker.chat => Ok(Destination::Served(asker.chat.clone())),
        Some(_) if !asker.is_main => Err(Refusal::ForeignChat { own: asker.chat.clone() }),
        Some(chat) if groups.by_chat(chat).is_some() => Ok(Destination::Served(chat.to_owned())),
        Some(chat) => Ok(Destination::IfKnown(chat.to_owned())),
    }
}

/// Whose a task is that `asker` schedules: the group that `targetJid` names or, in the older form,
/// `groupFolder` or `chatJid`; without any of them its own.
///
/// # Errors
/// [`Refusal::ForeignTarget`], [`Refusal::UnknownTarget`].
pub fn owner<'a>(asker: &'a Arc<Group>, groups: &'a Groups, task: &ScheduleTask) -> Result<&'a Arc<Group>, Refusal> {
    let by_folder = |folder: &str| folder.parse().ok().and_then(|id| groups.by_id(&id));
    let (named, found) = match (&task.target, &task.group_folder, &task.chat) {
        (Some(chat), ..) => (chat, groups.by_chat(chat)),
        (None, Some(folder), _) => (folder, by_folder(folder)),
        (None, None, Some(chat)) => (chat, groups.by_chat(chat)),
        (None, None, None) => return Ok(asker),
    };
    match found {
        Some(group) if group.id == asker.id => Ok(asker),
        _ if !asker.is_main => Err(Refusal::ForeignTarget),
        Some(group) => Ok(group),
        None => Err(Refusal::UnknownTarget(named.clone())),
    }
}

/// The task, if `asker` may see and change it.
///
/// # Errors
/// [`Refusal::NoSuchTask`], for another group's task as well.
pub fn task(asker: &Group, id: &TaskId, task: Option<Task>) -> Result<Task, Refusal> {
    task.filter(|task| asker.is_main || task.group == asker.id).ok_or_else(|| Refusal::NoSuchTask(id.clone()))
}

/// Whether `asker` may change what groups there are.
///
/// # Errors
/// [`Refusal::MainOnly`].
pub fn administer(asker: &Group) -> Result<(), Refusal> {
    if asker.is_main { Ok(()) } else { Err(Refusal::MainOnly) }
}

#[cfg(test)]
mod tests {
    use longshore_protocol::ipc::{Petition, ScheduleTask};

    use super::*;
    use crate::groups::load;

    const GROUPS: &str = r#"{
        "x:main": {"name": "Main", "folder": "main", "trigger": "@A", "added_at": "x", "isMain": true},
        "x:family": {"name": "Family", "folder": "family", "trigger": "@A", "added_at": "x"},
        "x:team": {"name": "Team", "folder": "team", "trigger": "@A", "added_at": "x"}
    }"#;

    fn groups() -> Groups {
        load(GROUPS.as_bytes(), &Groups::default()).groups
    }

    fn group<'a>(groups: &'a Groups, folder: &str) -> &'a Arc<Group> {
        groups.by_id(&folder.parse().unwrap()).unwrap()
    }

    fn wish(target: &str) -> ScheduleTask {
        let file = format!(
            r#"{{"type":"schedule_task","prompt":"p","schedule_type":"interval","schedule_value":"60000"{target}}}"#
        );
        match Petition::read(file.as_bytes()).unwrap() {
            Petition::ScheduleTask(task) => *task,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_main_group_may_write_everywhere_and_another_in_its_own_chat() {
        let groups = groups();
        let to = |asker: &str, chat: Option<&str>| destination(group(&groups, asker), &groups, chat);
        let served = |chat: &str| Ok(Destination::Served(chat.to_owned()));
        assert_eq!(to("family", None), served("x:family"));
        assert_eq!(to("family", Some("x:family")), served("x:family"));
        for foreign in ["x:team", "x:main", "x:stranger", ""] {
            assert_eq!(to("family", Some(foreign)), Err(Refusal::ForeignChat { own: "x:family".into() }), "{foreign}");
        }
        assert_eq!(to("main", Some("x:team")), served("x:team"));
        assert_eq!(to("main", Some("x:stranger")), Ok(Destination::IfKnown("x:stranger".into())));
    }

    #[test]
    fn a_task_is_the_askers_unless_the_main_group_names_another_in_either_form() {
        let groups = groups();
        let of = |asker: &str, target: &str| {
            owner(group(&groups, asker), &groups, &wish(target)).map(|group| group.id.to_string())
        };
        for (target, main, family) in [
            ("", Ok("main"), Ok("family")),
            (r#","targetJid":"x:family""#, Ok("family"), Ok("family")),
            (r#","groupFolder":"family","chatJid":"x:family""#, Ok("family"), Ok("family")),
            (r#","chatJid":"x:family""#, Ok("family"), Ok("family")),
            (r#","targetJid":"x:team""#, Ok("team"), Err(Refusal::ForeignTarget)),
            (r#","groupFolder":"team""#, Ok("team"), Err(Refusal::ForeignTarget)),
            (r#","groupFolder":"family","targetJid":"x:team""#, Ok("team"), Err(Refusal::ForeignTarget)),
            (r#","targetJid":"x:no""#, Err(Refusal::UnknownTarget("x:no".into())), Err(Refusal::ForeignTarget)),
            (r#","groupFolder":"../x""#, Err(Refusal::UnknownTarget("../x".into())), Err(Refusal::ForeignTarget)),
        ] {
            assert_eq!(of("main", target), main.map(str::to_owned), "main {target}");
            assert_eq!(of("family", target), family.map(str::to_owned), "family {target}");
        }
    }

    #[test]
    fn only_the_main_group_administers() {
        let groups = groups();
        assert_eq!(administer(group(&groups, "main")), Ok(()));
        assert_eq!(administer(group(&groups, "family")), Err(Refusal::MainOnly));
    }
}
