use proptest::prelude::*;
use serde_json::json;

use super::*;

const SPEAKER: Speaker<'static> = Speaker { provider: ProviderKind::Claude, group: "main" };

fn after(said: &str, results: usize, last_result: &str) -> Plan {
    let told = vec!["be brief".to_owned(), "the cat is Tom\n```\nmeow\n```".to_owned()];
    plan(&Conversation { said: said.to_owned(), results, last_result: last_result.to_owned(), told }, SPEAKER)
}

fn spoken(plan: &Plan) -> &str {
    match &plan.then.step {
        Step::Say(text) => text,
        other => panic!("not a message: {other:?}"),
    }
}

fn step(text: &str) -> Step {
    parse(text).line.step
}

#[test]
fn without_a_script_it_says_back_what_it_heard() {
    let long = "é".repeat(500);
    let many: String = (0..60).map(|n| format!("<message sender=\"a\">{n}</message>")).collect();
    let cases = [
        ("hello".to_owned(), "hello".to_owned()),
        (String::new(), "(nothing)".to_owned()),
        (
            "<messages><message sender=\"a\">one &amp; two</message><message sender=\"b\">three</message></messages>"
                .to_owned(),
            "one & two / three".to_owned(),
        ),
        (long, format!("{}…", "é".repeat(400))),
        (
            format!("<messages>{many}</messages>"),
            format!("{} / … and 10 more", (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join(" / ")),
        ),
        ("I read about #rehearse say hi".to_owned(), "I read about #rehearse say hi".to_owned()),
        ("#rehearsed".to_owned(), "#rehearsed".to_owned()),
    ];
    for (said, echoed) in cases {
        assert_eq!(spoken(&after(&said, 0, "")), format!("[rehearsal · claude · main] You said: {echoed}"));
    }
}

#[test]
fn line_n_answers_call_n_and_then_the_last_result_is_told() {
    let said = "<messages><message sender=\"a\">@Andy #rehearse shell ls &amp;&amp; pwd\n  #rehearse say one\\ntwo</message>\
                <message sender=\"b\">@Big Bad Andy, #rehearse say three</message></messages>";
    assert_eq!(after(said, 0, "").then.step, Step::Shell { command: "ls && pwd".to_owned(), preamble: None });
    assert_eq!(spoken(&after(said, 1, "x")), "one\ntwo");
    assert_eq!(spoken(&after(said, 2, "x")), "three");
    assert_eq!(spoken(&after(said, 3, " the end\n")), "done: the end");
    assert_eq!(spoken(&after(said, 3, &"é".repeat(700))), format!("done: {}", "é".repeat(600)));
}

#[test]
fn a_fault_with_times_stands_in_front_of_the_next_lines_call() {
    let said = "#rehearse shell ls\n#rehearse cut times=2\n#rehearse status 503 times=1\n#rehearse say hi";
    assert_eq!(after(said, 0, "").faults, []);
    let second = after(said, 1, "");
    let faults: Vec<_> =
        second.faults.iter().map(|fault| (fault.times, matches!(fault.line.step, Step::Cut))).collect();
    assert_eq!(faults, [(2, true), (1, false)]);
    assert_ne!(second.faults[0].key, second.faults[1].key);
    assert_eq!(spoken(&second), "hi");
}

#[test]
fn a_fault_with_nothing_after_it_ends_in_a_recovery() {
    let cases = [
        ("#rehearse status 529 times=3", 0, "recovered after 3 failures"),
        ("#rehearse shell ls\n#rehearse close times=1", 1, "recovered after 1 failure"),
    ];
    for (said, results, expected) in cases {
        assert_eq!(spoken(&after(said, results, "")), expected);
    }
}

#[test]
fn tries_of_one_call_share_a_key_and_nothing_else_does() {
    let key = |said: &str, provider, results| {
        let conversation = Conversation { said: said.to_owned(), results, ..Conversation::default() };
        plan(&conversation, Speaker { provider, group: "main" }).faults[0].key
    };
    let said = "#rehearse cut times=1";
    assert_eq!(key(said, ProviderKind::Claude, 0), key(said, ProviderKind::Claude, 0));
    assert_ne!(key(said, ProviderKind::Claude, 0), key(said, ProviderKind::Codex, 0));
    assert_ne!(key(said, ProviderKind::Claude, 0), key("#rehearse cut times=1 ", ProviderKind::Claude, 0));
}

#[test]
fn it_tells_what_it_was_told_verbatim() {
    insta::assert_snapshot!(spoken(&after("#rehearse tell", 0, "")), @r"
    I was told:
    ````
    be brief

    ---

    the cat is Tom
    ```
    meow
    ```
    ````
    ");
    insta::assert_snapshot!(spoken(&after("#rehearse tell brief", 0, "")), @r"
    I was told:
    ```
    be brief
    ```
    ");
    assert_eq!(spoken(&after("#rehearse tell dog", 0, "")), "I was told nothing that contains `dog`.");
    let nothing = plan(&Conversation { said: "#rehearse tell".to_owned(), ..Conversation::default() }, SPEAKER);
    assert_eq!(spoken(&nothing), "I was told nothing.");
}

#[test]
fn every_verb_is_read() {
    let status = Status { code: 429, retry_after: None, kind: None, error_code: None, message: None };
    let cases = [
        ("say  a b ", Step::Say("a b".to_owned())),
        ("think deep", Step::Think("deep".to_owned())),
        ("shell echo a | wc", Step::Shell { command: "echo a | wc".to_owned(), preamble: None }),
        (
            "preamble one moment | ls | wc",
            Step::Shell { command: "ls | wc".to_owned(), preamble: Some("one moment".to_owned()) },
        ),
        (
            "tool Read {\"file_path\": \"/x\"}",
            Step::Tool { name: "Read".to_owned(), arguments: json!({"file_path": "/x"}) },
        ),
        ("tool chat/whoami", Step::Tool { name: "chat/whoami".to_owned(), arguments: json!({}) }),
        ("slow 1.5 3 a\\nb", Step::Slow { duration: Duration::from_millis(1_500), pieces: 3, text: "a\nb".to_owned() }),
        ("big 3", Step::Say("xxx".to_owned())),
        ("tell", Step::Tell { about: None }),
        ("tell my name", Step::Tell { about: Some("my name".to_owned()) }),
        ("status 429", Step::Status(status.clone())),
        (
            "status 429 message=\"slow down\" type='t t' code=c retry_after=3",
            Step::Status(Status {
                retry_after: Some("3".to_owned()),
                kind: Some("t t".to_owned()),
                error_code: Some("c".to_owned()),
                message: Some("slow down".to_owned()),
                ..status
            }),
        ),
        ("expired", Step::Expired),
        ("cut", Step::Cut),
        ("close", Step::Close),
        ("hang 7", Step::Hang(Duration::from_secs(7))),
        ("malformed", Step::Malformed),
        ("empty", Step::Empty),
        ("incomplete max_output_tokens", Step::Incomplete { reason: "max_output_tokens".to_owned() }),
        (
            "failed server_error it broke",
            Step::Failed { code: "server_error".to_owned(), message: "it broke".to_owned() },
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), Directive { line: expected.into(), times: None }, "{text}");
    }
}

#[test]
fn a_delay_is_a_prefix_of_any_verb() {
    let slow = parse("delay 1.5 delay 2 status 500 times=2");
    assert_eq!((slow.line.delay, slow.times), (Duration::from_millis(3_500), Some(2)));
    assert_eq!(parse("delay 3600 delay 3600 empty").line.delay, LONGEST);
}

#[test]
fn a_line_that_makes_no_sense_is_answered_with_what_is_wrong() {
    let cases = [
        ("sing a song", "`sing` is not a verb"),
        ("", "it lacks a verb"),
        ("say", "it lacks a text"),
        ("shell  ", "it lacks a command"),
        ("preamble hello", "it lacks a `|` between text and command"),
        ("tool", "it lacks a tool"),
        ("tool Read [1]", "the arguments must be a JSON object or string (this is neither)"),
        ("delay", "SECONDS must be a number from 0 to 3600, not ``"),
        ("delay -1 say x", "SECONDS must be a number from 0 to 3600, not `-1`"),
        ("hang NaN", "SECONDS must be a number from 0 to 3600, not `NaN`"),
        ("hang 1e300", "SECONDS must be a number from 0 to 3600, not `1e300`"),
        ("slow 1 0 x", "N must be a number from 1 to 10000, not `0`"),
        ("big 99999999999", "BYTES must be a number from 1 to 16777216, not `99999999999`"),
        ("status 200", "CODE must be a number from 400 to 599, not `200`"),
        ("status 500 times=0", "times must be a number from 1 to 1000000, not `0`"),
        ("status 500 colour=red", "`colour` is not an option of it"),
        ("status 500 message=\"a", "a quote is not closed"),
        ("status 429 retry_after=é", "`retry_after` must be printable ASCII"),
        ("cut soon", "`soon` is not an option of it"),
    ];
    for (text, problem) in cases {
        let Step::Say(said) = step(text) else { panic!("{text} was understood") };
        assert!(said.starts_with(&format!("`#rehearse {text}`: {problem}. I know: say TEXT · ")), "{said}");
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(text in "(status|delay|slow|say|tool|cut|=|\"|'| |\\||5|-|é|\\{|\\}|times){0,12}") {
        let directive = parse(&text);
        prop_assert!(directive.line.delay <= LONGEST);
    }
}
