//! The requests that came, kept for tests to look at, and how often each fault struck. Both are bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

/// How many requests are kept.
pub const MOST_REQUESTS: usize = 1_000;
/// How many bytes of bodies are kept in all; the oldest requests go first.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;
/// A body longer than this is kept as a note of its length.
pub const MOST_BODY_BYTES: usize = 2 * 1024 * 1024;
const MOST_FAULTS: usize = 10_000;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// e.g. `POST`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// By lower-case name; the values of a name that came twice are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The decompressed body: JSON, `null` if there was none, `{"not_json_bytes": N}` or `{"omitted_bytes": N}`.
    pub body: Arc<Value>,
}

/// The newest requests.
#[derive(Debug, Default)]
pub struct Records {
    kept: VecDeque<(usize, RecordedRequest)>,
    bytes: usize,
}

impl Records {
    /// Keeps a request whose body had `bytes` bytes, and lets go of the oldest ones beyond the bounds.
    pub fn push(&mut self, bytes: usize, mut request: RecordedRequest) {
        let bytes = if bytes > MOST_BODY_BYTES {
            request.body = Arc::new(json!({"omitted_bytes": bytes}));
            0
        } else {
            bytes
        };
        self.bytes += bytes;
        self.kept.push_back((bytes, request));
        while self.kept.len() > MOST_REQUESTS || self.bytes > MOST_BYTES {
            let Some((freed, _)) = self.kept.pop_front() else { break };
            self.bytes -= freed;
        }
    }

    /// What is kept, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<RecordedRequest> {
        self.kept.iter().map(|(_, request)| request.clone()).collect()
    }
}

/// How often each fault struck.
#[derive(Debug, Default)]
pub struct Tally {
    struck: HashMap<u64, u32>,
    order: VecDeque<u64>,
}

impl Tally {
    /// Whether the fault strikes once more; if so, it has.
    pub fn strikes(&mut self, key: u64, times: u32) -> bool {
        if !self.struck.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > MOST_FAULTS
                && let Some(oldest) = self.order.pop_front()
            {
                self.struck.remove(&oldest);
            }
        }
        let struck = self.struck.entry(key).or_insert(0);
        if *struck >= times {
            return false;
        }
        *struck += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> RecordedRequest {
        RecordedRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: BTreeMap::new(),
            body: Arc::new(json!("text")),
        }
    }

    #[test]
    fn the_oldest_requests_go_when_there_are_too_many_or_too_big_ones() {
        let mut records = Records::default();
        for n in 0..=MOST_REQUESTS {
            records.push(0, request(&n.to_string()));
        }
        let list = records.list();
        assert_eq!((list.len(), list[0].path.as_str()), (MOST_REQUESTS, "1"));
        for n in 0..17 {
            records.push(MOST_BODY_BYTES, request(&format!("big {n}")));
        }
        let list = records.list();
        assert_eq!((list.len(), list[0].path.as_str()), (16, "big 1"));
        records.push(MOST_BODY_BYTES + 1, request("huge"));
        assert_eq!(*records.list()[16].body, json!({"omitted_bytes": MOST_BODY_BYTES + 1}));
    }

    #[test]
    fn a_fault_strikes_as_often_as_it_says_and_forgotten_ones_start_again() {
        let mut tally = Tally::default();
        assert_eq!([tally.strikes(1, 2), tally.strikes(1, 2), tally.strikes(1, 2)], [true, true, false]);
        assert!(tally.strikes(2, 1));
        for key in 10..10 + MOST_FAULTS as u64 {
            tally.strikes(key, 1);
        }
        assert_eq!(tally.struck.len(), MOST_FAULTS);
        assert!(tally.strikes(1, 2));
    }
}
