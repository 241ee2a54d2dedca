//! Spans for a collector, by OTLP over HTTP. Nothing of it is there unless a collector is named.
//!
//! A collector that is slow or gone costs its spans and nothing else: the queue is bounded, a batch has a few
//! seconds, and what fails is not tried again.

mod client;
mod ids;
mod spans;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, oneshot};

use self::client::Client;
pub(super) use self::spans::Spans;
use crate::config::BaseUrl;

/// Spans on their way; beyond them spans are lost.
const QUEUE: usize = 2048;
/// How many spans are sent at once.
const BATCH: usize = 512;
/// How long a span waits for others to go with it.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the host waits for the last spans.
const LAST: Duration = Duration::from_secs(3);

/// What the exporting task is told.
enum Order {
    /// Send this.
    Span(Box<SpanData>),
    /// Send what there is and answer.
    Flush(oneshot::Sender<()>),
}

/// The way to the exporting task; clones share it.
#[derive(Clone)]
pub(super) struct Otlp {
    orders: mpsc::Sender<Order>,
    lost: Arc<AtomicU64>,
}

impl Otlp {
    /// Hands a span over, or counts it as lost. Never waits.
    fn push(&self, span: SpanData) {
        if self.orders.try_send(Order::Span(Box::new(span))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what there is, if that goes in a moment.
    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = tokio::time::timeout(LAST, flushed).await;
        }
    }
}

/// Starts the task that sends to the collector, and makes the layer that hands it spans.
pub(super) fn start(collector: &BaseUrl) -> Result<(Spans, Otlp), String> {
    let client = Client::new(collector.is_https()).map_err(|error| error.to_string())?;
    let endpoint = format!("{}{}/v1/traces", collector.origin(), collector.path());
    let exporter = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(endpoint);
    let mut exporter = exporter.with_timeout(PATIENCE).build().map_err(|error| error.to_string())?;
    exporter.set_resource(&resource());
    let (orders, received) = mpsc::channel(QUEUE);
    let otlp = Otlp { orders, lost: Arc::default() };
    tokio::spawn(export(received, exporter, otlp.lost.clone()));
    Ok((Spans::new(otlp.clone()), otlp))
}

/// Who sends; the standard variables of the environment say more.
fn resource() -> Resource {
    let builder = Resource::builder();
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = builder.with_attribute(version);
    match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder.build(),
        None => builder.with_service_name("longshore").build(),
    }
}

async fn export(mut orders: mpsc::Receiver<Order>, exporter: SpanExporter, lost: Arc<AtomicU64>) {
    let (mut taken, mut failures) = (Vec::new(), 0_u64);
    while orders.recv_many(&mut taken, BATCH).await > 0 {
        if !taken.iter().any(|order| matches!(order, Order::Flush(_))) {
            let gathered = async { while taken.len() < BATCH && orders.recv_many(&mut taken, BATCH).await > 0 {} };
            let _ = tokio::time::timeout(GATHER, gathered).await;
        }
        let (mut batch, mut waiting) = (Vec::new(), Vec::new());
        for order in taken.drain(..) {
            match order {
                Order::Span(span) => batch.push(*span),
                Order::Flush(done) => waiting.push(done),
            }
        }
        let spans = batch.len() as u64;
        let sent = async { if batch.is_empty() { Ok(()) } else { exporter.export(batch).await } };
        let error = match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        if let Some(error) = error {
            failures += 1;
            let lost = lost.fetch_add(spans, Ordering::Relaxed) + spans;
            // Ever more seldom: a collector may be gone for good.
            if failures.is_power_of_two() {
                tracing::warn!(error, failures, lost, "spans were not sent");
            }
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}
