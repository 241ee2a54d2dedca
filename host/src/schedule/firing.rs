//! What becomes of a task when its time comes or the groups change. Pure.

use crate::groups::Groups;
use crate::store::tasks::{Firing, PausedBecause, Task, TaskChange, TaskPlace};
use jiff::Timestamp;
use longshore_protocol::ipc::TaskStatus;

use super::plan::plan;
use super::request::{Circumstances, cadence, due, pause, reckon, resume, zone};

/// What becomes of a task whose time `next_run` has come.
#[must_use]
pub fn firing(task: &Task, next_run: Timestamp, groups: &Groups, at: &Circumstances) -> Firing {
    let Some(group) = groups.by_id(&task.group) else { return Firing::Stop(stop(task, PausedBecause::GroupGone)) };
    let cadence = zone(task, Some(group), at).ok().and_then(|(zone, _)| cadence(task, &zone).ok());
    let Some(cadence) = cadence else { return Firing::Stop(stop(task, PausedBecause::Unreckonable)) };
    let plan = plan(&cadence, next_run, at.now, task.misfire);
    Firing::Run { chat: group.chat.clone(), times: plan.runs, next: plan.next_run.map(|next| (next, due(task, next))) }
}

/// Whether the tasks there have to be looked at again, the groups being what they are.
#[must_use]
pub fn concerns(place: &TaskPlace, groups: &Groups, at: &Circumstances) -> bool {
    match groups.by_id(&place.group) {
        None => !place.group_gone,
        Some(_) if place.group_gone => true,
        Some(group) => !place.own_zone && at.zone_of(Some(group)).iana_name().unwrap_or("UTC") != place.zone,
    }
}

/// What becomes of a task now that the groups are what they are: one whose group is gone is paused, one
/// whose group is back goes on, and one whose group has moved to another zone has other times.
#[must_use]
pub fn review(task: &Task, groups: &Groups, at: &Circumstances) -> TaskChange {
    let Some(group) = groups.by_id(&task.group) else {
        return if task.status == TaskStatus::Active {
            stop(task, PausedBecause::GroupGone)
        } else {
            TaskChange::Nothing
        };
    };
    if task.status == TaskStatus::Paused {
        return match resume(task.clone(), Some(group), at) {
            Ok(task) => TaskChange::Set(Box::new(task)),
            // Its time passed while the group was gone.
            Err(_) => stop(task, PausedBecause::Unreckonable),
        };
    }
    let moved = zone(task, Some(group), at).is_ok_and(|(_, name)| name != task.zone);
    let mut again = task.clone();
    if moved && reckon(&mut again, Some(group), at).is_ok() {
        TaskChange::Set(Box::new(again))
    } else {
        TaskChange::Nothing
    }
}

fn stop(task: &Task, why: PausedBecause) -> TaskChange {
    match pause(task.clone(), why) {
        Ok(task) => TaskChange::SetAndCallOff(Box::new(task)),
        Err(_) => TaskChange::Nothing,
    }
}
