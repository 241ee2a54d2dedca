//! Whether a login can be used as it is, has to be refreshed first, or cannot be used: pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::LoginError;
use super::document::Document;
use crate::config::Secret;

/// A token is refreshed so long before it ends.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// A token that is this new is not exchanged for another, whatever the API or a clock says of it:
/// the next one would be no better, and each costs a refresh token.
const SETTLED: Duration = Duration::from_secs(60);
/// How long the endpoint is left alone after it could not be asked.
const PAUSE: Duration = Duration::from_secs(5);

/// The last refresh.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// The refresh token that it left us with: another one in the file is another login.
    pub(super) refresh_token: Secret,
    /// When it ended.
    pub(super) at: Timestamp,
    /// How it ended.
    pub(super) outcome: Result<(), LoginError>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Use,
    Refresh,
    Fail(LoginError),
}

/// `doubted`: somebody has been refused with this access token although it has not ended.
pub(super) fn decide(document: &Document, doubted: bool, last: Option<&Attempt>, now: Timestamp) -> Step {
    // A token that does not say when it ends is used until the API refuses it.
    let ended = |ahead: Duration| {
        let limit = SignedDuration::try_from(ahead).ok().and_then(|ahead| now.checked_add(ahead).ok());
        document.expires_at().is_some_and(|ends| limit.is_none_or(|limit| ends <= limit))
    };
    if !doubted && !ended(AHEAD) {
        return Step::Use;
    }
    let Some(last) = last.filter(|last| last.refresh_token == *document.refresh_token()) else {
        return Step::Refresh;
    };
    // Not negative: a clock that was set back makes nothing recent.
    let recent = |limit| Duration::try_from(now.duration_since(last.at)).is_ok_and(|since| since < limit);
    match &last.outcome {
        Ok(()) if recent(SETTLED) => Step::Use,
        Err(error) if matches!(error, LoginError::Refused(_)) || recent(PAUSE) => {
            // What is left of the token's time is still good.
            if doubted || ended(Duration::ZERO) { Step::Fail(error.clone()) } else { Step::Use }
        }
        Ok(()) | Err(_) => Step::Refresh,
    }
}

#[cfg(test)]
mod tests {
    use super::super::LoginRefusal;
    use super::super::document::tests::login;
    use super::*;

    #[test]
    fn a_login_is_refreshed_when_that_can_help_and_not_again_and_again() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let refused = || LoginError::Refused(LoginRefusal::Revoked);
        let later = || LoginError::Later("away".to_owned());
        let attempt = |token: &str, second, outcome| {
            Some(Attempt { refresh_token: Secret::parse(token).unwrap(), at: at(second), outcome })
        };
        // The token ends at 10 000.
        let document = Document::parse(login(10_000, "rt").as_bytes()).unwrap();
        for (name, now, doubted, last, expected) in [
            ("long before its end", 9_000, false, None, Step::Use),
            ("shortly before", 9_700, false, None, Step::Refresh),
            ("after", 20_000, false, None, Step::Refresh),
            ("refused by the API", 9_000, true, None, Step::Refresh),
            ("refused, and just refreshed", 9_000, true, attempt("rt", 8_950, Ok(())), Step::Use),
            ("refused, and refreshed some time ago", 9_000, true, attempt("rt", 8_940, Ok(())), Step::Refresh),
            ("issued as ended: a clock is wrong", 20_000, false, attempt("rt", 19_999, Ok(())), Step::Use),
            ("refreshed in the future: the clock was set", 9_900, true, attempt("rt", 9_901, Ok(())), Step::Refresh),
            ("not refreshable and ended", 10_000, false, attempt("rt", 1, Err(refused())), Step::Fail(refused())),
            ("not refreshable, some time left", 9_999, false, attempt("rt", 1, Err(refused())), Step::Use),
            ("not refreshable and refused", 9_999, true, attempt("rt", 1, Err(refused())), Step::Fail(refused())),
            ("another login since", 10_000, false, attempt("other", 1, Err(refused())), Step::Refresh),
            ("the endpoint was away just now", 10_000, false, attempt("rt", 9_996, Err(later())), Step::Fail(later())),
            ("the same with time left", 9_999, false, attempt("rt", 9_996, Err(later())), Step::Use),
            ("it was away a while ago", 10_000, false, attempt("rt", 9_995, Err(later())), Step::Refresh),
        ] {
            assert_eq!(decide(&document, doubted, last.as_ref(), at(now)), expected, "{name}");
        }
    }
}
