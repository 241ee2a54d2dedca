//! `longshore-stub-host ROOT`: the real host, with containers that are tasks of this process.
//!
//! With `LONGSHORE_STUB_TRACE=FILE` it writes when each turn was read and when each text was written.

mod runtime;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use longshore::app::{App, Options};
use longshore::clock::Clock;
use longshore::config::Config;
use longshore::operator::Operator;
use longshore::stop::Stop;
use longshore::telemetry;
use tokio::signal::unix::{SignalKind, signal};

// As many threads as the real one has.
#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).context("which installation?")?);
    let config = Config::load(&root).map_err(|problems| anyhow!("{problems:?}"))?;
    let _telemetry = telemetry::start(&config.log, config.otlp_endpoint.as_ref(), None, &root);
    let trace = std::env::var_os("LONGSHORE_STUB_TRACE").map(PathBuf::from);
    let runtime = Arc::new(runtime::Stub::new(trace.as_deref())?);
    let app = App::start(Options {
        root,
        program: std::env::current_exe()?,
        config,
        rehearsal: false,
        runtime,
        operator: Operator::of_environment(),
        clock: Clock::system(),
    })
    .await?;
    let stop = Stop::new();
    let (told, mut terminate) = (stop.clone(), signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        terminate.recv().await;
        told.cancel();
    });
    app.run(stop, Stop::new()).await
}
