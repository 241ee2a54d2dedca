use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../.env.example");

fn parse(vars: &[(&str, &str)]) -> Result<Config, Vec<ConfigProblem>> {
    Config::parse(&vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn problems(vars: &[(&str, &str)]) -> Vec<String> {
    parse(vars).unwrap_err().iter().map(ToString::to_string).collect()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

/// Loads with `env` as the process environment and `file`, if any, as `.env`.
fn load(file: Option<&[u8]>, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let root = tempfile::tempdir().unwrap();
    if let Some(file) = file {
        std::fs::write(root.path().join(FILE), file).unwrap();
    }
    load_from(root.path(), env)
}

fn load_from(root: &Path, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let env = env.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
    Config::load_over(root, env, None, None).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

#[test]
fn nothing_set_is_a_usable_configuration() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.assistant_name, "Andy");
    assert_eq!(config.container_image, "longshore-agent:latest");
    assert_eq!(config.broker_link, None);
    assert_eq!(config.container_timeout, Duration::from_secs(1800));
    assert_eq!(config.idle_timeout, Duration::from_secs(600));
    assert_eq!(config.max_concurrent_containers.get(), 5);
    assert_eq!(config.max_messages_per_prompt.get(), 200);
    assert_eq!(config.time_zone, TimeZone::UTC);
    assert_eq!(config.channels, [ChannelSetting::Console]);
    assert_eq!(config.retention, Some(Duration::from_secs(90 * 24 * 3600)));
    assert_eq!((config.log.level, config.log.record_level), (LevelFilter::INFO, LevelFilter::DEBUG));
    assert_eq!((config.log.record_bytes, config.otlp_endpoint), (64 << 20, None));
    assert_eq!(config.claude, ClaudeAccess::default());
    assert_eq!(config.codex, CodexAccess::default());
    assert!(config.warnings.is_empty());
}

#[test]
fn the_example_file_names_every_setting_with_its_default() {
    assert_eq!(load(Some(EXAMPLE.as_bytes()), &[]), Ok(parse(&[]).unwrap()));

    let settings: Vec<&str> = EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.split_once('=').is_some_and(|(key, _)| parse::is_known(key)))
        .collect();
    for key in parse::KEYS {
        let lines = settings.iter().filter(|line| line.split('=').next() == Some(key)).count();
        assert_eq!(lines, 1, "{key}");
    }
    // With everything switched on it says the same, but for the channel that nobody has asked for.
    let config = load(Some(settings.join("\n").as_bytes()), &[]).unwrap();
    assert_eq!(warnings(&config), ["`CHANNEL_WHATSAPP` does nothing: `whatsapp` is not in `CHANNELS`"]);
    assert_eq!(Config { warnings: Vec::new(), ..config }, parse(&[]).unwrap());
}

#[test]
fn every_problem_is_reported_at_once_with_what_to_write() {
    let problems = problems(&[
        ("ASSISTANT_NAME", "An\ndy"),
        ("CONTAINER_IMAGE", "--privileged"),
        ("BROKER_LINK", "tcp"),
        ("CONTAINER_TIMEOUT", "30m"),
        ("IDLE_TIMEOUT", "-1"),
        ("MAX_CONCURRENT_CONTAINERS", "0"),
        ("MAX_MESSAGES_PER_PROMPT", "99999999999999999999"),
        ("EGRESS_RESOLVER", "dns.example:53"),
        ("TZ", "Mars/Olympus"),
        ("CHANNELS", "console, Console, what's up, whatsapp, telegram, signal, sms"),
        ("CHANNEL_TELEGRAM", "tele 'gram"),
        ("CHANNEL_SIGNAL", "'' --token hidden"),
        ("CHANNEL_SMS", "   "),
        ("RETENTION_DAYS", "6"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_FILE_LEVEL", "trace"),
        ("ANTHROPIC_API_KEY", "sk hidden"),
        ("ANTHROPIC_AUTH_TOKEN", "hidden\u{1}"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "hidden\n"),
        ("ANTHROPIC_BASE_URL", "https://me:hidden@gateway"),
        ("CODEX_API_KEY", "hiddén"),
        ("OPENAI_API_KEY", " hidden"),
        ("OPENAI_BASE_URL", "localhost:8080"),
        ("CODEX_MODEL", "gpt 6"),
    ]);
    assert!(!problems.concat().contains("hidd"));
    insta::assert_snapshot!(problems.join("\n"));
}

#[test]
fn the_link_to_the_broker_is_the_engine_s_matter_unless_it_is_said() {
    use crate::container::LinkKind;
    for (text, link) in
        [("auto", None), ("", None), ("socket", Some(LinkKind::Socket)), (" EXEC ", Some(LinkKind::Exec))]
    {
        assert_eq!(parse(&[("BROKER_LINK", text)]).unwrap().broker_link, link, "{text}");
    }
}

#[test]
fn what_is_finished_is_kept_for_a_week_at_least_or_for_ever() {
    assert_eq!(parse(&[("RETENTION_DAYS", "0")]).unwrap().retention, None);
    assert_eq!(parse(&[("RETENTION_DAYS", "7")]).unwrap().retention, Some(Duration::from_secs(7 * 24 * 3600)));
    for days in ["1", "6", "-1", "36501", "90d"] {
        assert_eq!(problems(&[("RETENTION_DAYS", days)]).len(), 1, "{days}");
    }
}

#[test]
fn a_name_server_is_an_address_perhaps_with_a_port() {
    for (text, read) in [
        ("192.0.2.53", "192.0.2.53:53"),
        ("127.0.0.1:5353", "127.0.0.1:5353"),
        ("2001:db8::53", "[2001:db8::53]:53"),
        ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
    ] {
        assert_eq!(parse(&[("EGRESS_RESOLVER", text)]).unwrap().egress_resolver, Some(read.parse().unwrap()), "{text}");
    }
    for text in ["localhost", "192.0.2.53:0", "0.0.0.0", "192.0.2.53:65536", "192.0.2.53 192.0.2.54"] {
        assert_eq!(problems(&[("EGRESS_RESOLVER", text)]).len(), 1, "{text}");
    }
}

#[test]
fn releases_are_looked_for_where_the_operator_says_or_not_at_all() {
    let updates = |vars: &[(&str, &str)]| parse(vars).map(|config| (config.updates.policy, warnings(&config).len()));
    for (policy, registry, told) in [
        ("", "", (UpdatePolicy::Notify, 0)),
        ("Notify", "http://127.0.0.1:4873/npm/", (UpdatePolicy::Notify, 0)),
        ("never", "", (UpdatePolicy::Never, 0)),
        ("never", "nowhere", (UpdatePolicy::Never, 0)),
        // Meant for npm, and no reason not to start.
        ("notify", "https://ada:secret@npm.example", (UpdatePolicy::Never, 1)),
    ] {
        assert_eq!(
            updates(&[("CLI_UPDATES", policy), ("NPM_CONFIG_REGISTRY", registry)]),
            Ok(told),
            "{policy} {registry}"
        );
    }
    assert!(problems(&[("CLI_UPDATES", "daily")])[0].contains("`never`, `notify` or `auto`"));
    let secret = parse(&[("NPM_CONFIG_REGISTRY", "https://ada:secret@npm.example")]).unwrap();
    assert!(!format!("{:?}", secret.warnings).contains("secret"), "{:?}", secret.warnings);
}

#[test]
fn an_empty_value_is_as_good_as_none() {
    let empty: Vec<(&str, &str)> = parse::KEYS.into_iter().zip(["", " ", "\t"].into_iter().cycle()).collect();
    assert_eq!(parse(&empty).unwrap(), parse(&[]).unwrap());
}

#[test]
fn a_channel_has_its_command_in_words() {
    let config = parse(&[
        ("CHANNELS", "WhatsApp,console,sms_2,"),
        ("CHANNEL_WHATSAPP", r#"/opt/longshore-whatsapp --name "Family bot" 'a b' c\ d $HOME ; ls"#),
        ("CHANNEL_SMS_2", "sms"),
    ])
    .unwrap();
    let adapter = |name: &str, command: &[&str]| ChannelSetting::Adapter {
        name: name.to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
    };
    let words = ["/opt/longshore-whatsapp", "--name", "Family bot", "a b", "c d", "$HOME", ";", "ls"];
    assert_eq!(config.channels, [adapter("whatsapp", &words), ChannelSetting::Console, adapter("sms_2", &["sms"])]);
    assert!(config.warnings.is_empty());
    assert_eq!(problems(&[("CHANNELS", ",")]), ["`CHANNELS` names no channel; write for example `CHANNELS=console`"]);
}

#[test]
fn the_claude_credential_is_the_one_that_the_cli_would_take() {
    use ClaudeCredential::{ApiKey, ApiKeyAndAuthToken, AuthToken, OauthToken};
    let key = ("ANTHROPIC_API_KEY", "key");
    let token = ("ANTHROPIC_AUTH_TOKEN", "token");
    let oauth = ("CLAUDE_CODE_OAUTH_TOKEN", "oauth");
    let both = || ApiKeyAndAuthToken { api_key: secret("key"), auth_token: secret("token") };
    for (vars, expected, warned) in [
        (&[][..], None, 0),
        (&[key], Some(ApiKey(secret("key"))), 0),
        (&[token], Some(AuthToken(secret("token"))), 0),
        (&[oauth], Some(OauthToken(secret("oauth"))), 0),
        (&[key, oauth], Some(ApiKey(secret("key"))), 1),
        (&[token, oauth], Some(AuthToken(secret("token"))), 1),
        (&[key, token], Some(both()), 0),
        (&[key, token, oauth], Some(both()), 1),
    ] {
        let config = parse(vars).unwrap();
        assert_eq!(config.claude.credential, expected, "{vars:?}");
        assert_eq!(config.warnings.len(), warned, "{vars:?}");
    }
}

#[test]
fn the_codex_key_wins_over_the_openai_key() {
    let config = parse(&[("CODEX_API_KEY", "one"), ("OPENAI_API_KEY", "two")]).unwrap();
    assert_eq!(config.codex.api_key, Some(secret("one")));
    assert_eq!(warnings(&config), ["`OPENAI_API_KEY` is not used, because `CODEX_API_KEY` is set"]);
    assert_eq!(parse(&[("OPENAI_API_KEY", "two")]).unwrap().codex.api_key, Some(secret("two")));
}

#[test]
fn a_secret_cannot_be_seen_in_debug_output() {
    let config = parse(&[("ANTHROPIC_API_KEY", "sk-hidden"), ("CODEX_API_KEY", "sk-hidden")]).unwrap();
    let debug = format!("{config:?}");
    assert!(debug.contains("<redacted>"));
    assert!(!debug.contains("hidden"));
}

#[test]
fn a_base_url_is_an_address_and_a_path() {
    for (text, joined) in [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages?beta=true"),
        ("http://[::1]:8080/", "http://[::1]:8080/v1/messages?beta=true"),
        ("https://gateway:8443/team/a//", "https://gateway:8443/team/a/v1/messages?beta=true"),
    ] {
        let base: BaseUrl = text.parse().unwrap();
        assert_eq!(base.join("/v1/messages", Some("beta=true")).unwrap().to_string(), joined);
    }
    for (text, error) in [
        ("", BaseUrlError::NotUrl),
        ("/v1", BaseUrlError::NotUrl),
        ("api.openai.com", BaseUrlError::NotUrl),
        ("https://", BaseUrlError::NotUrl),
        ("http://a b", BaseUrlError::NotUrl),
        ("http://ä", BaseUrlError::NotUrl),
        ("unix:/run/x.sock", BaseUrlError::NotUrl),
        ("ftp://host", BaseUrlError::Scheme),
        ("http://host:", BaseUrlError::Host),
        ("http://host:0", BaseUrlError::Host),
        ("http://host:99999", BaseUrlError::Host),
        ("http://user:password@host", BaseUrlError::User),
        ("http://host/v1?key=x", BaseUrlError::Query),
        ("http://host/v1#x", BaseUrlError::Query),
    ] {
        assert_eq!(text.parse::<BaseUrl>(), Err(error), "{text}");
    }
}

#[test]
fn the_process_environment_wins_for_known_settings_only() {
    let file = b"ASSISTANT_NAME=File\nCONTAINER_IMAGE='image:1'\nexport LOG_LEVEL=debug\n";
    let env = [("ASSISTANT_NAME", "Env"), ("CONTAINER_IMAGE", ""), ("LOG_LEVL", "x"), ("PATH", "/bin")];
    let config = load(Some(file), &env).unwrap();
    assert_eq!(config.assistant_name, "Env");
    assert_eq!(config.container_image, "image:1");
    assert_eq!(config.log.level, LevelFilter::DEBUG);
    assert!(config.warnings.is_empty());
}

#[test]
fn no_file_is_fine_and_an_unreadable_one_is_a_problem() {
    assert_eq!(load(None, &[]), Ok(parse(&[]).unwrap()));
    assert_eq!(load(Some(b"A=\xff"), &[]).unwrap_err(), ["`.env` is not UTF-8; save it as UTF-8"]);
    let huge = load(Some(&vec![b'#'; 300_000]), &[]).unwrap_err();
    assert_eq!(huge, ["`.env` is larger than 262144 bytes; keep only settings in it"]);

    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join(FILE)).unwrap();
    assert_eq!(load_from(root.path(), &[]).unwrap_err().len(), 1);
}

#[test]
fn a_syntax_error_has_its_line_and_hides_the_value() {
    let file = "\u{feff}# comment\r\n\r\nASSISTANT_NAME=Bo # so\r\nsk-hidden\r\nTZ=Nowhere\r\nTZ=UTC\nCODEX_API_KEY=it's hidden\n\nLOG_LEVEL=info";
    insta::assert_snapshot!(load(Some(file.as_bytes()), &[]).unwrap_err().join("\n"), @r"
    `.env` line 4 is not `KEY=value`; write `KEY=value`, with the value in single quotes if it has blanks, quotes, `$` or `#`
    `TZ` is set again in line 6 of `.env`; keep one of them
    `.env` line 7 opens a quote that is never closed; write `KEY=value`, with the value in single quotes if it has blanks, quotes, `$` or `#`
    ");
}

#[test]
fn an_unknown_setting_is_a_warning_with_the_likely_name() {
    let config = load(Some(b"ASISTANT_NAME=Bo\nanthropic_api_key=x\nTIMEZONE=UTC\nPORT=1\nCHANNEL_CONSOLE=x \n"), &[]);
    insta::assert_snapshot!(warnings(&config.unwrap()).join("\n"), @r"
    `ASISTANT_NAME` in `.env` is not a setting; did you mean `ASSISTANT_NAME`?
    `CHANNEL_CONSOLE` does nothing: the console is built in
    `PORT` in `.env` is not a setting
    `TIMEZONE` in `.env` is not a setting
    `anthropic_api_key` in `.env` is not a setting; did you mean `ANTHROPIC_API_KEY`?
    ");
    let config = parse(&[("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1/")]).unwrap();
    assert_eq!(warnings(&config), ["`ANTHROPIC_BASE_URL` ends in `/v1`, and `/v1/messages` is added to it"]);
}

#[test]
fn the_time_zone_is_the_operators_else_the_systems() {
    let root = tempfile::tempdir().unwrap();
    let load = |env: &[(&str, &str)], system: Option<&str>| {
        let env: Vec<_> = env.iter().map(|(key, value)| (OsString::from(key), OsString::from(value))).collect();
        Config::load_over(root.path(), env, system.map(str::to_owned), None).unwrap().time_zone
    };
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    assert_eq!(load(&[], Some("Europe/Berlin")), berlin);
    assert_eq!(load(&[("TZ", ":Europe/Berlin")], Some("Asia/Tokyo")), berlin);
    assert_eq!(load(&[("TZ", "")], None), TimeZone::UTC);
}

#[test]
fn a_variable_that_is_not_text_is_named() {
    let root = tempfile::tempdir().unwrap();
    let env = [(OsString::from("CODEX_API_KEY"), OsString::from_vec(vec![0xff]))];
    let problems = Config::load_over(root.path(), env, None, None).unwrap_err();
    assert_eq!(problems[0].to_string(), "`CODEX_API_KEY` is not UTF-8; set it to readable text");
}

proptest! {
    #[test]
    fn no_text_upsets_the_file_reader_or_loses_a_written_value(text in any::<String>(), value in "[a-z0-9_.:/-]{1,40}") {
        let mut problems = Vec::new();
        dotenv::read(&text, &mut problems);
        let vars = dotenv::read(&format!("A='{value}'\n# {}\nB={value}", text.replace(['\n', '\r'], "")), &mut Vec::new());
        let expected: BTreeMap<_, _> = ["A", "B"].map(|key| (key.to_owned(), value.clone())).into();
        prop_assert_eq!(vars, expected);
    }

    #[test]
    fn a_refused_credential_is_never_repeated(text in "[ -~]{0,20}[ \u{1}é][!-~]{8,20}") {
        for key in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"] {
            for problem in problems(&[(key, &text)]) {
                prop_assert!(!problem.contains(text.trim()));
                prop_assert!(problem.contains(key));
            }
        }
    }
}

#[test]
fn an_adapter_that_lies_beside_the_host_needs_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("the programs");
    std::fs::create_dir_all(programs.join("longshore-folder")).unwrap();
    std::fs::write(programs.join("longshore-whatsapp"), "").unwrap();
    let load = |channels: &str, command: Option<&str>| {
        let mut env = vec![("CHANNELS".into(), channels.into())];
        env.extend(command.map(|command| ("CHANNEL_WHATSAPP".into(), command.into())));
        Config::load_over(folder.path(), env, None, Some(&programs)).map(|config| config.channels)
    };
    let adapter = |word: &std::path::Path| {
        let command = vec![word.to_str().unwrap().to_owned()];
        vec![ChannelSetting::Console, ChannelSetting::Adapter { name: "whatsapp".to_owned(), command }]
    };
    assert_eq!(load("console,WhatsApp", None).unwrap(), adapter(&programs.join("longshore-whatsapp")));
    assert_eq!(load("console,whatsapp", Some("other")).unwrap(), adapter("other".as_ref()));
    // A folder is no program, and a name leads nowhere else.
    for channels in ["folder", "../the programs/longshore-whatsapp", "telegram"] {
        assert!(load(channels, None).is_err(), "{channels}");
    }
}
