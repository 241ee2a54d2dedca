use std::os::unix::fs::symlink;
use std::path::Path;

use jiff::tz::TimeZone;
use longshore_protocol::GroupId;

use super::files::{LeftOut, lines};
use super::*;

const CLAUDE: &str = include_str!("fixtures/claude.jsonl");
const CODEX: &str = include_str!("fixtures/codex.jsonl");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn entry(second: i64, kind: Kind, author: &str, text: &str) -> Entry {
    let (author, text) = (author.to_owned(), text.to_owned());
    Entry {
        at: at(second),
        turn: None,
        kind,
        author,
        text,
        message: None,
        reply_to: None,
        state: None,
        tool: None,
        call: None,
    }
}

/// Everything that comes up in a transcript.
fn example() -> Vec<Entry> {
    let call = Some("toolu_1".to_owned());
    let rows = vec![
        entry(0, Kind::Person, "Ann", "what is in the folder?\n# not a heading <script>alert(1)</script>"),
        Entry { state: Some(State::Deleted), ..entry(1, Kind::Person, "Bob_*[x](y)", "") },
        Entry { state: Some(State::Edited), ..entry(2, Kind::Person, "Ann", "if a < b: see `x<y>`") },
        Entry { turn: Some("t1".into()), ..entry(5, Kind::Agent, "claude", "a.txt") },
        Entry { state: Some(State::Dead), ..entry(6, Kind::Notice, "longshore", "I could not answer.") },
        Entry { turn: Some("t2".into()), ..entry(86_400, Kind::TaskPrompt, "task-1", "Say good morning.") },
    ];
    let tools = vec![
        Entry {
            tool: Some("Bash".into()),
            call: call.clone(),
            ..entry(3, Kind::ToolCall, "claude", r#"{"command":"ls"}"#)
        },
        Entry {
            call,
            state: Some(State::Failed),
            ..entry(4, Kind::ToolResult, "claude", "a.txt\n```\nno way out\n````")
        },
    ];
    let windows = [
        Window { turn: "t1".into(), from: at(2), until: Some(at(5)) },
        Window { turn: "t2".into(), from: at(86_400), until: None },
    ];
    merge(rows, tools, &windows)
}

#[test]
fn a_call_belongs_to_the_turn_that_began_last_and_was_not_over() {
    let window =
        |turn: &str, from, until: Option<i64>| Window { turn: turn.into(), from: at(from), until: until.map(at) };
    let windows =
        [window("long", 0, Some(100)), window("a", 10, Some(20)), window("b", 30, Some(40)), window("open", 200, None)];
    for (second, expected) in [
        (-1, None),
        (0, Some("long")),
        (15, Some("a")),
        (25, Some("long")),
        (40, Some("b")),
        (50, Some("long")),
        (150, None),
        (300, Some("open")),
    ] {
        let merged = merge(Vec::new(), vec![entry(second, Kind::ToolCall, "claude", "")], &windows);
        assert_eq!(merged[0].turn.as_deref(), expected, "{second}");
    }
}

fn tools_of(provider: ProviderKind, text: &str) -> String {
    let entries = text.lines().flat_map(|line| read_line(provider, line.as_bytes()));
    entries.map(|entry| serde_json::to_string(&entry).unwrap() + "\n").collect()
}

#[test]
fn what_tools_did_is_read_from_the_files_of_both_providers() {
    insta::assert_snapshot!("claude", tools_of(ProviderKind::Claude, CLAUDE));
    insta::assert_snapshot!("codex", tools_of(ProviderKind::Codex, CODEX));
}

#[test]
fn rubbish_tells_nothing() {
    for line in [
        "",
        "not json",
        "[1,2]",
        "{\"timestamp\":7}",
        "{\"timestamp\":\"yesterday\",\"message\":{\"content\":[{\"type\":\"tool_use\"}]}}",
        "{\"timestamp\":\"2026-02-01T00:00:00Z\",\"type\":\"user\",\"message\":{\"content\":\"text\"}}",
        "{\"timestamp\":\"2026-02-01T00:00:00Z\",\"message\":{\"content\":[7,null,{\"type\":7}]}}",
        "{\"timestamp\":\"2026-02-01T00:00:00Z\",\"type\":\"response_item\",\"payload\":[]}",
        "{\"timestamp\":\"2026-02-01T00:00:00Z\",\"type\":\"response_item\",\"payload\":{\"type\":\"message\"}}",
    ] {
        for provider in ProviderKind::ALL {
            assert!(read_line(provider, line.as_bytes()).is_empty(), "{line}");
        }
    }
    let odd =
        br#"{"timestamp":"2026-02-01T00:00:00Z","message":{"content":[{"type":"tool_result","content":{"x":[1]}}]}}"#;
    assert_eq!(read_line(ProviderKind::Claude, odd)[0].text, r#"{"x":[1]}"#);
    let long = format!(
        r#"{{"timestamp":"2026-02-01T00:00:00Z","message":{{"content":[{{"type":"tool_result","content":"{}"}}]}}}}"#,
        "ü".repeat(MAX_TOOL_BYTES)
    );
    assert!(read_line(ProviderKind::Claude, long.as_bytes())[0].text.ends_with("[… 65536 bytes more]"));
}

#[test]
fn it_reads_well_in_every_format() {
    let entries = example();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    insta::assert_snapshot!("text", text::text(&entries, &zone));
    insta::assert_snapshot!("markdown", markdown::markdown("family", &entries, &zone));
    let json: Vec<String> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    insta::assert_snapshot!("json", json.join("\n"));
}

struct Planted {
    root: tempfile::TempDir,
    group: GroupId,
}

impl Planted {
    fn new() -> Self {
        let planted = Self { root: tempfile::tempdir().unwrap(), group: "family".parse().unwrap() };
        std::fs::create_dir_all(planted.projects()).unwrap();
        planted
    }

    fn projects(&self) -> std::path::PathBuf {
        self.root.path().join("data/sessions/family/.claude/projects/-workspace-group")
    }

    fn read(&self) -> (Vec<String>, LeftOut) {
        let mut read = Vec::new();
        let left_out = lines(self.root.path(), &self.group, ProviderKind::Claude, None, &mut |line| {
            read.push(String::from_utf8_lossy(line).into_owned());
        });
        (read, left_out.unwrap())
    }
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn lines_are_read_from_files_and_from_nothing_else() {
    let planted = Planted::new();
    let (folder, secret) = (planted.projects(), planted.root.path().join("secret.jsonl"));
    write(&secret, "the operator's secret\n");
    write(&folder.join("a.jsonl"), b"one\n\n\xfftwo\nthe last without an end");
    write(&folder.join("notes.md"), "no transcript\n");
    symlink(&secret, folder.join("link.jsonl")).unwrap();
    symlink(planted.root.path(), folder.join("folder")).unwrap();
    std::fs::create_dir(folder.join("folder.jsonl")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("fifo.jsonl"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let (read, left_out) = planted.read();
    assert_eq!(read, ["one", "\u{fffd}two", "the last without an end"]);
    assert_eq!(left_out, LeftOut { beyond_bounds: false, long_lines: 0, unreadable: 2 });
}

#[test]
fn a_folder_that_is_a_link_leads_nowhere() {
    let planted = Planted::new();
    let (claude, elsewhere) = (planted.root.path().join("data/sessions/family/.claude"), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(elsewhere.path().join("projects/x")).unwrap();
    write(&elsewhere.path().join("projects/x/a.jsonl"), "the operator's secret\n");
    std::fs::remove_dir_all(&claude).unwrap();
    symlink(elsewhere.path(), &claude).unwrap();
    assert_eq!(planted.read(), (Vec::new(), LeftOut { unreadable: 1, ..LeftOut::default() }));
    std::fs::remove_file(&claude).unwrap();
    assert_eq!(planted.read(), (Vec::new(), LeftOut::default()));
}

#[test]
fn a_file_that_is_swapped_for_a_link_never_shows_what_the_link_leads_to() {
    let planted = Planted::new();
    let folder = planted.projects();
    write(&planted.root.path().join("secret"), "secret\n");
    write(&folder.join("file"), "own\n");
    symlink(planted.root.path().join("secret"), folder.join("link")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for name in ["file", "link"] {
                    std::fs::rename(folder.join(name), folder.join("a.jsonl")).unwrap();
                    std::fs::rename(folder.join("a.jsonl"), folder.join(name)).unwrap();
                }
            }
        });
        for _ in 0..1000 {
            let (read, _) = planted.read();
            assert!(read.iter().all(|line| line == "own"), "{read:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn what_is_too_long_or_too_deep_is_left_out_and_told() {
    let planted = Planted::new();
    let folder = planted.projects();
    let mut long = vec![b'x'; 9 * 1024 * 1024];
    long.extend(b"\nafter it\n");
    write(&folder.join("a.jsonl"), long);
    let deep = folder.join("1/2/3/4/5/6");
    std::fs::create_dir_all(&deep).unwrap();
    write(&deep.join("b.jsonl"), "too deep\n");
    let (read, left_out) = planted.read();
    assert_eq!(read, ["after it"]);
    assert_eq!(left_out, LeftOut { beyond_bounds: true, long_lines: 1, unreadable: 0 });
}
