//! SPEC "Credentials": each case with the real CLI against the rehearsal.

use longshore_tests::{Api, Host, HostOptions, Installation};

/// What these tests ask of the API.
trait Seen {
    fn installation(&self, credentials: &str) -> Installation;
    fn shown(&self) -> Vec<String>;
}

impl Seen for Api {
    fn installation(&self, credentials: &str) -> Installation {
        let installation = Installation::new();
        let (anthropic, openai) = (self.server().anthropic_base(), self.server().openai_base());
        installation.env(&format!("ANTHROPIC_BASE_URL={anthropic}\nOPENAI_BASE_URL={openai}\n{credentials}"));
        installation
    }

    /// The credentials that reached the API, without repetition.
    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = self
            .server()
            .requests()
            .iter()
            .flat_map(|request| ["x-api-key", "authorization"].map(|name| request.headers.get(name).cloned()))
            .flatten()
            .collect();
        shown.dedup();
        shown
    }
}

fn host(installation: &Installation) -> Host<'_> {
    Host::start_with(installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() })
}

#[test]
fn a_key_is_shown_to_the_api_and_the_answer_comes_back() {
    let api = Api::start();
    let installation = api.installation("ANTHROPIC_API_KEY=sk-claude\nOPENAI_API_KEY=sk-openai");
    let host = host(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.chat("coder", "hello").status, 0);
    let shown = api.shown();
    assert!(shown.contains(&"sk-claude".into()) && shown.contains(&"Bearer sk-openai".into()), "{shown:?}");
}

#[test]
fn with_both_keys_set_the_codex_key_wins() {
    let api = Api::start();
    let installation = api.installation("CODEX_API_KEY=sk-codex\nOPENAI_API_KEY=sk-openai");
    let host = host(&installation);
    assert_eq!(host.chat("coder", "hello").status, 0);
    assert_eq!(api.shown(), ["Bearer sk-codex"]);
}

#[test]
fn a_subscription_token_goes_as_a_bearer_and_the_cli_behaves_as_with_one() {
    let api = Api::start();
    let installation = api.installation("CLAUDE_CODE_OAUTH_TOKEN=oauth-token");
    let host = host(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(api.shown(), ["Bearer oauth-token"]);
    let request = api.requests().remove(0);
    assert!(request.headers.get("anthropic-beta").is_some_and(|beta| beta.contains("oauth")), "{:?}", request.headers);
}

#[test]
fn a_wrong_key_is_one_sentence_soon_and_names_what_to_change() {
    let api = Api::start();
    let installation = api.installation("ANTHROPIC_API_KEY=wrong\nCODEX_API_KEY=wrong");
    let host = host(&installation);
    for (group, key) in [("main", "ANTHROPIC_API_KEY"), ("coder", "CODEX_API_KEY")] {
        let answer = host.chat(group, "hello");
        assert_eq!(answer.status, 1, "{answer:?}");
        assert!(answer.stderr.contains(key) && !answer.stderr.contains("wrong\n"), "{answer:?}");
    }
    let tries = crate::chat::store(&installation, "SELECT max(attempt) FROM turns");
    assert_eq!(tries, 1, "a wrong key is not tried again");
}

#[test]
fn without_a_credential_no_container_is_started_and_the_chat_is_told_what_to_set() {
    let api = Api::start();
    let installation = api.installation("");
    let host = host(&installation);
    for (group, key) in [("main", "ANTHROPIC_API_KEY"), ("coder", "CODEX_API_KEY")] {
        let answer = host.chat(group, "hello");
        assert_eq!(answer.status, 1, "{answer:?}");
        assert!(answer.stderr.contains(key), "{answer:?}");
    }
    assert!(host.containers().is_empty());
    assert!(host.log().contains("no credential for claude") && host.log().contains("no credential for codex"));
    assert!(api.requests().is_empty());
}

#[test]
fn a_model_that_the_account_may_not_use_is_a_setting_to_change() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let said =
        "#rehearse status 400 message=\"The 'gpt-x' model is not supported when using Codex with a ChatGPT account.\"";
    let answer = host.chat("coder", said);
    assert_eq!(answer.status, 1, "{answer:?}");
    assert!(answer.stderr.contains("`model`"), "{answer:?}");
}
