//! Ids of traces and spans: a turn's trace has the turn's own id, so that it is found by it. Pure.

use opentelemetry::{SpanId, TraceId};
use sha2::{Digest as _, Sha256};

/// The trace of a turn, of all its attempts and of what it said.
pub(super) fn trace_of(turn: &str) -> TraceId {
    match TraceId::from_hex(turn) {
        Ok(id) if turn.len() == 32 && id != TraceId::INVALID => id,
        _ => TraceId::from_bytes(hash(turn, 0)),
    }
}

/// The span of one attempt at a turn.
pub(super) fn span_of(turn: &str, attempt: i64) -> SpanId {
    let [a, b, c, d, e, f, g, h, ..] = hash(turn, attempt);
    SpanId::from_bytes([a, b, c, d, e, f, g, h])
}

fn hash(turn: &str, attempt: i64) -> [u8; 16] {
    let hash = Sha256::new().chain_update(turn).chain_update(attempt.to_le_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_s_trace_has_its_id_and_each_attempt_a_span() {
        let turn = "01a1ff035e4b74dabe19e0fb17b85a01";
        assert_eq!(trace_of(turn).to_string(), turn);
        for other in ["", "t1", "00000000000000000000000000000000"] {
            assert_ne!(trace_of(other), TraceId::INVALID, "{other}");
        }
        assert_eq!(span_of(turn, 1), span_of(turn, 1));
        assert_ne!(span_of(turn, 1), span_of(turn, 2));
    }
}
