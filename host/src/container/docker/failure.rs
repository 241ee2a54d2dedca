//! The client's errors as the host's.

use std::error::Error as _;

use bollard::errors::Error;

use super::super::RuntimeError;
use super::ANSWER_WITHIN;

/// The most of an engine's own words that is passed on, in characters.
const MAX_WORDS: usize = 1000;

/// What went wrong, for a call that knows nothing better.
pub(super) fn runtime_error(error: Error) -> RuntimeError {
    match &error {
        Error::DockerResponseServerError { status_code, message } => {
            RuntimeError::Refused(format!("{} (status {status_code})", bounded(message)))
        }
        // The engine did answer, and in a way that nobody understands.
        Error::JsonDataError { .. }
        | Error::JsonSerdeError { .. }
        | Error::StrParseError { .. }
        | Error::URLEncodedError { .. }
        | Error::DockerStreamError { .. } => RuntimeError::Refused(in_words(&error)),
        _ => RuntimeError::Unavailable(in_words(&error)),
    }
}

/// As [`runtime_error`], for a question about an image.
pub(super) fn of_image(error: Error, image: &str) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => {
            RuntimeError::ImageMissing { image: image.to_owned() }
        }
        error => runtime_error(error),
    }
}

/// As [`runtime_error`], for a creation: a 404 there is about the image or about something else.
pub(super) fn of_create(error: Error, image: &str) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code: 404, message }
            if message.to_ascii_lowercase().contains("no such image") =>
        {
            RuntimeError::ImageMissing { image: image.to_owned() }
        }
        error => runtime_error(error),
    }
}

/// Whether the engine itself said it.
pub(super) fn is_server_error(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { .. })
}

/// Whether the container to remove is gone, or somebody else is removing it.
pub(super) fn is_gone_or_going(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => true,
        Error::DockerResponseServerError { status_code: 409, message } => message.contains("already in progress"),
        _ => false,
    }
}

/// The error with its causes: the client's own text leaves out the one that tells (`Permission denied`,
/// `Connection refused`).
pub(super) fn in_words(error: &Error) -> String {
    match error {
        Error::SocketNotFoundError(path) => return format!("there is no socket `{path}`"),
        Error::RequestTimeoutError => return format!("no answer within {} seconds", ANSWER_WITHIN.as_secs()),
        Error::UnsupportedURISchemeError { uri } => {
            return format!("`{}` is no address that can be used; it is `unix://…` or `tcp://…`", bounded(uri));
        }
        _ => {}
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    if let Error::HyperLegacyError { .. } = error {
        // It says only that it is a client's, twice; the last cause says what happened.
        while let Some(error) = cause {
            words = error.to_string();
            cause = error.source();
        }
    }
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = error.source();
    }
    bounded(&words)
}

fn bounded(text: &str) -> String {
    text.trim().chars().take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn each_failure_becomes_what_its_caller_branches_on() {
        let unavailable = |error| matches!(runtime_error(error), RuntimeError::Unavailable(_));
        assert!(unavailable(Error::SocketNotFoundError("/x".into())));
        assert!(unavailable(Error::RequestTimeoutError));
        assert!(unavailable(Error::IOError { err: std::io::ErrorKind::ConnectionReset.into() }));
        assert!(matches!(runtime_error(server(500, "x")), RuntimeError::Refused(_)));
        assert!(matches!(of_create(server(404, "No such image: a"), "a"), RuntimeError::ImageMissing { .. }));
        assert!(matches!(of_create(server(404, "network x not found"), "a"), RuntimeError::Refused(_)));
        assert!(matches!(of_image(server(404, ""), "a"), RuntimeError::ImageMissing { .. }));
    }

    #[test]
    fn a_container_that_is_gone_or_going_needs_no_removal() {
        assert!(is_gone_or_going(&server(404, "No such container: x")));
        assert!(is_gone_or_going(&server(409, "removal of container x is already in progress")));
        assert!(!is_gone_or_going(&server(409, "You cannot remove a running container x")));
        assert!(!is_gone_or_going(&server(500, "already in progress")));
    }

    #[test]
    fn an_engine_s_words_are_passed_on_up_to_a_bound() {
        let RuntimeError::Refused(words) = runtime_error(server(400, &"x".repeat(100_000))) else { panic!("refused") };
        assert!(words.len() < 1100, "{}", words.len());
    }
}
