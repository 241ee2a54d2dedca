//! Transcripts: what was said and done, told by `longshore transcript` for both providers.

use longshore_tests::{Host, Installation};
use serde_json::Value;

/// Exit status, stdout and stderr of a command.
fn run(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = installation.longshore(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn entries(installation: &Installation, arguments: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = run(installation, &[&["transcript"], arguments, &["--format", "json"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_people_agents_and_tools_said_is_one_transcript_for_both_providers_and_outlives_the_host() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for group in ["main", "coder"] {
        assert_eq!(host.chat(group, "#rehearse shell echo a-sound-of-tools").status, 0);
        assert_eq!(host.chat(group, "and \"quoted\" words* (of mine)").status, 0);
    }
    assert_eq!(host.stop(), Some(0));
    for (group, provider) in [("main", "claude"), ("coder", "codex")] {
        let all = entries(&installation, &[group]);
        let kinds: Vec<&str> = all.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["person", "tool_call", "tool_result", "agent", "person", "agent"], "{group}: {all:#?}");
        let (call, result) = (&all[1], &all[2]);
        assert!(call["text"].as_str().unwrap().contains("echo a-sound-of-tools"), "{call}");
        assert!(result["text"].as_str().unwrap().contains("a-sound-of-tools"), "{result}");
        assert_eq!((&call["call"], &call["author"]), (&result["call"], &provider.into()));
        // Everything belongs to the turn during which it was.
        assert!(all[..4].iter().all(|entry| entry["turn"] == all[0]["turn"]), "{all:#?}");
        let turn = all[4]["turn"].as_str().unwrap();
        assert_eq!(entries(&installation, &[group, "--turn", turn]), all[4..]);
        assert_eq!(entries(&installation, &[group, "--last", "2"]), all[4..]);
        assert_eq!(entries(&installation, &[group, "--since", "2h", "--search", "\"QUOTED\" (of word*"])[0], all[4]);
        let (code, stdout, stderr) = run(&installation, &["transcript", group, "--search", "submarine"]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");

        let (code, text, _) = run(&installation, &["transcript", group]);
        assert_eq!(code, Some(0));
        assert!(text.lines().next().unwrap().ends_with("Operator: #rehearse shell echo a-sound-of-tools"), "{text}");
        let file = installation.path(&format!("{group}.md"));
        let to = file.to_str().unwrap();
        assert_eq!(run(&installation, &["transcript", group, "--format", "markdown", "--output", to]).0, Some(0));
        let page = std::fs::read_to_string(&file).unwrap();
        assert!(page.starts_with(&format!("# Transcript of `{group}`\n")) && page.contains("> #rehearse"), "{page}");
        let (code, _, stderr) = run(&installation, &["transcript", group, "--output", to]);
        assert_eq!(code, Some(1), "what is there is not overwritten: {stderr}");

        let (code, raw, _) = run(&installation, &["transcript", group, "--raw", "--turn", turn]);
        assert_eq!(code, Some(0));
        assert!(!raw.is_empty() && raw.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{raw}");
        assert!(raw.contains("of mine") && !raw.contains("\"echo a-sound-of-tools\""), "{raw}");
    }
    let (code, _, stderr) = run(&installation, &["transcript", "nobody"]);
    assert!(code == Some(1) && stderr.contains("`longshore groups`"), "{stderr}");
}
