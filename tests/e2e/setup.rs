//! SPEC "Setting up": the real `longshore setup` and `chat` on a terminal of their own, and without one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};
use longshore_tests::{Api, Host, HostOptions, Installation, installation};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What Enter sends.
const ENTER: &str = "\r";

/// An empty folder in which everything is to be set up.
struct Nothing(tempfile::TempDir);

impl Nothing {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("longshore-test-").tempdir().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    /// `longshore` with an environment of its own.
    fn command(&self) -> Command {
        self.program(&installation::binary())
    }

    fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LONGSHORE_ROOT", self.root()).env("TZ", "Europe/Berlin").env("TERM", "xterm");
        for name in ["PATH", "HOME", "DOCKER_HOST"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("XDG_CONFIG_HOME", self.root().join(".config")).env("KEEP_WARM_SECONDS", "0");
        command.env("CLI_UPDATES", "never");
        command.env("CONTAINER_IMAGE", installation::image());
        command
    }

    fn setup(&self, arguments: &[&str]) -> (i32, String) {
        said(self.command().arg("setup").args(arguments).output().unwrap())
    }

    fn env(&self) -> String {
        fs::read_to_string(self.root().join(".env")).unwrap()
    }

    fn set(&self, lines: &str) {
        fs::write(self.root().join(".env"), lines).unwrap();
    }
}

fn said(output: Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A program on a terminal.
struct Terminal(OsSession);

impl Terminal {
    fn start(command: Command) -> Self {
        let mut session = Session::spawn(command).expect("a terminal");
        session.set_expect_timeout(Some(PATIENCE));
        Self(session)
    }

    /// Waits for a text, and gives what came before it.
    fn expect(&mut self, text: &str) -> String {
        match self.0.expect(text) {
            Ok(found) => String::from_utf8_lossy(found.before()).into_owned(),
            Err(error) => panic!("`{text}` did not come: {error}"),
        }
    }

    fn answer(&mut self, text: &str) {
        self.0.send(text).unwrap();
    }

    fn end(mut self) -> String {
        let found = self.0.expect(Eof).expect("it ends");
        String::from_utf8_lossy(found.before()).into_owned()
    }
}

#[test]
fn on_a_terminal_setup_leads_from_an_empty_folder_to_the_first_answer_and_the_chat_goes_on() {
    let nothing = Nothing::new();
    let mut command = nothing.command();
    command.arg("setup");
    let mut terminal = Terminal::start(command);
    terminal.expect("What is the assistant called?");
    // The name that is offered is taken away first.
    terminal.answer("\u{7f}\u{7f}\u{7f}\u{7f}Bo\r");
    terminal.expect("In which time zone");
    terminal.answer("Mars\r");
    terminal.expect("`Mars` is no IANA time zone");
    terminal.expect("In which time zone");
    terminal.answer(ENTER);
    terminal.expect("How do people write to it?");
    terminal.answer(ENTER);
    terminal.expect("Who answers in the main group?");
    // One further down: codex.
    terminal.answer("\u{1b}[B\r");
    terminal.expect("What does codex sign in with?");
    terminal.expect("a stand-in answers");
    terminal.answer("\u{1b}[B\u{1b}[B\r");
    terminal.expect("changed `ASSISTANT_NAME` in `.env`");
    terminal.expect("`main` is answered by codex now");
    terminal.expect("Install Longshore as a service");
    terminal.answer(ENTER);
    terminal.expect("> Hello! Who are you, in one sentence?");
    terminal.expect("[rehearsal · codex · main] You said: Hello! Who are you, in one sentence?");
    terminal.expect("longshore run --rehearsal");
    terminal.end();
    assert!(nothing.env().contains("\n# ASSISTANT_NAME=Andy\nASSISTANT_NAME=Bo\n"), "{}", nothing.env());
    assert_eq!(fs::metadata(nothing.root().join(".env")).unwrap().permissions().mode() & 0o777, 0o600);

    let mut command = nothing.command();
    command.args(["run", "--rehearsal", "--chat", "main"]);
    let mut terminal = Terminal::start(command);
    terminal.expect("Bo in Main (codex, rehearsal). Ctrl-D ends the chat.");
    terminal.expect("> ");
    terminal.answer("and now?\r");
    terminal.expect("[rehearsal · codex · main] You said: and now?");
    terminal.answer("\u{4}");
    terminal.end();
}

#[test]
fn a_key_is_typed_without_a_trace_and_asked_about_before_it_is_kept() {
    let api = Api::start();
    let nothing = Nothing::new();
    nothing.set(&format!("ANTHROPIC_BASE_URL={}\n", api.server().anthropic_base()));
    let mut command = nothing.command();
    command.args([
        "setup",
        "--name",
        "Andy",
        "--timezone",
        "UTC",
        "--provider",
        "claude",
        "--channel",
        "console",
        "--service",
        "skip",
        "--no-message",
    ]);
    let mut terminal = Terminal::start(command);
    terminal.expect("What does claude sign in with?");
    terminal.answer(ENTER);
    terminal.expect("The Anthropic API key (it is not shown)");
    terminal.answer("wrong\r");
    terminal.expect("claude does not accept it: invalid x-api-key");
    terminal.expect("The Anthropic API key (it is not shown)");
    terminal.answer("sk-canary\r");
    terminal.expect("claude accepts it");
    let rest = terminal.end();
    assert!(!rest.contains("canary"), "{rest}");
    assert!(nothing.env().ends_with("\nTZ=UTC\nANTHROPIC_API_KEY=sk-canary\n"), "{}", nothing.env());
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn without_a_terminal_nothing_is_asked_and_what_is_missing_is_named() {
    let nothing = Nothing::new();
    let (status, told) = nothing.setup(&[]);
    assert_eq!(status, 1, "{told}");
    assert!(told.contains("nothing was changed: --credential is missing: What does claude sign in with?"), "{told}");
    let (status, told) = nothing.setup(&["--yes", "--timezone", "Mars", "--credential", "login"]);
    assert!(status == 1 && told.contains("--timezone: `Mars` is no IANA") && told.contains("--credential: "), "{told}");
    let (status, told) = nothing.setup(&["--credential", "none", "--name", "Bo", "--message", "well?"]);
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("[rehearsal · claude · main] You said: well?"), "{told}");
    assert!(told.contains("longshore run --rehearsal"), "{told}");
}

#[test]
fn a_second_run_changes_what_is_asked_for_and_nothing_else() {
    let api = Api::start();
    let installation = Installation::new();
    let before = format!(
        "# my own comment\nANTHROPIC_BASE_URL={}\nANTHROPIC_API_KEY=old # keep\nSTOP_WORD=/halt\n\nTZ=Europe/Paris\n",
        api.server().anthropic_base()
    );
    fs::write(installation.path(".env"), &before).unwrap();
    let groups = r#"{"console:main": {"name": "Mine",   "folder": "main", "isMain": true}}"#;
    installation.groups(groups);
    let setup = |arguments: &[&str]| {
        said(installation.command().args(["setup", "--yes", "--no-message"]).args(arguments).output().unwrap())
    };
    let (status, told) = setup(&[]);
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("`.env` stays as it is"), "{told}");
    assert_eq!(fs::read_to_string(installation.path(".env")).unwrap(), before);

    fs::write(installation.path("key"), "wrong\n").unwrap();
    let key = installation.path("key").display().to_string();
    let (status, told) = setup(&["--key-file", &key]);
    assert!(status == 1 && told.contains("claude does not accept the Anthropic API key"), "{told}");
    assert_eq!(fs::read_to_string(installation.path(".env")).unwrap(), before);

    fs::write(installation.path("key"), "sk-new\n").unwrap();
    let (status, told) = setup(&["--key-file", &key, "--name", "Bo"]);
    assert_eq!(status, 0, "{told}");
    let expected = before.replace("ANTHROPIC_API_KEY=old # keep", "ANTHROPIC_API_KEY=sk-new") + "ASSISTANT_NAME=Bo\n";
    assert_eq!(fs::read_to_string(installation.path(".env")).unwrap(), expected);
    assert_eq!(fs::read_to_string(installation.path("data/registered_groups.json")).unwrap(), groups);

    // A host that runs already is asked, and goes on.
    let host = Host::start_with(&installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() });
    let (status, told) =
        said(installation.command().args(["setup", "--yes", "--message", "still there?"]).output().unwrap());
    assert_eq!(status, 0, "{told}\n{}", host.log());
    assert!(told.contains("You said: still there?"), "{told}");
    let (_, told) = setup(&["--timezone", "UTC"]);
    assert!(told.contains("the one that runs has the old settings until it is started again"), "{told}");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn whatsapp_is_offered_where_its_adapter_is_and_linked_in_the_same_terminal() {
    let nothing = Nothing::new();
    let beside = tempfile::tempdir().unwrap();
    let program = beside.path().join("longshore");
    fs::copy(installation::binary(), &program).unwrap();
    let adapter = beside.path().join("longshore-whatsapp");
    fs::write(&adapter, "#!/bin/sh\necho \"called with $*\"\n").unwrap();
    fs::set_permissions(&adapter, fs::Permissions::from_mode(0o755)).unwrap();

    let (status, told) = nothing.setup(&["--yes", "--credential", "none", "--channel", "whatsapp", "--no-message"]);
    assert!(status == 1 && told.contains("--channel: `longshore-whatsapp` is not installed"), "{told}");
    assert!(!nothing.root().join(".env").exists(), "nothing was made");

    let mut command = nothing.program(&program);
    command.args([
        "setup",
        "--name",
        "Andy",
        "--timezone",
        "UTC",
        "--provider",
        "claude",
        "--credential",
        "none",
        "--service",
        "skip",
        "--no-message",
    ]);
    let mut terminal = Terminal::start(command);
    terminal.expect("How do people write to it?");
    terminal.answer("\u{1b}[B\r");
    terminal.expect("changed `TZ`, `CHANNELS` in `.env`");
    terminal.expect("Link WhatsApp now?");
    terminal.answer("y");
    terminal
        .expect(&format!("called with --data {}/data/whatsapp link", nothing.root().canonicalize().unwrap().display()));
    terminal.expect("WhatsApp is linked");
    terminal.end();
    let env = nothing.env();
    assert!(env.contains("\nCHANNELS=console,whatsapp\n"), "{env}");
}
