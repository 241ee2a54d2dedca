use proptest::prelude::*;

use super::*;

/// A turn as Anthropic streams it: <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.
const MESSAGES: &str = concat!(
    "event: message_start\n",
    "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5-5\",",
    "\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":472,\"cache_creation_input_tokens\":30,",
    "\"cache_read_input_tokens\":1200,\"cache_creation\":{\"ephemeral_5m_input_tokens\":30},\"output_tokens\":2,\"service_tier\":\"standard\"}}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\\\"usage\\\":{\\\"input_tokens\\\":9}}\"}}\n\n",
    "event: message_delta\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":89}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// And as OpenAI does: <https://platform.openai.com/docs/api-reference/responses-streaming>.
const RESPONSES: &str = concat!(
    "event: response.created\r\n",
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"gpt-6-sol\",\"usage\":null}}\r\n\r\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"{\\\"usage\\\": 5}\"}\r\n\r\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"gpt-6-sol\",\"output\":[{\"usage\":{\"input_tokens\":77}}],",
    "\"usage\":{\"input_tokens\":1000,\"input_tokens_details\":{\"cached_tokens\":600},\"output_tokens\":50,",
    "\"output_tokens_details\":{\"reasoning_tokens\":7},\"total_tokens\":1050}}}\r\n\r\n",
);

fn read(api: Api, framing: Framing, text: &str) -> Reading {
    let mut scanner = Scanner::new(api, framing);
    scanner.push(text.as_bytes());
    scanner.reading()
}

fn reading(model: &str, input: u64, cache_write: u64, cached_input: u64, output: u64) -> Reading {
    Reading { model: model.into(), tokens: Tokens { input, cache_write, cached_input, output } }
}

#[test]
fn real_answers_are_read() {
    use Framing::{Document, Events, Opaque};
    let opus = |output| reading("claude-opus-5-5", 472, 30, 1200, output);
    let (cut_early, _) = MESSAGES.split_once("event: ping").unwrap();
    let (cut_late, _) = RESPONSES.split_once("data: {\"type\":\"response.completed").unwrap();
    for (name, api, framing, text, expected) in [
        ("streamed", Api::Anthropic, Events, MESSAGES, opus(89)),
        ("broken off after it began", Api::Anthropic, Events, cut_early, opus(2)),
        ("streamed", Api::OpenAi, Events, RESPONSES, reading("gpt-6-sol", 400, 0, 600, 50)),
        ("broken off before the figures", Api::OpenAi, Events, cut_late, reading("gpt-6-sol", 0, 0, 0, 0)),
        (
            "ended for want of room",
            Api::OpenAi,
            Events,
            "data: {\"type\":\"response.incomplete\",\"response\":{\"model\":\"m\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n",
            reading("m", 3, 0, 0, 4),
        ),
        (
            "whole",
            Api::Anthropic,
            Document,
            r#"{"model": "m", "content": [{"text": "x"}], "usage": {"input_tokens": 5, "output_tokens": 6}}"#,
            reading("m", 5, 0, 0, 6),
        ),
        (
            "whole",
            Api::OpenAi,
            Document,
            r#"{"model":"m","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":6}}"#,
            reading("m", 5, 0, 4, 6),
        ),
        (
            "an error",
            Api::Anthropic,
            Document,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Reading::default(),
        ),
        ("compressed", Api::Anthropic, Opaque, MESSAGES, Reading::default()),
        (
            "a document that broke off",
            Api::Anthropic,
            Document,
            r#"{"model":"m","usage":{"input_tokens":5"#,
            Reading::default(),
        ),
        (
            "more than anybody believes",
            Api::Anthropic,
            Document,
            r#"{"usage":{"input_tokens":18446744073709551615,"output_tokens":-5,"cache_read_input_tokens":1e3}}"#,
            reading("", MAX_TOKENS, 0, 0, 0),
        ),
        (
            "one without end of its line",
            Api::OpenAi,
            Events,
            "data:{\"response\":{\"model\":\"m\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}",
            reading("m", 1, 0, 0, 1),
        ),
        (
            "in several lines",
            Api::Anthropic,
            Events,
            "data: {\"usage\":\rdata: {\"output_tokens\":\rdata: 7}}\r\r",
            reading("", 0, 0, 0, 7),
        ),
    ] {
        assert_eq!(read(api, framing, text), expected, "{name}, {api:?}");
    }
}

#[test]
fn the_head_says_how_to_read() {
    for (kind, encoding, expected) in [
        (Some("text/event-stream; charset=utf-8"), None, Framing::Events),
        (Some("Text/Event-Stream"), Some("identity"), Framing::Events),
        (Some("application/json"), None, Framing::Document),
        (None, None, Framing::Document),
        (Some("text/event-stream"), Some("gzip"), Framing::Opaque),
        (Some("application/json"), Some("br"), Framing::Opaque),
    ] {
        assert_eq!(Framing::of(kind, encoding), expected, "{kind:?} {encoding:?}");
    }
}

#[test]
fn an_event_of_any_size_is_passed_over_and_nothing_of_it_is_kept() {
    let mut scanner = Scanner::new(Api::Anthropic, Framing::Events);
    scanner.push(b"data: {\"delta\": \"");
    for _ in 0..64 {
        scanner.push(&[b'x'; 65_536]);
        assert!(scanner.json.kept() <= 1024, "{}", scanner.json.kept());
    }
    scanner.push(b"\"}\n\ndata: ");
    scanner.push(&vec![b'['; 1_000_000]);
    assert!(scanner.json.kept() <= 1024);
    scanner.push(b"\n\ndata: {\"usage\":{\"output_tokens\":7}}\n\n");
    assert_eq!(scanner.reading().tokens.output, 7);
}

fn framings() -> impl Strategy<Value = Framing> {
    prop::sample::select(vec![Framing::Events, Framing::Document])
}

proptest! {
    #[test]
    fn it_makes_no_difference_where_the_pieces_end(
        cuts in prop::collection::vec(0usize..1_100, 0..20),
        anthropic in any::<bool>(),
    ) {
        let (api, text) = if anthropic { (Api::Anthropic, MESSAGES) } else { (Api::OpenAi, RESPONSES) };
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
        cuts.sort_unstable();
        let mut scanner = Scanner::new(api, Framing::Events);
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            scanner.push(&text.as_bytes()[from..cut]);
            from = cut;
        }
        prop_assert_eq!(scanner.reading(), read(api, Framing::Events, text));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_and_little_is_kept(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        framing in framings(),
    ) {
        let mut scanner = Scanner::new(Api::OpenAi, framing);
        for piece in pieces {
            scanner.push(&piece);
            prop_assert!(scanner.json.kept() <= 1024);
        }
        prop_assert!(scanner.reading().tokens.all() <= 4 * MAX_TOKENS);
    }

    #[test]
    fn what_looks_like_json_is_read_without_a_panic_and_little_is_kept(
        text in r#"(data: |\n|\r|\{|\}|\[|\]|"|\\|:|,|usage|response|message|model|input_tokens|[0-9]{1,30}| ){0,120}"#,
        framing in framings(),
    ) {
        let mut scanner = Scanner::new(Api::Anthropic, framing);
        scanner.push(text.as_bytes());
        prop_assert!(scanner.json.kept() <= 1024);
        prop_assert!(scanner.reading().tokens.all() <= 4 * MAX_TOKENS);
    }

    #[test]
    fn every_document_is_read_as_a_whole_parser_reads_it(
        model in "[a-z0-9.-]{1,40}", input in 0u64..1_000_000, output in 0u64..1_000_000, noise in "\\PC{0,40}",
    ) {
        let document = serde_json::json!({
            "id": noise, "content": [{"text": noise, "usage": {"input_tokens": 1}}, [noise]], "model": model,
            "usage": {"input_tokens": input, "x": {"output_tokens": 3}, "output_tokens": output},
        });
        let expected = Reading { model, tokens: Tokens { input, output, ..Tokens::default() } };
        prop_assert_eq!(read(Api::Anthropic, Framing::Document, &document.to_string()), expected.clone());
        prop_assert_eq!(read(Api::Anthropic, Framing::Document, &format!("{document:#}")), expected);
    }
}
