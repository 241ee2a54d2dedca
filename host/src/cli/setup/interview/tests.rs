use std::fmt::Write as _;

use super::*;

fn present() -> Present {
    Present {
        name: "Andy".into(),
        time_zone: "Europe/Berlin".into(),
        provider: ProviderKind::Claude,
        claude: None,
        codex: None,
        on_whatsapp: false,
        has_whatsapp: false,
    }
}

fn given(credential: &str) -> Given {
    Given { credential: Some(credential.into()), ..Given::default() }
}

/// Asks everything, answering what is offered, and writes down what a person sees.
fn conversation(present: Present, provider: &str) -> String {
    let mut interview = Interview::new(present);
    let mut told = String::new();
    while let Some(ask) = interview.next() {
        let answer = if ask.question == Question::Provider { provider } else { &ask.offered };
        writeln!(told, "{} [{}]  {}", ask.prompt, ask.offered, ask.flag).unwrap();
        for (answer, meaning) in &ask.choices {
            writeln!(told, "  {answer:<9} {meaning}").unwrap();
        }
        interview.answer(answer).unwrap();
    }
    writeln!(told, "{:?}", interview.finish()).unwrap();
    told
}

#[test]
fn a_first_run_and_a_later_one_ask_the_same_with_what_there_is() {
    let first = conversation(present(), "claude");
    let later = conversation(
        Present {
            name: "Bo".into(),
            codex: Some("the ChatGPT login of ann@example.com".into()),
            has_whatsapp: true,
            on_whatsapp: true,
            ..present()
        },
        "codex",
    );
    insta::assert_snapshot!(format!("{first}\n{later}"));
}

#[test]
fn a_wrong_answer_says_what_is_right_and_the_question_stays() {
    for (question, wrong) in [
        (Question::Name, ""),
        (Question::Name, "-x"),
        (Question::TimeZone, "Mars/Olympus"),
        (Question::Provider, "gpt"),
        (Question::Credential, "keep"),
        (Question::Credential, "login"),
        (Question::Credential, "password"),
        (Question::Channel, "whatsapp"),
        (Question::Channel, "pigeon"),
    ] {
        let mut interview = Interview::new(present());
        while let Some(ask) = interview.next() {
            if ask.question == question {
                assert!(!interview.answer(wrong).unwrap_err().is_empty(), "{wrong}");
                assert_eq!(interview.next(), Some(ask), "{wrong}");
                break;
            }
            interview.answer(&ask.offered).unwrap();
        }
    }
}

#[test]
fn without_anybody_to_ask_every_flag_that_is_missing_or_wrong_is_told_at_once() {
    let problems = Interview::new(present()).answer_all(&Given::default()).unwrap_err();
    assert_eq!(problems.len(), 1);
    insta::assert_snapshot!(problems[0], @"--credential is missing: What does claude sign in with? (`api-key`, `token`, `none`)");
    let wrong = Given { time_zone: Some("Mars".into()), channel: Some("whatsapp".into()), ..given("login") };
    let problems = Interview::new(present()).answer_all(&wrong).unwrap_err();
    assert_eq!(
        problems.iter().map(|text| text.split(':').next().unwrap()).collect::<Vec<_>>(),
        ["--timezone", "--channel", "--credential"]
    );
    let answers = Interview::new(present()).answer_all(&given("none")).unwrap();
    assert_eq!((answers.name.as_str(), answers.provider, answers.way), ("Andy", ProviderKind::Claude, Way::Nothing));
    let kept = Present { claude: Some("`ANTHROPIC_API_KEY`".into()), ..present() };
    assert_eq!(Interview::new(kept).answer_all(&Given::default()).unwrap().way, Way::Keep);
}

#[test]
fn only_what_differs_is_changed() {
    let of = |present: &Present, given: &Given, key| {
        let answers = Interview::new(present.clone()).answer_all(given).unwrap();
        let changes = changes(present, &answers, key, "console,whatsapp");
        changes.into_iter().map(|(key, value)| format!("{key}={}", value.unwrap_or("(none)"))).collect::<Vec<_>>()
    };
    let installed = Present { has_whatsapp: true, ..present() };
    assert!(of(&installed, &given("none"), None).is_empty());
    let all = Given {
        name: Some("Bo".into()),
        time_zone: Some("europe/paris".into()),
        channel: Some("whatsapp".into()),
        ..given("token")
    };
    assert_eq!(
        of(&installed, &all, Some("t")),
        [
            "ASSISTANT_NAME=Bo",
            "TZ=Europe/Paris",
            "CLAUDE_CODE_OAUTH_TOKEN=t",
            "ANTHROPIC_API_KEY=(none)",
            "ANTHROPIC_AUTH_TOKEN=(none)",
            "CHANNELS=console,whatsapp",
        ]
    );
    let codex = Given { provider: Some("codex".into()), ..given("api-key") };
    assert_eq!(of(&present(), &codex, Some("k")), ["CODEX_API_KEY=k"]);
    let on = Present { on_whatsapp: true, ..present() };
    assert!(of(&on, &given("none"), None).is_empty());
}
