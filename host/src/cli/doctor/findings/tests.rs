use longshore_protocol::ProviderKind;

use super::*;
use crate::broker::probe::Verdict;
use crate::control::{GroupStatus, Petitions};
use crate::store::unfinished::{ActiveTask, DeadLetter, OpenTurn, PausedTask, Unsent, WithoutTurn};

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
        state: crate::control::activity::HostState::Running,
        notes: Vec::new(),
        queue: crate::control::activity::Queue::default(),
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
        cli_updates: Vec::new(),
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
        active: vec![
            ActiveTask { id: "task-4".into(), group: "family".into(), due_at: ago(3600) },
            ActiveTask { id: "task-5".into(), group: "family".into(), due_at: ago(5) },
        ],
        newest_message: Some(ago(5)),
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
        setting_warnings: Vec::new(),
        engine: None,
        images: Vec::new(),
        environment: Environment::default(),
        credentials: Vec::new(),
        asked: Vec::new(),
        without_program: Vec::new(),
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
        let Finding { severity, area, text, next, .. } = found;
        format!(
            "{} {area}: {text}. {next}\n",
            match severity {
                Severity::Error => '!',
                Severity::Warning => '?',
                Severity::Note => ' ',
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
    let newer = Release::new(ProviderKind::Claude, Some("2.1.9".into()), "2.1.10".into());
    let status = Status { cli_updates: vec![newer], ..status() };
    let mut seen = seen(HostSeen::Running(Box::new(status)), unfinished());
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
    assert!(findings(&seen).iter().all(|found| found.severity == Severity::Error));
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

/// Everything about the machine and the files that can be wrong.
fn broken() -> Environment {
    Environment {
        engine: Some(EngineSeen {
            name: "Docker Engine 20.10.24 (API 1.41)".into(),
            cgroup: Some("2".into()),
            rootless: true,
            maps_users: true,
            without_limits: vec!["memory"],
            clock_apart: SignedDuration::from_secs(-3600),
        }),
        agents: Some((1000, 1000)),
        images: vec!["`longshore-agent:latest` has claude 2.1.329 and codex 0.169.0".into()],
        disks: vec![
            Disk { what: "data/", path: "/srv/longshore/data".into(), free_bytes: 10 << 20 },
            Disk { what: "the engine", path: "/var/lib/docker".into(), free_bytes: 1 << 30 },
            Disk { what: "the engine", path: "/large".into(), free_bytes: 1 << 40 },
        ],
        env_mode: Some(0o100_644),
        env_is_secret: true,
        data_mode: Some(0o40_755),
        missing_folders: vec!["groups/global".into()],
        foreign_folders: vec![("groups/main".into(), 0)],
        strays: vec!["groups/old".into()],
        left_containers: vec!["a".into(), "b".into()],
    }
}

#[test]
fn a_broken_machine_and_installation_is_told_line_by_line() {
    let mut seen = seen(HostSeen::Stopped, Unfinished { newest_message: Some(ago(-86_400)), ..Unfinished::default() });
    seen.setting_warnings = vec!["`ASISTANT_NAME` in `.env` is not a setting; did you mean `ASSISTANT_NAME`?".into()];
    seen.environment = broken();
    seen.without_program = vec![("whatsapp".into(), "longshore-whatsapp".into())];
    let credential = |provider, groups: &[&str], state| CredentialSeen {
        provider,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        state,
    };
    let login = |expires_at| CredentialState::Login { whose: Some("ann@example.com".into()), expires_at };
    let missing = |text: &str| CredentialState::Missing(text.into());
    seen.credentials = vec![
        credential(
            ProviderKind::Claude,
            &["main", "family"],
            missing("no credential for claude: set ANTHROPIC_API_KEY in .env"),
        ),
        credential(
            ProviderKind::Codex,
            &["coder"],
            missing("no credential for codex: this group wants an API key; set CODEX_API_KEY"),
        ),
        credential(ProviderKind::Claude, &["a"], CredentialState::Setting("ANTHROPIC_API_KEY")),
        credential(
            ProviderKind::Claude,
            &["a"],
            CredentialState::Misplaced("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"),
        ),
        credential(ProviderKind::Codex, &["b"], login(Some(ago(60)))),
        credential(ProviderKind::Codex, &["b"], login(Some(ago(-60)))),
        credential(ProviderKind::Codex, &["b"], login(None)),
        credential(
            ProviderKind::Codex,
            &["c"],
            CredentialState::BrokenLogin("the ChatGPT login cannot be used: `x` is not JSON".into()),
        ),
    ];
    insta::assert_snapshot!(render(&seen));
    let mends = mends(&seen, std::path::Path::new("/srv/longshore"));
    insta::assert_debug_snapshot!("what_fix_does", mends);
    // The host that runs has its containers, and they are its own matter.
    seen.host = HostSeen::Running(Box::new(status()));
    assert!(!super::mends(&seen, std::path::Path::new("/")).iter().any(|mend| matches!(mend, Mend::Containers(_))));
}

#[test]
fn what_an_api_says_is_told_with_what_to_do() {
    let mut status = status();
    status.channels.truncate(1);
    status.petitions.refused = 0;
    let mut seen = seen(HostSeen::Running(Box::new(status)), Unfinished::default());
    let said = || "the API's own words (status 400)".to_owned();
    seen.asked = [
        Ok(Verdict::Valid),
        Ok(Verdict::Accepted(said())),
        Ok(Verdict::WrongCredential(said())),
        Ok(Verdict::NoQuota(said())),
        Ok(Verdict::Limited(said())),
        Ok(Verdict::Unreachable("https://api.example: connection refused".into())),
        Ok(Verdict::Unclear(said())),
        Err("only the running host may renew its token".to_owned()),
    ]
    .map(|verdict| Asked { provider: ProviderKind::Codex, with: "CODEX_API_KEY", verdict })
    .into();
    insta::assert_snapshot!(render(&seen));
}

#[test]
fn an_engine_that_is_away_is_told_by_its_reason() {
    for (reason, command) in [
        (
            "the container engine does not answer: there is no socket `/var/run/docker.sock`",
            Some("sudo systemctl start docker"),
        ),
        (
            "the container engine does not answer: error trying to connect: Permission denied (os error 13)",
            Some("sudo usermod -aG docker $USER"),
        ),
        ("the container engine does not answer: Connection refused", Some("sudo systemctl start docker")),
        ("the container engine does not answer: `x` is no address that can be used; it is `unix://…`", None),
        ("the container engine does not answer: no reply in 5 s", None),
    ] {
        assert_eq!(advice(reason).1, command, "{reason}");
    }
}
