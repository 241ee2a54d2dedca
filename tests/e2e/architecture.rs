//! The shape of the source itself: sizes, purity, and which way the arrows point.

use std::path::{Path, PathBuf};

/// The size limit of a file, in lines.
const MAX_LINES: usize = 400;

/// Modules that decide and do not do: data in, data out.
const PURE: [&str; 41] = [
    "protocol/src",
    "host/src/groups/check.rs",
    "host/src/groups/load.rs",
    "host/src/groups/resolve.rs",
    "host/src/groups/settle.rs",
    "host/src/route",
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
    "host/src/cli/doctor/findings.rs",
    "host/src/container/spec.rs",
    "host/src/broker/policy.rs",
    "host/src/broker/access.rs",
    "host/src/broker/login/document.rs",
    "host/src/broker/login/verdict.rs",
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
    for place in ["protocol", "host", "container", "rehearsal", "tests", "channels"] {
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
        // The runner's stdout is one file's.
        ("io::stdout()", "container/src", vec!["container/src/emit.rs"]),
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
