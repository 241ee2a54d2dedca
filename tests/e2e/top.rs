//! `longshore top` in a real terminal, beside a real host.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use longshore_tests::installation::binary;
use longshore_tests::{Installation, StubHost};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A terminal in which `longshore top` runs.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    written: Arc<Mutex<Vec<u8>>>,
    child: Box<dyn Child + Send + Sync>,
}

impl Terminal {
    fn top(installation: &Installation) -> Self {
        let pair = native_pty_system().openpty(size(80)).unwrap();
        let mut command = CommandBuilder::new(binary());
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("HOME", installation.root());
        command.arg("--root");
        command.arg(installation.root());
        command.arg("top");
        let child = pair.slave.spawn_command(command).unwrap();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, sink) = (pair.master.try_clone_reader().unwrap(), written.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { master: pair.master, keys, written, child }
    }

    /// Waits for a text on the screen. Another size has all of it written anew; what is blank is left out then.
    fn until_it_shows(&self, text: &str) {
        let (begin, wanted) = (Instant::now(), text.replace(' ', ""));
        for columns in [81, 80].into_iter().cycle() {
            self.written.lock().unwrap().clear();
            self.master.resize(size(columns)).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            let shown = plain(&self.written.lock().unwrap());
            if shown.contains(&wanted) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "never `{text}`, but {shown}");
        }
    }

    /// Its end: the exit status, after which the terminal is as it was.
    fn end(mut self) -> u32 {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        std::thread::sleep(Duration::from_millis(200));
        let written = String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned();
        // The other screen is left, and the cursor is seen.
        assert!(written.contains("\u{1b}[?1049l") && written.contains("\u{1b}[?25h"), "{written:?}");
        status.exit_code()
    }
}

fn size(cols: u16) -> PtySize {
    PtySize { rows: 24, cols, pixel_width: 0, pixel_height: 0 }
}

/// Without escape sequences and blanks.
fn plain(written: &[u8]) -> String {
    let text = String::from_utf8_lossy(written);
    let mut plain = String::new();
    let mut pieces = text.split("\u{1b}[");
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|character: char| character.is_ascii_alphabetic()).map_or(piece.len(), |end| end + 1);
        plain.push_str(&piece[end..]);
    }
    plain.replace(' ', "")
}

#[test]
fn it_shows_the_groups_waits_for_a_host_that_went_away_and_leaves_the_terminal_as_it_was() {
    let installation = Installation::new();
    installation.env("ANTHROPIC_API_KEY=stub");
    let host = StubHost::start(&installation, false).unwrap();
    let mut terminal = Terminal::top(&installation);
    terminal.until_it_shows("longshore 0.1.0, up");
    terminal.until_it_shows("main claude idle -");
    assert!(installation.longshore(&["chat", "main", "--once", "hello"]).status.success());
    terminal.until_it_shows("ok in 0 s");
    assert!(host.stop().unwrap().success());
    terminal.until_it_shows("no host runs (for");
    let host = StubHost::start(&installation, false).unwrap();
    terminal.until_it_shows("longshore 0.1.0, up");
    terminal.keys.write_all(b"s").unwrap();
    terminal.until_it_shows("LAST TURN▼");
    terminal.keys.write_all(b"q").unwrap();
    assert_eq!(terminal.end(), 0);
    assert!(host.stop().unwrap().success());
}

#[test]
fn a_signal_and_control_c_end_it_and_leave_the_terminal_as_it_was() {
    let installation = Installation::new();
    for signal in [None, Some("-TERM"), Some("-HUP")] {
        let mut terminal = Terminal::top(&installation);
        terminal.until_it_shows("no host runs");
        match signal {
            None => terminal.keys.write_all(&[3]).unwrap(),
            Some(signal) => {
                let pid = terminal.child.process_id().unwrap().to_string();
                assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
            }
        }
        assert_eq!(terminal.end(), 0, "{signal:?}");
    }
    let output = installation.longshore(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a terminal"));
}
