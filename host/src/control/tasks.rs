//! What the control socket does about tasks.

use jiff::tz::TimeZone;

use super::server::Control;
use crate::clock::Clock;
use crate::ipc::snapshot::Snapshots;
use crate::ipc::watch::Mailroom;
use crate::queue::dispatch::Wakes;
use crate::schedule::Changed;
use crate::schedule::desk::{Desk, TaskCommand, TaskReply};
use crate::schedule::request::Circumstances;

/// Whom a change of tasks concerns, and when it is.
pub struct TaskDoor {
    /// The files by which agents ask for something.
    pub mailroom: Mailroom,
    /// What agents see of their tasks.
    pub snapshots: Snapshots,
    /// Told when a task changes.
    pub changed: Changed,
    /// The way to the dispatcher.
    pub wakes: Wakes,
    /// The time.
    pub clock: Clock,
    /// The zone for groups that name none.
    pub time_zone: TimeZone,
}

impl Control {
    /// Does what an operator asks for and tells everybody whom it concerns.
    pub(super) async fn tasks(&self, command: TaskCommand) -> Result<TaskReply, String> {
        let door = &self.tasks;
        let groups = self.groups.borrow().groups.clone();
        let at = Circumstances { now: door.clock.now(), time_zone: door.time_zone.clone() };
        let served = Desk { store: self.store.clone(), groups, at }.serve(command).await?;
        if let Some(group) = &served.touched {
            door.snapshots.mark(group);
            door.changed.tell();
        }
        if let Some(group) = served.woken {
            door.wakes.wake(group);
        }
        Ok(served.reply)
    }
}
