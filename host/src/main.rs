//! `longshore`: the daemon and its command line.

use std::process::ExitCode;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    longshore::cli::main().await
}
