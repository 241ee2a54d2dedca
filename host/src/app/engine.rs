//! The container engine, from the host's start on.

use std::sync::Arc;
use std::time::Duration;

use crate::container::ContainerRuntime;
use crate::container::resident::Residents;
use crate::stop::Stop;

/// Between looks at an engine that did not answer at start.
const ENGINE_RETRY: Duration = Duration::from_secs(5);

/// Looks at the engine once it answers, so that what is wrong is in the log before the first message,
/// and then keeps the residents.
pub(super) async fn tend(residents: Arc<Residents>, runtime: Arc<dyn ContainerRuntime>, stop: Stop) {
    let mut told = false;
    let look = async {
        loop {
            match residents.ready_engine().await {
                Ok(()) => return,
                Err(error) => {
                    if !told {
                        tracing::error!(%error, "no container engine; messages are stored and answered when it is back");
                        told = true;
                    }
                    tokio::time::sleep(ENGINE_RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => return,
        () = look => {}
    }
    match runtime.ping().await {
        Ok(engine) => tracing::info!(engine, "container engine"),
        Err(error) => tracing::warn!(%error, "container engine"),
    }
    match residents.link_kind().await {
        Ok(link) => tracing::info!(?link, "how containers reach the broker"),
        Err(error) => tracing::warn!(%error, "container engine"),
    }
    if let Err(error) = residents.check_image().await {
        tracing::error!(%error, "agent image");
    }
    residents.tend(stop).await;
}
