//! SPEC "Credentials": the ChatGPT login of codex, with the real CLI; the rehearsal plays the token
//! endpoint and the API.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use longshore_tests::{Api, Host, HostOptions, Installation};

/// 2100, and long ago.
const FRESH: i64 = 4_102_444_800;
const EXPIRED: i64 = 1_600_000_000;

/// What these tests ask of the API.
trait Seen {
    fn installation(&self, more: &str) -> Installation;
    fn refreshes(&self) -> usize;
    fn carried(&self) -> Vec<(String, String)>;
}

impl Seen for Api {
    fn installation(&self, more: &str) -> Installation {
        let installation = Installation::new();
        installation.env(&format!(
            "CODEX_CHATGPT_BASE_URL={}\nCODEX_REFRESH_TOKEN_URL_OVERRIDE=http://{}/oauth/token\nOPENAI_BASE_URL={}\n{more}",
            self.server().openai_base(),
            self.server().address(),
            self.server().openai_base()
        ));
        installation
    }

    /// How often the token endpoint was asked.
    fn refreshes(&self) -> usize {
        self.requests().iter().filter(|request| request.path == "/oauth/token").count()
    }

    /// What the turns' requests carried: authorization and account.
    fn carried(&self) -> Vec<(String, String)> {
        let requests = self.requests();
        let turns = requests.iter().filter(|request| request.path.ends_with("/responses"));
        turns
            .map(|request| {
                let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
                (header("authorization"), header("chatgpt-account-id"))
            })
            .collect()
    }
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
    bits.as_bytes()
        .chunks(6)
        .map(|six| {
            let six = format!("{:0<6}", String::from_utf8_lossy(six));
            char::from(ALPHABET[usize::from_str_radix(&six, 2).unwrap()])
        })
        .collect()
}

fn jwt(exp: i64) -> String {
    let claims = format!(
        r#"{{"exp":{exp},"email":"a@example.com","https://api.openai.com/auth":{{"chatgpt_account_id":"account-1","chatgpt_plan_type":"plus","chatgpt_user_id":"u","user_id":"u"}}}}"#
    );
    format!("{}.{}.{}", base64(r#"{"alg":"none","typ":"JWT"}"#), base64(&claims), base64("s"))
}

fn write_login(path: &Path, exp: i64, refresh: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let token = jwt(exp);
    let json = serde_json::json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2026-01-01T00:00:00.000000Z",
        "tokens": {"id_token": token, "access_token": token, "refresh_token": refresh, "account_id": "account-1"}
    });
    fs::write(path, json.to_string()).unwrap();
}

fn log_in(installation: &Installation, exp: i64, refresh: &str) {
    write_login(&installation.path("data/login/codex/auth.json"), exp, refresh);
}

fn host(installation: &Installation) -> Host<'_> {
    Host::start_with(installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() })
}

fn stored(installation: &Installation) -> String {
    fs::read_to_string(installation.path("data/login/codex/auth.json")).unwrap()
}

#[test]
fn a_valid_login_is_used_before_a_key_and_never_enters_the_container() {
    let api = Api::start();
    let installation = api.installation("CODEX_API_KEY=sk-key");
    log_in(&installation, FRESH, "rt-canary");
    let host = host(&installation);
    assert_eq!(host.chat("coder", "hello").status, 0);
    assert_eq!(api.carried(), [(format!("Bearer {}", jwt(FRESH)), "account-1".into())]);
    assert_eq!(api.refreshes(), 0);
    let look = format!(
        "#rehearse shell grep -rslF -e rt-ca''nary -e {}''{} /home /workspace /tmp /run /proc/[0-9]*/environ > files.txt; echo looked",
        &jwt(FRESH)[..40],
        &jwt(FRESH)[40..60]
    );
    assert!(host.chat("coder", &look).stdout.contains("looked"));
    assert_eq!(fs::read_to_string(installation.path("groups/coder/files.txt")).unwrap(), "");
}

#[test]
fn an_expired_login_is_refreshed_and_stored_before_it_is_used() {
    let api = Api::start();
    let installation = api.installation("");
    log_in(&installation, EXPIRED, "rt-old");
    let host = host(&installation);
    assert_eq!(host.chat("coder", "hello").status, 0);
    assert_eq!(api.refreshes(), 1);
    let stored = stored(&installation);
    assert!(!stored.contains("rt-old") && stored.contains("\"rt-"), "{stored}");
    let (authorization, _) = api.carried().remove(0);
    assert!(stored.contains(authorization.strip_prefix("Bearer ").unwrap()), "the new token was used");
    assert_eq!(host.chat("coder", "again").status, 0);
    assert_eq!(api.refreshes(), 1, "one refresh serves all that follows");
}

#[test]
fn a_login_that_cannot_be_refreshed_is_one_sentence_and_the_endpoint_is_asked_once() {
    for (refresh, said) in [("expired", "has expired"), ("used", "already used"), ("wrong", "was revoked")] {
        let api = Api::start();
        let installation = api.installation("");
        log_in(&installation, EXPIRED, refresh);
        let host = host(&installation);
        for _ in 0..2 {
            let answer = host.chat("coder", "hello");
            assert_eq!((answer.status, answer.stdout.as_str()), (1, ""), "{refresh}: {answer:?}");
            assert!(answer.stderr.contains("longshore login codex"), "{refresh}: {answer:?}");
        }
        assert_eq!(api.refreshes(), 1, "{refresh}");
        assert!(host.log().contains(said), "{refresh}: {}", host.log());
        log_in(&installation, FRESH, "rt");
        assert_eq!(host.chat("coder", "and now?").status, 0, "a new login is picked up while the host runs");
    }
}

#[test]
fn ten_groups_at_the_moment_of_expiry_refresh_once() {
    let api = Api::start();
    let installation = api.installation("MAX_CONCURRENT_CONTAINERS=10");
    log_in(&installation, EXPIRED, "rt-old");
    let entries: Vec<String> = (0..10)
        .map(|n| format!(r#""console:g{n}": {{"name": "g{n}", "folder": "g{n}", "trigger": "@Andy", "added_at": "x", "requiresTrigger": false, "provider": "codex"}}"#))
        .collect();
    installation.groups(&format!("{{{}}}", entries.join(",")));
    let host = host(&installation);
    let asking: Vec<_> = (0..10)
        .map(|n| {
            let mut command = installation.command();
            command.args(["chat", &format!("g{n}"), "--once", "hello"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in asking {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}\n{}", host.log());
    }
    assert_eq!(api.refreshes(), 1);
}

#[test]
fn a_login_that_the_api_refuses_is_refreshed_and_the_turn_succeeds() {
    let api = Api::start();
    let installation = api.installation("");
    // The rehearsal refuses the token `expired`, which does not say when it ends.
    let path = installation.path("data/login/codex/auth.json");
    write_login(&path, FRESH, "rt-old");
    let text = fs::read_to_string(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["tokens"]["access_token"] = "expired".into();
    fs::write(&path, json.to_string()).unwrap();
    let host = host(&installation);
    let answer = host.chat("coder", "hello");
    assert_eq!(answer.status, 0, "{answer:?}\n{}", host.log());
    assert_eq!(api.refreshes(), 1);
}

#[test]
fn a_login_seeded_by_hand_is_adopted() {
    let api = Api::start();
    let installation = api.installation("");
    let seeded = installation.path("data/codex/main/.codex/auth.json");
    write_login(&seeded, FRESH, "rt-seeded");
    let host = host(&installation);
    assert_eq!(host.chat("coder", "hello").status, 0);
    assert!(stored(&installation).contains("rt-seeded") && !seeded.exists());
}

#[test]
fn the_auth_method_of_a_group_decides_between_login_and_key() {
    let api = Api::start();
    let installation = api.installation("CODEX_API_KEY=sk-key");
    log_in(&installation, FRESH, "rt");
    installation.groups(
        r#"{"console:key": {"name": "k", "folder": "key", "trigger": "@A", "added_at": "x", "requiresTrigger": false,
             "provider": "codex", "providerConfig": {"codex": {"authMethod": "api_key"}}}}"#,
    );
    let host = host(&installation);
    assert_eq!(host.chat("key", "hello").status, 0);
    assert_eq!(api.carried(), [("Bearer sk-key".into(), String::new())]);
}

#[test]
fn a_mounted_login_is_refreshed_by_codex_itself_and_written_back_for_all() {
    let api = Api::start();
    let installation = api.installation("");
    log_in(&installation, EXPIRED, "rt-old");
    let group = |n: u8| {
        format!(
            r#""console:m{n}": {{"name": "m{n}", "folder": "m{n}", "trigger": "@A", "added_at": "x", "requiresTrigger": false,
             "provider": "codex", "providerConfig": {{"codex": {{"credentials": "mounted"}}}}}}"#
        )
    };
    installation.groups(&format!("{{{}, {}}}", group(1), group(2)));
    let host = host(&installation);
    let answer = host.chat("m1", "hello");
    assert_eq!(answer.status, 0, "{answer:?}\n{}", host.log());
    assert_eq!(api.refreshes(), 1);
    assert!(!stored(&installation).contains("rt-old"));
    let link = fs::read_link(installation.path("data/codex/m1/.codex/auth.json")).unwrap();
    assert!(link.starts_with("/home/node/.codex-login"), "{link:?}");
    assert_eq!(host.chat("m2", "hello").status, 0);
    assert_eq!(api.refreshes(), 1, "the other group has the refreshed login");
}
