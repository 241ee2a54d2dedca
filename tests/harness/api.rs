//! The model APIs as a rehearsal of the test's own, so that what reaches them can be seen.

use longshore_rehearsal::{RecordedRequest, Rehearsal};
use tokio::runtime::Runtime;

/// A running rehearsal; stopped when dropped.
pub struct Api {
    runtime: Runtime,
    server: Option<Rehearsal>,
}

impl Api {
    /// Starts one on a free port.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let address = "127.0.0.1:0".parse().expect("an address");
        let server = runtime.block_on(Rehearsal::start(address)).expect("the rehearsal starts");
        Self { runtime, server: Some(server) }
    }

    /// The rehearsal.
    #[must_use]
    pub fn server(&self) -> &Rehearsal {
        self.server.as_ref().expect("a rehearsal runs until it is dropped")
    }

    /// Everything that reached it.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.server().requests()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}
