//! The adapter as tests run it: see the library.

fn main() -> std::process::ExitCode {
    longshore_whatsapp::main()
}
