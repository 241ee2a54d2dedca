//! The host's counts over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::control::server::Control;
use crate::metrics::listen::{Expose, serve};
use crate::stop::Stop;

/// Serves what the control socket tells as `metrics` until told to stop.
pub(super) async fn serve_metrics(address: SocketAddr, control: Arc<Control>, stop: Stop) {
    let expose: Expose = Arc::new(move || {
        let control = control.clone();
        Box::pin(async move { control.exposition().await })
    });
    serve(address, expose, stop).await;
}
