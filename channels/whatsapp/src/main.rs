//! See the library.

fn main() -> std::process::ExitCode {
    longshore_whatsapp::main()
}
