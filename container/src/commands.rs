//! The runner's stdin: one command a line.

use std::io::Read;

use longshore_protocol::line::{Line, LineBuffer};
use longshore_protocol::{RunnerCommand, TurnId};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::queue::Input;

/// Commands that may wait to be looked at.
const WAITING: usize = 4;

/// Reads stdin to its end in a thread of its own; the last input is [`Input::Closed`].
pub fn stdin() -> mpsc::Receiver<Input> {
    let (inputs, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = LineBuffer::default();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let lines = match stdin.read(&mut chunk) {
                Ok(0) => break,
                Ok(bytes) => buffer.push(&chunk[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            for line in lines {
                if inputs.blocking_send(read(line)).is_err() {
                    return;
                }
            }
        }
        // Half a line is half a command: the host died while it wrote, and nobody waits for an answer.
        let _ = inputs.blocking_send(Input::Closed);
    });
    receiver
}

/// What a line asks for.
#[must_use]
pub fn read(line: Line) -> Input {
    #[derive(Deserialize)]
    struct Named {
        turn: TurnId,
    }
    let bytes = match line {
        Line::Complete(bytes) => bytes,
        Line::TooLong { bytes } => {
            return Input::Unreadable { turn: None, reason: format!("a command of {bytes} bytes is too long") };
        }
    };
    match serde_json::from_slice::<RunnerCommand>(&bytes) {
        Ok(command) => Input::Command(command),
        Err(error) => Input::Unreadable {
            turn: serde_json::from_slice::<Named>(&bytes).ok().map(|named| named.turn),
            reason: format!("a command cannot be read: {error}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Option<String>, bool) {
        match read(Line::Complete(text.as_bytes().to_vec())) {
            Input::Unreadable { turn, .. } => (turn.map(|turn| turn.to_string()), false),
            _ => (None, true),
        }
    }

    #[test]
    fn the_turn_of_an_unreadable_command_is_found_where_there_is_one() {
        assert_eq!(of(r#"{"type":"stop","turn":"t1"}"#), (None, true));
        assert_eq!(of(r#"{"type":"turn","turn":"t1","provider":"gpt","prompt":"x"}"#), (Some("t1".into()), false));
        assert_eq!(of(r#"{"type":"pause","turn":"t2"}"#), (Some("t2".into()), false));
        assert_eq!(of(r#"{"type":"turn","turn":"../x"}"#), (None, false));
        assert_eq!(of("{\"turn\":\"t1\""), (None, false));
        assert_eq!(of("[]"), (None, false));
    }
}
