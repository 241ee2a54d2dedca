//! What a stage begins with.

use std::sync::Arc;
use std::time::Duration;

use longshore::groups::watch::Snapshot;
use longshore::groups::{Groups, load};
use longshore::store::Fuse;
use longshore_protocol::PROTOCOL_VERSION;

use super::person::Delivered;

/// What a stage opens with.
pub(crate) struct Opening {
    pub(crate) protocol: u32,
    pub(crate) start: i64,
    pub(crate) fuse: Option<Fuse>,
    pub(crate) stall_limit: Duration,
    pub(crate) delivered: Delivered,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            protocol: PROTOCOL_VERSION,
            start: START,
            fuse: None,
            stall_limit: Duration::from_secs(900),
            delivered: Delivered::default(),
        }
    }
}

/// When a stage opens, in seconds since the epoch: 2027-01-15T08:00:00Z.
const START: i64 = 1_800_000_000;
pub(crate) const GROUPS: &str = r#"{"test:1": {"name": "Family", "folder": "family", "trigger": "@Andy", "added_at": "x", "requiresTrigger": false}}"#;

/// The groups file, read.
pub(crate) fn snapshot(json: &str, previous: &Groups) -> Arc<Snapshot> {
    let loaded = load(json.as_bytes(), previous);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Arc::new(Snapshot { generation: loaded.groups.generation(), groups: Arc::new(loaded.groups), problems: Vec::new() })
}
