use super::*;
use crate::control::ChannelGap;
use crate::control::activity::{NextTask, Queue, ResidentStatus};
use longshore_protocol::ProviderKind;

const NOW: &str = "2026-02-01T12:00:00Z";

pub(in crate::cli) fn group(id: &str) -> GroupStatus {
    GroupStatus {
        id: id.parse().unwrap(),
        name: id.into(),
        chat: format!("console:{id}"),
        provider: longshore_protocol::ProviderKind::Claude,
        is_main: id == "main",
        warm: false,
        egress: Egress { policy: "list".into(), ..Egress::default() },
        wakes_on: "every message".into(),
        generation: 3,
        problem: None,
        used_today: None,
        activity: Activity::Idle,
        last_turn: None,
        next_task: None,
        resident: None,
    }
}

pub(in crate::cli) fn healthy() -> Status {
    let last = |ended_at: &str, seconds| LastTurn {
        turn: "019c17d9b4aa7c1a9d6b2f0d54d1f5aa".into(),
        ended_at: ended_at.into(),
        seconds,
        outcome: LastOutcome::Settled,
        failure: None,
        task: None,
    };
    let resident = |state, mebibytes: u64| Some(ResidentStatus { state, memory_bytes: Some(mebibytes << 20) });
    let used =
        |requests, tokens, cost_nano_usd| Some(UsedToday { requests, tokens, cost_nano_usd, unpriced_requests: 0 });
    Status {
        state: HostState::Running,
        notes: Vec::new(),
        version: "0.1.0".into(),
        uptime_seconds: 3725,
        rehearsal: false,
        engine: Ok("Docker Engine 20.10.24 (API 1.41)".into()),
        channels: ["console", "whatsapp"]
            .map(|name| ChannelStatus {
                name: name.into(),
                state: "up".into(),
                detail: None,
                down_since: None,
                last_gap: None,
            })
            .into(),
        queue: Queue { running: 1, waiting: 0, slots: 5 },
        groups: vec![
            GroupStatus {
                activity: Activity::Running { since: "2026-02-01T11:59:48Z".into(), turn: "t".into(), task: None },
                last_turn: Some(last("2026-02-01T11:57:00Z", 14)),
                resident: resident(ResidentState::Busy, 212),
                used_today: used(3, 4500, 12_000_000),
                ..group("main")
            },
            GroupStatus {
                last_turn: Some(last("2026-01-31T12:00:00Z", 3)),
                next_task: Some(NextTask { id: "task-1".into(), at: "2026-02-01T14:05:00Z".into() }),
                resident: resident(ResidentState::Warm, 180),
                warm: true,
                provider: longshore_protocol::ProviderKind::Codex,
                ..group("family-chat")
            },
            group("quiet"),
        ],
        groups_generation: 3,
        problems: Vec::new(),
        sender_problems: Vec::new(),
        refused_mounts: Vec::new(),
        outbox_pending: 0,
        outbox_dead: 0,
        petitions: Petitions { granted: 12, refused: 1, unreadable: 0 },
        tasks_active: 3,
        tasks_paused: 1,
        database_checked_at: Some("2026-02-01T04:00:00Z".into()),
        database_damage: None,
        cli_updates: Vec::new(),
    }
}

pub(in crate::cli) fn broken() -> Status {
    let healthy = healthy();
    let mut groups = healthy.groups.clone();
    groups[0].activity = Activity::Waiting { since: "2026-02-01T11:58:20Z".into() };
    groups[0].resident = Some(ResidentStatus { state: ResidentState::Busy, memory_bytes: None });
    groups[0].used_today =
        Some(UsedToday { requests: 3, tokens: 4500, cost_nano_usd: 12_000_000, unpriced_requests: 1 });
    groups[1].activity = Activity::Retrying {
        at: "2026-02-01T12:04:10Z".into(),
        turn: "t".into(),
        attempt: 2,
        failure: Some("CODEX_RATE_LIMITED".into()),
    };
    groups[1].egress = Egress { policy: "list".into(), connections: 3, refused: 1, bytes: 5 << 20 };
    groups[1].problem = Some("line 3, column 5: …".into());
    groups[2].last_turn = Some(LastTurn {
        turn: "t".into(),
        ended_at: "2026-02-01T11:55:00Z".into(),
        seconds: 61,
        outcome: LastOutcome::GaveUp,
        failure: Some("CLAUDE_AUTH_ERROR".into()),
        task: Some("task-1".into()),
    });
    Status {
        rehearsal: true,
        engine: Err("the container engine does not answer: No such file or directory".into()),
        channels: vec![ChannelStatus {
            name: "test".into(),
            state: "down".into(),
            detail: Some("it exited".into()),
            down_since: Some("2026-01-31T12:00:00Z".into()),
            last_gap: Some(ChannelGap {
                from: "2026-01-30T12:00:00Z".into(),
                until: "2026-01-30T12:05:10Z".into(),
                seconds: 310,
            }),
        }],
        queue: Queue { running: 5, waiting: 1, slots: 5 },
        groups,
        problems: vec!["line 3, column 5: …".into()],
        sender_problems: vec!["the sender allowlist …".into()],
        refused_mounts: vec!["group `main`: `/x` is not mounted: …".into()],
        outbox_pending: 2,
        outbox_dead: 1,
        database_damage: Some("Page 7: btreeInitPage() returns error code 11".into()),
        cli_updates: vec![
            Release::new(ProviderKind::Claude, Some("2.1.9".into()), "2.1.10".into()),
            Release::new(ProviderKind::Codex, None, "0.170.0".into()),
        ],
        ..healthy
    }
}

pub(in crate::cli) fn down() -> Status {
    let healthy = healthy();
    let mut groups = healthy.groups.clone();
    groups[0].activity = Activity::Interrupted { since: "2026-02-01T11:59:48Z".into(), turn: "t".into() };
    groups.iter_mut().for_each(|group| (group.resident, group.warm) = (None, false));
    let mut channels = healthy.channels.clone();
    channels.iter_mut().for_each(|channel| channel.state = "stopped".into());
    Status {
        state: HostState::Down,
        uptime_seconds: 0,
        groups,
        channels,
        outbox_pending: 2,
        petitions: Petitions::default(),
        queue: Queue { running: 0, waiting: 0, slots: 5 },
        database_checked_at: None,
        ..healthy
    }
}

fn shown(status: &Status) -> String {
    page(status, Path::new("/srv/longshore"), NOW.parse().unwrap(), Paint::Plain)
}

#[test]
fn a_healthy_installation_reads_well() {
    insta::assert_snapshot!(shown(&healthy()));
}

#[test]
fn a_broken_installation_says_what_is_wrong() {
    insta::assert_snapshot!(shown(&broken()));
}

#[test]
fn without_a_host_the_first_line_says_so_and_how_to_start_one() {
    insta::assert_snapshot!(shown(&down()));
    let silent = Status { state: HostState::Silent, notes: vec!["it gave no answer in 10 s".into()], ..down() };
    let text = shown(&silent);
    assert!(
        text.starts_with("longshore 0.1.0: a host has `/srv/longshore` and does not answer\nnote      it gave"),
        "{text}"
    );
}

#[test]
fn colour_is_only_around_the_same_text() {
    let coloured = page(&broken(), Path::new("/srv/longshore"), NOW.parse().unwrap(), Paint::Colour);
    let mut plain = String::new();
    let mut pieces = coloured.split("\u{1b}[");
    plain.push_str(pieces.next().unwrap());
    pieces.for_each(|piece| plain.push_str(piece.split_once('m').unwrap().1));
    // A painted line may end in the blanks of its name.
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&plain), trimmed(&shown(&broken())));
}

#[test]
fn json_has_one_shape_with_a_host_and_without() {
    insta::assert_snapshot!("running_json", serde_json::to_string_pretty(&healthy()).unwrap());
    insta::assert_snapshot!("down_json", serde_json::to_string_pretty(&down()).unwrap());
    for status in [healthy(), broken(), down()] {
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
