use std::time::Duration;

use longshore_protocol::ProviderKind;

use super::{first, load_bytes, rendered};
use crate::groups::{ApprovalPolicy, AuthMethod, CodexTools, Credentials, Groups};

#[test]
fn a_file_of_the_json_era_is_read_as_it_is() {
    let loaded = first(
        r#"{ "120363336345536173@g.us": { "name": "Family Chat", "folder": "family-chat", "trigger": "@Andy",
            "added_at": "2026-01-31T12:00:00.000Z",
            "containerConfig": { "additionalMounts": [ {"hostPath":"~/projects/webapp","containerPath":"webapp","readonly":false},
                                                       {"hostPath":"/srv/music"} ],
                                 "timeout": 600000, "env": {"K":"V"} } },
           "1@s.whatsapp.net": { "name": "Me", "folder": "main", "trigger": "@Andy", "added_at": "x" } }"#,
    );
    assert_eq!(
        rendered(&loaded),
        "line 5, column 60: `$['120363336345536173@g.us'].containerConfig.env`: has no effect: containers are given no \
         environment of the operator's (this alone is ignored)\n"
    );
    let family = loaded.groups.by_id(&"family-chat".parse().unwrap()).unwrap();
    assert_eq!(family.chat, "120363336345536173@g.us");
    assert_eq!((family.provider, family.requires_trigger, family.is_main), (ProviderKind::Claude, true, false));
    assert_eq!(family.container.time_limit, Some(Duration::from_secs(600)));
    let mounts: Vec<_> = family.container.mounts.iter().map(|m| (m.host_path.as_str(), m.readonly)).collect();
    assert_eq!(mounts, [("~/projects/webapp", false), ("/srv/music", true)]);
    assert_eq!(loaded.groups.main().unwrap().id.as_str(), "main");
}

#[test]
fn everything_that_can_be_chosen_arrives() {
    let loaded = first(
        r#"{ "$schema": "x", "c": { "name": "n", "folder": "f", "requiresTrigger": false, "isMain": true, "provider": "codex",
            "providerConfig": { "codex": { "approvalPolicy": "readonly", "authMethod": "api_key", "credentials": "mounted",
                "model": "m", "reasoningEffort": "high", "resume": true, "tools": "mcp",
                "configOverrides": { "a.b": "x\"y", "n": 1, "f": 0.5, "t": true } }, "claude": { "model": "opus" } },
            "containerConfig": { "prewarm": true, "image": "registry:5000/agent:1", "egress": "list",
                                 "egressAllow": ["Intranet.example", "*.example.org:8443"] },
            "timezone": "Europe/Berlin", "memoryLimit": "2g", "cpus": 1.5, "pidsLimit": 256, "trigger": null } }"#,
    );
    assert_eq!(rendered(&loaded), "");
    let group = loaded.groups.by_chat("c").unwrap();
    assert_eq!((group.provider, group.approval), (ProviderKind::Codex, ApprovalPolicy::Readonly));
    assert_eq!(group.codex.auth_method, Some(AuthMethod::ApiKey));
    assert_eq!((group.codex.credentials, group.codex.tools), (Credentials::Mounted, CodexTools::Mcp));
    assert_eq!(group.settings.model.as_deref(), Some("m"));
    assert!(group.settings.resume && group.is_main && !group.requires_trigger && group.container.prewarm);
    let overrides: Vec<_> = group.settings.config_overrides.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(overrides, [("a.b", r#""x\"y""#), ("f", "0.5"), ("n", "1"), ("t", "true")]);
    assert_eq!(group.timezone.as_ref().unwrap().iana_name(), Some("Europe/Berlin"));
    assert_eq!(group.container.memory_bytes, Some(2 << 30));
    assert_eq!((group.container.nano_cpus, group.container.pids), (Some(1_500_000_000), Some(256)));
    assert_eq!(group.trigger, None);
    let allowed: Vec<_> = group.container.egress.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["intranet.example", "*.example.org:8443"]);
}

#[test]
fn egress_is_a_list_until_the_operator_says_otherwise() {
    let of = |config: &str| {
        let loaded = first(&format!(r#"{{"c": {{"name": "n", "folder": "f", "containerConfig": {config}}}}}"#));
        (loaded.groups.by_chat("c").unwrap().container.egress.to_string(), rendered(&loaded))
    };
    for (config, egress) in [
        ("{}", "list"),
        (r#"{"egress": null, "egressAllow": null}"#, "list"),
        (r#"{"egressAllow": []}"#, "list"),
        (r#"{"egressAllow": ["a.example", "b.example:22"]}"#, "list +2"),
        (r#"{"egress": "open"}"#, "open"),
        (r#"{"egress": "none"}"#, "none"),
    ] {
        assert_eq!(of(config), (egress.to_owned(), String::new()), "{config}");
    }
    let (egress, problems) = of(r#"{"egress": "none", "egressAllow": ["a.example"]}"#);
    assert_eq!(egress, "none");
    assert!(problems.contains("egressAllow`: has no effect: `egress` is `none`"), "{problems}");
}

#[test]
fn a_model_for_the_other_provider_is_not_this_ones() {
    let loaded = first(
        r#"{"c": {"name": "n", "folder": "f", "providerConfig": {"codex": {"model": "m", "approvalPolicy": "full"}}}}"#,
    );
    let group = loaded.groups.by_chat("c").unwrap();
    assert_eq!((group.settings.model.as_deref(), group.approval), (None, ApprovalPolicy::Auto));
}

#[test]
fn a_bad_entry_keeps_what_it_was_and_the_others_apply() {
    let before = first(r#"{"a": {"name": "A", "folder": "a"}, "b": {"name": "B", "folder": "b"}}"#).groups;
    let after = load_bytes(
        br#"{"a": {"name": "A", "folder": "a", "providr": "codex"}, "b": {"name": "B2", "folder": "b"}, "c": {"name": 1, "folder": "c"}}"#,
        &before,
    );
    assert_eq!(after.groups.by_chat("a").unwrap(), before.by_chat("a").unwrap());
    assert_eq!(after.groups.by_chat("b").unwrap().name, "B2");
    assert!(after.groups.by_chat("c").is_none());
    let effects: Vec<String> = after.problems.iter().map(|problem| problem.effect.to_string()).collect();
    assert_eq!(effects, ["the group stays as it last was", "the chat is not served"]);
}

#[test]
fn what_is_no_json_changes_nothing_and_what_is_gone_is_gone() {
    let before = first(r#"{"a": {"name": "A", "folder": "a"}, "b": {"name": "B", "folder": "b"}}"#).groups;
    for broken in ["", "{", "[]", "null", r#"{"a": {}"#, "\u{1}", r#"{"a": 01}"#, "{}{}"] {
        let loaded = load_bytes(broken.as_bytes(), &before);
        assert!(loaded.is_unreadable() && loaded.groups.len() == 2, "{broken:?}");
        assert_eq!(loaded.problems.len(), 1, "{broken:?}");
    }
    assert!(load_bytes(b"{}", &before).groups.is_empty());
    let one = load_bytes(br#"{"b": {"name": "B", "folder": "b"}}"#, &before).groups;
    assert_eq!(one.iter().map(|group| group.chat.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_group_has_the_generation_in_which_it_last_changed() {
    let one = first(r#"{"a": {"name": "A", "folder": "a"}, "b": {"name": "B", "folder": "b"}}"#).groups;
    let two =
        load_bytes(br#"{"b":{"folder":"b","name":"B"}, "a": {"name": "A", "folder": "a", "cpus": 2}}"#, &one).groups;
    let generations = |groups: &Groups| ["a", "b"].map(|chat| groups.by_chat(chat).unwrap().generation);
    assert_eq!((one.generation(), generations(&one)), (1, [1, 1]));
    assert_eq!((two.generation(), generations(&two)), (2, [2, 1]));
}

#[test]
fn main_is_who_says_so_or_else_the_folder_of_that_name() {
    let main = |text: &str| first(text).groups.main().map(|group| group.chat.clone());
    let entry =
        |chat: &str, folder: &str, rest: &str| format!(r#""{chat}": {{"name": "n", "folder": "{folder}"{rest}}}"#);
    for (entries, expected) in [
        (vec![entry("a", "x", ""), entry("b", "main", "")], Some("b")),
        (vec![entry("a", "x", r#", "isMain": true"#), entry("b", "main", "")], Some("a")),
        (vec![entry("a", "x", r#", "isMain": false"#), entry("b", "main", "")], Some("b")),
        (vec![entry("a", "x", ""), entry("b", "main", r#", "isMain": false"#)], None),
        // An entry that says so but is broken must not make another one main.
        (vec![entry("a", "x", r#", "isMain": true, "oops": 1"#), entry("b", "main", "")], None),
    ] {
        let file = format!("{{{}}}", entries.join(","));
        assert_eq!(main(&file).as_deref(), expected, "{file}");
    }
}

#[test]
fn a_last_good_version_is_never_pushed_out_by_somebody_elses_entry() {
    let before = first(r#"{"a": {"name": "A", "folder": "x"}, "b": {"name": "B", "folder": "y"}}"#).groups;
    // `a` breaks, `b` wants its folder, `c` wants the one that `b` would leave.
    let after = load_bytes(
        br#"{"c": {"name": "C", "folder": "Y"}, "b": {"name": "B2", "folder": "x"}, "a": {"name": 1, "folder": "z"}}"#,
        &before,
    );
    let served: Vec<_> =
        after.groups.iter().map(|group| (group.chat.as_str(), group.name.as_str(), group.id.as_str())).collect();
    assert_eq!(served, [("b", "B", "y"), ("a", "A", "x")]);
    insta::assert_snapshot!(rendered(&after));
    // Two may trade places.
    let traded = load_bytes(br#"{"a": {"name": "A", "folder": "y"}, "b": {"name": "B", "folder": "x"}}"#, &before);
    assert_eq!(rendered(&traded), "");
}
