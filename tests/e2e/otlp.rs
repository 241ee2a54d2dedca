//! SPEC "The record": spans for a collector, and a host that does not care whether there is one.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use longshore_tests::{Host, Installation};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// A collector on a port of its own; what it was sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Vec<u8>>>>);

impl Collector {
    /// Starts it and gives its address.
    fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let collector = collector.clone();
                std::thread::spawn(move || collector.serve(stream.unwrap()));
            }
        });
        format!("http://{address}")
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut held = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut bytes) {
            held.extend_from_slice(&bytes[..read]);
            let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&held[..end]).to_lowercase();
            assert!(head.starts_with("post /v1/traces ") && head.contains("application/x-protobuf"), "{head}");
            let length: usize = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
            if held.len() < end + 4 + length {
                continue;
            }
            self.0.lock().unwrap().push(held[end + 4..end + 4 + length].to_vec());
            held.drain(..end + 4 + length);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    }

    /// Every span so far.
    fn spans(&self) -> Vec<Span> {
        let requests = self.0.lock().unwrap().clone();
        let requests = requests.iter().map(|body| ExportTraceServiceRequest::decode(&body[..]).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        resources
            .flat_map(|spans| {
                let resource = attributes(&spans.resource.as_ref().unwrap().attributes);
                assert_eq!(resource["service.name"], "longshore");
                spans.scope_spans
            })
            .flat_map(|scope| scope.spans)
            .collect()
    }
}

fn attributes(of: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    of.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

#[test]
fn a_turn_is_one_trace_with_its_container_its_petition_and_its_delivery() {
    let (installation, collector) = (Installation::new(), Collector::default());
    installation.env(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", collector.start()));
    let host = Host::start(&installation);
    let ask = r#"#rehearse shell echo '{"type":"message","text":"a pineapple"}' > /workspace/ipc/messages/a.json"#;
    assert_eq!(host.chat("main", ask).status, 0, "{}", host.log());
    assert_eq!(host.stop(), Some(0));
    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (turns, containers) = (named("turn"), named("container"));
    assert_eq!((turns.len(), containers.len()), (1, 1), "{spans:?}");
    let (turn, container) = (turns[0], containers[0]);
    let of_turn = attributes(&turn.attributes);
    for (name, value) in [("group", "main"), ("provider", "claude"), ("attempt", "1"), ("outcome", "settled")] {
        assert_eq!(of_turn[&format!("longshore.{name}")], value, "{of_turn:?}");
    }
    let id: String = turn.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(id, of_turn["longshore.turn"], "a trace is found by its turn");
    let of_container = attributes(&container.attributes);
    assert_eq!(of_container["longshore.start"], "cold", "{of_container:?}");
    for (name, least) in [("container", 1), ("petition", 1), ("deliver", 2)] {
        let children: Vec<_> = named(name).into_iter().filter(|span| span.parent_span_id == turn.span_id).collect();
        assert!(children.len() >= least, "{name}: {spans:?}");
        assert!(children.iter().all(|span| span.trace_id == turn.trace_id));
    }
    let steps: Vec<&str> = turn.events.iter().map(|event| event.name.as_str()).collect();
    assert!(["slot", "runner", "session", "agent", "end"].iter().all(|step| steps.contains(step)), "{steps:?}");
    let sent = collector.0.lock().unwrap().concat();
    assert!(!sent.windows(9).any(|window| window == b"pineapple"), "what people say is in a span");
}

#[test]
fn a_turn_that_failed_is_a_span_with_its_code() {
    let (installation, collector) = (Installation::new(), Collector::default());
    installation.env(&format!(
        "CONTAINER_IMAGE=longshore-no-such-image:latest\nOTEL_EXPORTER_OTLP_ENDPOINT={}",
        collector.start()
    ));
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 1);
    assert_eq!(host.stop(), Some(0));
    let spans = collector.spans();
    let turn = spans.iter().find(|span| span.name == "turn").unwrap();
    let status = turn.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "IMAGE_CONFIG_ERROR"));
}

#[test]
fn a_collector_that_is_gone_or_never_answers_costs_its_spans_alone() {
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), gone] {
        let installation = Installation::new();
        installation.env(&format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{address}"));
        let host = Host::start(&installation);
        for _ in 0..3 {
            assert_eq!(host.chat("main", "hello").status, 0);
        }
        assert_eq!(host.stop(), Some(0));
    }
}
