//! What becomes of a task, decision by decision.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::ipc::{ContextMode, Petition, ScheduleTask, TaskStatus, UpdateTask};

use super::firing::{concerns, firing, review};
use super::request::{Circumstances, Making, answer, cancel, pause, resume, schedule, update};
use crate::groups::{Groups, load};
use crate::ipc::refusal::{MAX_TASKS, Refusal};
use crate::store::tasks::{Firing, PausedBecause, Task, TaskChange, TaskPlace};

fn at(time: &str) -> Circumstances {
    Circumstances { now: time.parse().unwrap(), time_zone: TimeZone::UTC }
}

fn groups(fields: &str) -> Groups {
    let file = format!(
        r#"{{"x:family": {{"name": "Family", "folder": "family", "trigger": "@A", "added_at": "x"{fields}}}}}"#
    );
    load(file.as_bytes(), &Groups::default()).groups
}

const BERLIN: &str = r#", "timezone": "Europe/Berlin""#;

fn wish(fields: &str) -> ScheduleTask {
    match Petition::read(format!(r#"{{"type":"schedule_task","prompt":"p"{fields}}}"#).as_bytes()).unwrap() {
        Petition::ScheduleTask(task) => *task,
        other => panic!("{other:?}"),
    }
}

fn changes(fields: &str) -> UpdateTask {
    match Petition::read(format!(r#"{{"type":"update_task","taskId":"t"{fields}}}"#).as_bytes()).unwrap() {
        Petition::UpdateTask(task) => *task,
        other => panic!("{other:?}"),
    }
}

fn scheduled(
    fields: &str,
    groups: &Groups,
    at: &Circumstances,
    existing: Option<&Task>,
    count: u64,
) -> Result<Task, Refusal> {
    let group = groups.iter().next().unwrap();
    let making = Making { id: "t".parse().unwrap(), group, by: "family", existing, count };
    schedule(&wish(fields), &making, at)
}

const NINE: &str = r#","schedule_type":"cron","schedule_value":"0 9 * * *""#;
const NOON: &str = "2026-01-15T12:00:00Z";

fn daily() -> Task {
    scheduled(NINE, &groups(BERLIN), &at(NOON), None, 0).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_task_is_reckoned_in_its_own_zone_else_its_groups_else_the_hosts() {
    let own = format!(r#"{NINE},"timezone":"Asia/Kolkata""#);
    for (fields, group, next) in [
        (NINE, "", "2026-01-16T09:00:00Z"),
        (NINE, BERLIN, "2026-01-16T08:00:00Z"),
        (own.as_str(), BERLIN, "2026-01-16T03:30:00Z"),
    ] {
        let task = scheduled(fields, &groups(group), &at(NOON), None, 0).unwrap();
        assert_eq!(task.next_run, Some(time(next)), "{fields} {group}");
    }
    // A `once` without an offset is local in the same zone.
    let once = r#","schedule_type":"once","schedule_value":"2026-02-01T15:30:00""#;
    let task = scheduled(once, &groups(BERLIN), &at(NOON), None, 0).unwrap();
    assert_eq!(task.next_run, Some(time("2026-02-01T14:30:00Z")));
}

#[test]
fn the_answer_names_the_next_three_times_in_the_tasks_zone() {
    let answer = answer(&daily());
    assert_eq!(
        answer.next_runs,
        ["2026-01-16T09:00:00+01:00", "2026-01-17T09:00:00+01:00", "2026-01-18T09:00:00+01:00"]
    );
    assert_eq!(answer.timezone.as_deref(), Some("Europe/Berlin"));
}

#[test]
fn what_a_file_leaves_out_has_its_default() {
    let task = daily();
    assert_eq!((task.context_mode, task.jitter_seconds, task.status), (ContextMode::Isolated, 0, TaskStatus::Active));
}

#[test]
fn a_wish_that_cannot_be_granted_is_refused_with_its_reason() {
    let refused = |fields: &str, existing: Option<&Task>, count| {
        scheduled(fields, &groups(""), &at(NOON), existing, count).unwrap_err()
    };
    assert_eq!(refused(NINE, Some(&daily()), 0), Refusal::IdTaken("t".parse().unwrap()));
    assert_eq!(refused(NINE, None, MAX_TASKS), Refusal::TooManyTasks);
    assert_eq!(refused(&format!(r#"{NINE},"script":"exit 1""#), None, 0), Refusal::Script);
    assert_eq!(refused(&format!(r#"{NINE},"timezone":"Berlin""#), None, 0), Refusal::Zone("Berlin".into()));
    assert_eq!(refused(&format!(r#"{NINE},"jitter_seconds":3601"#), None, 0), Refusal::Jitter);
    let past = r#","schedule_type":"once","schedule_value":"2026-01-15T11:00:00""#;
    let text = refused(past, None, 0).to_string();
    assert!(text.contains("2026-01-15") && text.contains("11:00"), "{text}");
    assert!(matches!(
        refused(r#","schedule_type":"interval","schedule_value":"300000abc""#, None, 0),
        Refusal::Times(_)
    ));
}

#[test]
fn an_update_changes_what_it_names_and_reckons_new_times_from_now() {
    let groups = groups(BERLIN);
    let group = groups.iter().next().map(AsRef::as_ref);
    let later = at("2026-01-20T12:00:00Z");
    let task = update(daily(), &changes(r#","prompt":"q""#), group, &later).unwrap();
    assert_eq!((task.prompt.as_str(), task.next_run), ("q", daily().next_run), "its times stay");
    let hourly = changes(r#","schedule_type":"interval","schedule_value":3600000"#);
    let task = update(daily(), &hourly, group, &later).unwrap();
    assert_eq!(task.next_run, Some(time("2026-01-20T13:00:00Z")));
    assert_eq!(update(daily(), &changes(""), group, &later), Err(Refusal::NothingToChange));
    let paused = pause(daily(), PausedBecause::Asked).unwrap();
    let task = update(paused, &hourly, group, &later).unwrap();
    assert_eq!((task.status, task.next_run), (TaskStatus::Paused, None), "a paused task stays paused");
    let done = Task { status: TaskStatus::Completed, next_run: None, ..daily() };
    assert!(matches!(update(done.clone(), &changes(r#","prompt":"q""#), group, &later), Err(Refusal::Over(..))));
    assert_eq!(update(done, &hourly, group, &later).unwrap().status, TaskStatus::Active, "new times begin it anew");
}

#[test]
fn a_resumed_task_goes_on_at_its_next_time_and_catches_nothing_up() {
    let groups = groups(BERLIN);
    let group = groups.iter().next().map(AsRef::as_ref);
    let paused = pause(daily(), PausedBecause::Failures).unwrap();
    let task = resume(Task { failures: 5, ..paused.clone() }, group, &at("2026-03-15T12:00:00Z")).unwrap();
    assert_eq!((task.next_run, task.failures), (Some(time("2026-03-16T08:00:00Z")), 0));
    assert!(matches!(resume(task, group, &at(NOON)), Err(Refusal::NotPaused(_))));
    assert!(matches!(resume(cancel(paused).unwrap(), group, &at(NOON)), Err(Refusal::Over(..))));
    let once = r#","schedule_type":"once","schedule_value":"2026-02-01T15:30:00""#;
    let once = scheduled(once, &groups, &at(NOON), None, 0).unwrap();
    let paused = pause(once, PausedBecause::Asked).unwrap();
    assert!(
        matches!(resume(paused, group, &at("2026-02-02T00:00:00Z")), Err(Refusal::Times(_))),
        "its time has passed"
    );
}

#[test]
fn a_fired_task_has_its_runs_and_its_next_time() {
    let (task, groups) = (daily(), groups(BERLIN));
    let next = task.next_run.unwrap();
    let fired = firing(&task, next, &groups, &at("2026-01-16T08:00:00Z"));
    let then = time("2026-01-17T08:00:00Z");
    assert_eq!(fired, Firing::Run { chat: "x:family".into(), times: vec![next], next: Some((then, then)) });
    let once = r#","schedule_type":"once","schedule_value":"2026-02-01T15:30:00""#;
    let once = scheduled(once, &groups, &at(NOON), None, 0).unwrap();
    let Firing::Run { next, .. } = firing(&once, once.next_run.unwrap(), &groups, &at("2026-02-01T14:30:00Z")) else {
        panic!("it did not run")
    };
    assert_eq!(next, None, "it is completed");
    let Firing::Stop(TaskChange::SetAndCallOff(stopped)) = firing(&task, time(NOON), &Groups::default(), &at(NOON))
    else {
        panic!("it ran without a group")
    };
    assert_eq!(stopped.paused_because, Some(PausedBecause::GroupGone));
}

#[test]
fn tasks_follow_their_group_when_it_goes_comes_back_or_moves_to_another_zone() {
    let (none, here, moved) = (Groups::default(), groups(BERLIN), groups(r#", "timezone": "Asia/Kolkata""#));
    let place = TaskPlace {
        group: "family".parse().unwrap(),
        group_gone: false,
        zone: "Europe/Berlin".into(),
        own_zone: false,
    };
    let now = at(NOON);
    assert!(concerns(&place, &none, &now) && !concerns(&place, &here, &now) && concerns(&place, &moved, &now));
    assert!(!concerns(&TaskPlace { own_zone: true, ..place.clone() }, &moved, &now));
    let gone = TaskPlace { group_gone: true, ..place };
    assert!(!concerns(&gone, &none, &now) && concerns(&gone, &here, &now));

    let TaskChange::SetAndCallOff(paused) = review(&daily(), &none, &now) else { panic!("it goes on") };
    assert_eq!((paused.status, paused.paused_because), (TaskStatus::Paused, Some(PausedBecause::GroupGone)));
    let TaskChange::Set(back) = review(&paused, &here, &now) else { panic!("it stays paused") };
    assert_eq!(*back, daily());
    let TaskChange::Set(elsewhere) = review(&daily(), &moved, &now) else { panic!("its times stay") };
    assert_eq!(elsewhere.next_run, Some(time("2026-01-16T03:30:00Z")));
    assert_eq!(review(&daily(), &here, &now), TaskChange::Nothing);
}
