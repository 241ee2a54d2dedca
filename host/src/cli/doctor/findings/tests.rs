use super::*;
use crate::control::{GroupStatus, Petitions};

fn now() -> Timestamp {
    "2026-02-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn status() -> Status {
    let channel = |name: &str, state: &str, detail: Option<&str>| ChannelStatus {
        name: name.into(),
        state: state.into(),
        detail: detail.map(str::to_owned),
        down_since: None,
        last_gap: None,
    };
    Status {
        version: "0.1.0".into(),
        uptime_seconds: 3725,
        rehearsal: false,
        engine: Ok("Docker".into()),
        channels: vec![
            channel("console", "up", None),
            channel("sms", "down", Some("it exited with status 1")),
            channel("whatsapp", "need_qr", None),
        ],
        groups: Vec::<GroupStatus>::new(),
        groups_generation: 1,
        problems: Vec::new(),
        sender_problems: Vec::new(),
        refused_mounts: Vec::new(),
        outbox_pending: 0,
        outbox_dead: 0,
        petitions: Petitions { granted: 3, refused: 1, unreadable: 0 },
        tasks_active: 0,
        tasks_paused: 0,
        database_checked_at: None,
        database_damage: None,
    }
}

fn turn(group: &str) -> OpenTurn {
    OpenTurn {
        group: group.into(),
        chat: format!("test:{group}"),
        running_since: None,
        attempt: 0,
        not_before: None,
        failure: None,
        task: None,
        first_seq: Some(17),
        messages: 2,
        since: ago(300),
    }
}

fn unfinished() -> Unfinished {
    let without_turn =
        |chat: &str, messages, seconds| WithoutTurn { chat: chat.into(), first_seq: 21, messages, since: ago(seconds) };
    Unfinished {
        without_turn: vec![
            without_turn("test:gone", 3, 7200),
            without_turn("test:family", 1, 90),
            without_turn("test:busy", 1, 90),
            without_turn("test:fresh", 1, 5),
        ],
        open_turns: vec![
            OpenTurn {
                attempt: 3,
                not_before: Some(now() + SignedDuration::from_secs(20)),
                failure: Some("CLAUDE_RATE_LIMITED: come back later".into()),
                ..turn("family")
            },
            OpenTurn { running_since: Some(ago(250)), attempt: 1, ..turn("busy") },
            OpenTurn { running_since: Some(ago(4000)), attempt: 1, ..turn("stuck") },
            OpenTurn { task: Some("task-1".into()), first_seq: None, messages: 0, ..turn("family") },
            turn("gone"),
        ],
        unsent: vec![
            Unsent {
                chat: "sms:1".into(),
                rows: 2,
                since: ago(600),
                attempts: 2,
                not_before: Some(now() + SignedDuration::from_secs(8)),
                error: Some("no route".into()),
            },
            Unsent {
                chat: "console:main".into(),
                rows: 1,
                since: ago(600),
                attempts: 0,
                not_before: None,
                error: None,
            },
        ],
        dead: vec![DeadLetter {
            chat: "test:family".into(),
            id: 9,
            attempts: 1,
            error: Some("blocked by the user".into()),
            at: ago(86_400),
        }],
        paused: vec![
            PausedTask { id: "task-2".into(), group: "family".into(), because: "its last runs failed".into() },
            PausedTask { id: "task-3".into(), group: "gone".into(), because: "its group is not registered".into() },
        ],
    }
}

fn seen(host: HostSeen, unfinished: Unfinished) -> Seen {
    let served = ["family", "busy", "stuck", "fresh"].map(|group| ServedChat {
        chat: format!("test:{group}"),
        group: group.into(),
        time_limit: Duration::from_secs(1800),
    });
    Seen {
        now: now(),
        host,
        settings: Vec::new(),
        engine: None,
        images: Vec::new(),
        group_problems: Vec::new(),
        prices: Vec::new(),
        sender_problems: Vec::new(),
        refused_mounts: Vec::new(),
        exceptions: Vec::new(),
        served: served.into(),
        database: DatabaseSeen::Read(Box::new(unfinished)),
        damage: None,
    }
}

fn render(seen: &Seen) -> String {
    let line = |found: &Finding| {
        let Finding { weight, area, text, next } = found;
        format!(
            "{} {area}: {text}. {next}\n",
            match weight {
                Weight::Problem => '!',
                Weight::Warning => '?',
                Weight::Note => ' ',
            }
        )
    };
    findings(seen).iter().map(line).collect()
}

#[test]
fn a_healthy_installation_has_no_findings() {
    let mut status = status();
    status.channels.truncate(1);
    status.petitions.refused = 0;
    assert_eq!(findings(&seen(HostSeen::Running(Box::new(status)), Unfinished::default())), []);
}

#[test]
fn every_finding_of_a_running_host_says_what_to_do() {
    let mut seen = seen(HostSeen::Running(Box::new(status())), unfinished());
    seen.engine = Some("the container engine does not answer: No such file or directory".into());
    seen.images = vec!["the agent image `longshore-agent:latest` is missing; run `longshore image build`".into()];
    seen.group_problems = vec!["line 3, column 5: `$['x'].folder`: is taken (the chat is not served)".into(); 7];
    seen.prices = vec!["line 2, column 5: `$.model`: unknown field; known are `models` and `$comment`".into()];
    seen.damage = Some("Page 7: btreeInitPage() returns error code 11".into());
    insta::assert_snapshot!(render(&seen));
}

#[test]
fn without_a_host_everything_that_waits_is_told_however_fresh() {
    let mut seen = seen(HostSeen::Stopped, unfinished());
    seen.settings = vec!["`TZ` is `Mars`, not an IANA time zone; write for example `TZ=Europe/Berlin`".into()];
    insta::assert_snapshot!(render(&seen));
    assert!(findings(&seen).iter().all(|found| found.weight == Weight::Problem));
}

#[test]
fn lists_that_are_broken_are_problems_and_exceptions_are_warnings() {
    let mut status = status();
    status.channels.truncate(1);
    status.petitions.refused = 0;
    let mut seen = seen(HostSeen::Running(Box::new(status)), Unfinished::default());
    seen.sender_problems = vec!["line 1, column 2: `$`: the file ends too early (nobody may wake an agent)".into()];
    seen.refused_mounts = vec!["group `main`: `/etc` is not mounted: `/etc` is never mounted".into()];
    seen.exceptions = vec![("main".into(), Exception::Login), ("main".into(), Exception::Network)];
    insta::assert_snapshot!(render(&seen));
}

#[test]
fn a_database_that_cannot_be_read_is_told_in_one_line() {
    for (database, expected) in [
        (DatabaseSeen::Missing, "! database: the database is gone while the host runs"),
        (DatabaseSeen::Unreadable("locked".into()), "! database: the database cannot be read: locked"),
        (DatabaseSeen::Older(1), "! database: the database is of an older release (schema 1)"),
    ] {
        let seen = Seen { database, ..seen(HostSeen::Silent("no reply".into()), Unfinished::default()) };
        let text = render(&seen);
        assert!(text.lines().count() == 2 && text.contains(expected), "{text}");
    }
}
