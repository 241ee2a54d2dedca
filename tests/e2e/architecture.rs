//! The shape of the source itself: sizes, purity, and which way the arrows point.

use std::path::{Path, PathBuf};

/// The size limit of a file, in lines.
const MAX_LINES: usize = 400;

/// Modules that decide and do not do: data in, data out.
const PURE: &[&str] = &[
    "protocol/src",
    "link/src/frame.rs",
    "host/src/groups/check.rs",
    "host/src/groups/load.rs",
    "host/src/groups/resolve.rs",
    "host/src/groups/settle.rs",
    "host/src/strict.rs",
    "host/src/senders/mod.rs",
    "host/src/container/mounts/allow.rs",
    "host/src/container/mounts/allowlist.rs",
    "host/src/container/mounts/pattern.rs",
    "host/src/cli/groups/pick.rs",
    "host/src/route",
    "host/src/import/decide.rs",
    "host/src/import/report.rs",
    "host/src/queue/state.rs",
    "host/src/turn/fold.rs",
    "host/src/turn/prelude.rs",
    "host/src/turn/prompt.rs",
    "host/src/turn/prompt/task.rs",
    "host/src/turn/prompt/undelivered.rs",
    "host/src/deliver/agenda.rs",
    "host/src/deliver/backoff.rs",
    "host/src/deliver/link.rs",
    "host/src/ipc/authorise.rs",
    "host/src/ipc/refusal.rs",
    "host/src/schedule/cadence",
    "host/src/schedule/failure.rs",
    "host/src/schedule/firing.rs",
    "host/src/schedule/plan.rs",
    "host/src/schedule/request.rs",
    "container/src/mcp/arguments.rs",
    "host/src/phrases.rs",
    "host/src/channel/chunk.rs",
    "host/src/container/resident/surplus.rs",
    "host/src/broker/probe/verdict.rs",
    "host/src/cli/doctor/findings",
    "host/src/cli/doctor/findings.rs",
    "host/src/cli/setup/interview.rs",
    "host/src/config/edit.rs",
    "host/src/cli/service/unit.rs",
    "host/src/cli/shown.rs",
    "host/src/cli/status/page.rs",
    "host/src/cli/top/screen.rs",
    "host/src/control/activity.rs",
    "host/src/metrics/exposition.rs",
    "host/src/metrics/text.rs",
    "host/src/container/spec.rs",
    "host/src/record/line.rs",
    "host/src/record/select.rs",
    "host/src/trace",
    "host/src/turn/tally.rs",
    "host/src/broker/policy.rs",
    "host/src/broker/scan",
    "host/src/broker/scan.rs",
    "host/src/update/plan.rs",
    "host/src/update/versions.rs",
    "host/src/usage/budget.rs",
    "host/src/usage/denial.rs",
    "host/src/usage/mod.rs",
    "host/src/usage/prices.rs",
    "host/src/broker/access.rs",
    "host/src/broker/egress/address.rs",
    "host/src/broker/egress/known.rs",
    "host/src/broker/egress/refusal.rs",
    "host/src/broker/egress/rules.rs",
    "host/src/broker/egress/target.rs",
    "host/src/groups/egress.rs",
    "host/src/broker/login/document.rs",
    "host/src/broker/login/verdict.rs",
    "host/src/transcript/mod.rs",
    "host/src/transcript/claude.rs",
    "host/src/transcript/codex.rs",
    "host/src/transcript/markdown.rs",
    "host/src/transcript/text.rs",
    "container/src/provider",
    "rehearsal/src/script.rs",
    "rehearsal/src/responses.rs",
    "channels/whatsapp/src/map",
    "channels/whatsapp/src/markup",
    "channels/whatsapp/src/news.rs",
    "channels/whatsapp/src/outbox.rs",
    "channels/whatsapp/src/pace.rs",
    "channels/whatsapp/src/typing.rs",
];

/// What a pure module may not name: files, sockets, processes, tasks, clocks, logs.
const IMPURE: [&str; 16] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::io::",
    "tokio::",
    "rusqlite",
    "bollard",
    "hyper_util",
    "hyper::server",
    "hyper::client",
    "tracing::",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "fixtures" | "node_modules") {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}

/// A file's code before its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let mut long = Vec::new();
    for place in ["protocol", "link", "host", "container", "rehearsal", "tests", "channels"] {
        for file in sources(&root().join(place)) {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            if lines > MAX_LINES {
                long.push(format!("{} ({lines} lines)", file.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(long.is_empty(), "divide along their own seams: {long:#?}");
}

#[test]
fn pure_modules_name_no_io_no_clock_and_no_log() {
    let mut found = Vec::new();
    for place in PURE {
        for file in sources(&root().join(place)) {
            let text = std::fs::read_to_string(&file).unwrap();
            if file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
                continue;
            }
            for (number, line) in production(&text).lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(name) = IMPURE.iter().find(|name| code.contains(**name)) {
                    found.push(format!("{}:{}: {name}", file.strip_prefix(root()).unwrap().display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn host_and_container_do_not_depend_on_each_other() {
    let manifest = |package: &str| std::fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    assert!(!manifest("host").contains("longshore-agent"));
    assert!(!manifest("container").contains("longshore-host"));
    assert!(!manifest("container").contains("longshore-rehearsal"));
    assert!(!manifest("protocol").contains("longshore-host"));
    assert!(!manifest("link").contains("longshore-host") && !manifest("link").contains("longshore-agent"));
    assert!(!manifest("rehearsal").contains("longshore-host"));
}

#[test]
fn each_door_has_one_owner() {
    let owners = [
        // SQL is the store's alone.
        ("rusqlite::", "host/src", vec!["host/src/store"]),
        // The engine is the container folder's alone.
        ("bollard::", "host/src", vec!["host/src/container"]),
        // A channel is told to send by `deliver` alone.
        (".send(&head.message)", "host/src", vec!["host/src/deliver.rs"]),
        // The runner's stdout is one file's; the link is a process of its own.
        ("io::stdout()", "container/src", vec!["container/src/emit.rs", "container/src/link.rs"]),
        // What agents may write in is looked at from handle to handle, nowhere by path: here it is made and
        // mounted, and `BY_HANDLE` below is all that reads it.
        (".group_folder(", "host/src", vec!["host/src/container/mounts"]),
        (".global_folder(", "host/src", vec!["host/src/container/mounts"]),
        (".ipc_folder(", "host/src", vec!["host/src/container/mounts"]),
        (".claude_folder(", "host/src", vec!["host/src/container/mounts"]),
        (".codex_folder(", "host/src", vec!["host/src/container/mounts"]),
    ];
    for (needle, place, allowed) in owners {
        let mut seen = false;
        for file in sources(&root().join(place)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            if production(&text).contains(needle) {
                let owned = allowed.iter().any(|owner| name.starts_with(owner));
                assert!(owned, "{name} names `{needle}`, which belongs to {allowed:?}");
                seen = true;
            }
        }
        assert!(seen, "nothing names `{needle}` any more: mend this test");
    }
}

/// Files that name `std::fs` and go by path, so they may touch nothing that an agent can write. Whoever
/// adds one says here what it is for.
const BY_PATH: &[(&str, &str)] = &[
    ("host/src/app", "the lock, and `data/ipc` itself, which is in no container"),
    ("host/src/broker/login/file.rs", "the login: no link is followed, new files are made with `O_EXCL`"),
    ("host/src/channel/adapter/process.rs", "an adapter's folder"),
    (
        "host/src/cli/doctor/environment.rs",
        "names, kinds and permissions of the installation's folders; opens nothing and follows no link in `groups/`",
    ),
    ("host/src/cli/doctor/look.rs", "whether adapters are there"),
    ("host/src/cli/doctor/mend.rs", "permissions of `.env` and `data/`, and missing folders of the installation"),
    ("host/src/cli/init.rs", "a new installation"),
    ("host/src/cli/login.rs", "the login's folder, before anybody has it"),
    ("host/src/cli/mod.rs", "a new installation's folder"),
    ("host/src/cli/run.rs", "the log"),
    ("host/src/cli/setup", "the log, and the file with a key that the operator names"),
    ("host/src/cli/service", "the service manager's file"),
    ("host/src/cli/transcript.rs", "a new file of the operator's"),
    ("host/src/config", "the settings"),
    ("host/src/container/image/runner.rs", "the runner's program"),
    ("host/src/follow", "the operator's own files"),
    ("host/src/groups/edit", "the groups file"),
    (
        "host/src/ipc/watch/ears.rs",
        "`data/ipc` itself; looks at what is in it without following a link, and reads nothing",
    ),
    ("host/src/record/read.rs", "the record, in `data/logs`, which is in no container"),
    ("host/src/metrics/memory.rs", "what the kernel says of the host's own process"),
    ("host/src/socket.rs", "sockets, in folders that containers only read"),
    ("host/src/store/backup.rs", "the database"),
    ("host/src/telemetry", "the log, and the record in `data/logs`"),
    ("host/src/update/lookout.rs", "what is known of newer releases, in `data/`, which is in no container"),
    ("host/src/update/taker.rs", "what the last update printed, in `data/`"),
    ("host/src/update/rehearse.rs", "the log of a rehearsal"),
    ("host/src/upkeep.rs", "the size of the database's log"),
    ("host/src/usage/price_file.rs", "the operator's prices"),
];

/// Files that touch what agents write, and go from handle to handle without following a link.
const BY_HANDLE: &[&str] = &[
    "host/src/memory.rs",
    "host/src/ipc/mailbox",
    "host/src/container/mounts/prepare.rs",
    "host/src/transcript/files.rs",
    "host/src/import",
];

#[test]
fn what_agents_can_write_is_never_touched_by_path() {
    let paths = ["std::fs::{", "fs::read(", "fs::write(", "read_dir(", "OpenOptions", "fs::metadata(", "fs::rename("];
    let mut seen = std::collections::HashSet::new();
    for file in sources(&root().join("host/src")) {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        if file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = production(&text);
        if let Some(owner) = BY_HANDLE.iter().find(|owner| name.starts_with(**owner)) {
            let by_path = paths.iter().find(|path| code.replace("rustix::fs::", "").contains(**path));
            assert!(by_path.is_none(), "{name} names `{by_path:?}`, and {owner} goes by handles alone");
            seen.insert(*owner);
        } else if code.contains("std::fs") || code.contains("tokio::fs") {
            let known = BY_PATH.iter().find(|(owner, _)| name.starts_with(owner));
            let (owner, _) = known.unwrap_or_else(|| panic!("{name} names the file system: for what? see `BY_PATH`"));
            seen.insert(*owner);
        }
    }
    let owners = BY_PATH.iter().map(|(owner, _)| *owner).chain(BY_HANDLE.iter().copied());
    let gone: Vec<&str> = owners.filter(|owner| !seen.contains(owner)).collect();
    assert!(gone.is_empty(), "these name it no more: {gone:?}");
}
