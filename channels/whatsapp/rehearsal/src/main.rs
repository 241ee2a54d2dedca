//! See the library.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    longshore_whatsapp::main().await
}
