use longshore_agent::provider::claude::Claude;
use longshore_agent::provider::codex::{Before, Codex, resumed};
use longshore_agent::provider::{Invocation, Place, Provider};
use longshore_protocol::{HostTools, ProviderKind, ProviderSettings, TurnRequest, Usage};

fn place() -> Place {
    Place {
        directory: "/workspace/group".into(),
        home: "/home/node".into(),
        scratch: "/tmp/scratch".into(),
        bridge_port: 7411,
    }
}

fn request(provider: ProviderKind) -> TurnRequest {
    TurnRequest {
        turn: "t1".parse().unwrap(),
        provider,
        prompt: "<messages>hi</messages>".into(),
        prelude: "You are \"Andy\".\n".into(),
        session: None,
        settings: ProviderSettings::default(),
        tools: HostTools::default(),
        time_limit_seconds: 60,
    }
}

fn claude(request: &TurnRequest) -> Invocation {
    Claude::new("the-message".into(), "the-fresh-session".into(), 0).invocation(request, &place())
}

fn codex(request: &TurnRequest) -> Invocation {
    Codex::new(resumed(request).cloned(), Before::Known(Usage::default())).invocation(request, &place())
}

/// The invocation as text, one word a line.
fn shown(invocation: &Invocation) -> String {
    let mut text = format!("{}\n", invocation.program);
    invocation.args.iter().for_each(|word| text += &format!("  {word}\n"));
    invocation.env.iter().for_each(|(name, value)| text += &format!("{name}={value}\n"));
    invocation.files.iter().for_each(|(path, content)| text += &format!("{} {content:?}\n", path.display()));
    text + &invocation.stdin
}

#[test]
fn claude_starts_a_conversation() {
    insta::assert_snapshot!(shown(&claude(&request(ProviderKind::Claude))));
}

#[test]
fn claude_continues_a_conversation_with_the_operators_model() {
    let mut request = request(ProviderKind::Claude);
    request.session = Some("fb245f20-58f5-40c6-a4d7-849959bc1e11".parse().unwrap());
    request.settings.model = Some("opus".into());
    request.prelude.clear();
    let args = claude(&request).args;
    assert_eq!(args[args.len() - 2..], ["--model=opus", "--resume=fb245f20-58f5-40c6-a4d7-849959bc1e11"]);
    assert!(!args.iter().any(|word| word.contains("append")), "{args:?}");
}

#[test]
fn codex_starts_a_thread() {
    insta::assert_snapshot!(shown(&codex(&request(ProviderKind::Codex))));
}

#[test]
fn codex_resumes_only_where_the_operator_chose_it() {
    let mut request = request(ProviderKind::Codex);
    request.session = Some("01a1fc6d-17f0-70d1-bc9a-1f565c9513ed".parse().unwrap());
    assert_eq!(codex(&request).args.last().unwrap(), "-");
    assert!(!codex(&request).args.contains(&"resume".to_owned()));
    request.settings.resume = true;
    request.settings.model = Some("gpt-5.5".into());
    request.settings.reasoning_effort = Some("high".into());
    request.settings.config_overrides = [("web_search".to_owned(), "\"live\"".to_owned())].into();
    let args = codex(&request).args;
    assert_eq!(
        args[args.len() - 8..],
        [
            "-c",
            "model_reasoning_effort=\"high\"",
            "-c",
            "web_search=\"live\"",
            "--model=gpt-5.5",
            "resume",
            "01a1fc6d-17f0-70d1-bc9a-1f565c9513ed",
            "-"
        ]
    );
}

/// What is there with the tools and not without them.
fn added(kind: ProviderKind, tools: HostTools) -> String {
    let run = |request: &TurnRequest| match kind {
        ProviderKind::Claude => claude(request),
        ProviderKind::Codex => codex(request),
    };
    let without = run(&request(kind));
    let mut with = run(&TurnRequest { tools, ..request(kind) });
    assert_eq!((&with.env, &with.stdin, &with.files), (&without.env, &without.stdin, &without.files));
    with.args.retain(|word| !without.args.contains(word));
    with.args.join("\n")
}

#[test]
fn claude_is_given_the_hosts_tools() {
    insta::assert_snapshot!(added(ProviderKind::Claude, HostTools::Mcp), @r#"
        --mcp-config={"mcpServers":{"longshore":{"command":"/usr/local/bin/longshore-agent","args":["mcp"],"alwaysLoad":true}}}
        "#);
    insta::assert_snapshot!(added(ProviderKind::Claude, HostTools::MainMcp), @r#"
        --mcp-config={"mcpServers":{"longshore":{"command":"/usr/local/bin/longshore-agent","args":["mcp","--main"],"alwaysLoad":true}}}
        "#);
}

#[test]
fn codex_is_given_the_hosts_tools_and_told_of_them() {
    insta::assert_snapshot!(added(ProviderKind::Codex, HostTools::Mcp).replace("\\n", "\n"));
    let (group, main) = (added(ProviderKind::Codex, HostTools::Mcp), added(ProviderKind::Codex, HostTools::MainMcp));
    let more: Vec<&str> =
        main.split("\\n").flat_map(str::lines).filter(|line| !group.contains(line.trim_end_matches('"'))).collect();
    insta::assert_snapshot!(more.join("\n"), @r#"
        mcp_servers.longshore.args=["mcp","--main"]
        - `register_group {jid, name, folder, trigger?, requires_trigger?, provider?, timezone?}`: answer in another chat too; the chats are in `/workspace/ipc/available_groups.json`.
        "#);
}

#[test]
fn codex_is_told_of_the_tools_without_a_prelude_too() {
    let mut request = TurnRequest { tools: HostTools::Mcp, ..request(ProviderKind::Codex) };
    request.prelude.clear();
    let args = codex(&request).args;
    assert!(args.iter().any(|word| word.starts_with("developer_instructions=\"# The host's tools")), "{args:?}");
}

#[test]
fn a_prelude_beyond_one_arguments_limit_leads_the_prompt() {
    let mut request = request(ProviderKind::Codex);
    request.prelude = "é".repeat(80_000);
    let invocation = codex(&request);
    assert!(invocation.args.iter().all(|word| word.len() < 128 * 1024));
    assert!(!invocation.args.iter().any(|word| word.starts_with("developer_instructions")));
    assert_eq!(
        invocation.stdin,
        format!("<instructions>\n{}\n</instructions>\n<messages>hi</messages>", request.prelude)
    );
}

#[test]
fn a_prelude_is_a_toml_string_whatever_it_holds() {
    let mut request = request(ProviderKind::Codex);
    request.prelude = "a\"\\\u{7f}\u{1}\n".into();
    let args = codex(&request).args;
    assert!(args.contains(&r#"developer_instructions="a\"\\\u007f\u0001\n""#.to_owned()), "{args:?}");
}
