//! The vendor's token endpoint: what it is asked, and what its answer means.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request};
use serde_json::{Value, json};

use super::super::upstream::{Connections, SendError};
use super::{LoginError, LoginRefusal};
use crate::config::{BaseUrl, Secret};

/// codex's own id at the token endpoint (its public client id; a refresh is bound to it).
const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";
/// How long the endpoint may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that its answer may be, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Exchanges a refresh token; returns the answer with the new tokens.
///
/// From the moment in which the endpoint has the question the old token may be worth nothing, so this
/// must not be dropped before it ends.
pub(super) async fn exchange(
    connections: &Connections,
    endpoint: &BaseUrl,
    refresh_token: &Secret,
) -> Result<Value, LoginError> {
    let later = |cause: String| LoginError::Later(cause);
    let asked = json!({
        "client_id": CLIENT_ID,
        "grant_type": "refresh_token",
        "refresh_token": refresh_token.expose(),
    });
    let mut request = Request::new(Either::Right(Full::new(Bytes::from(asked.to_string()))));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = endpoint.join("", None).map_err(|error| later(error.to_string()))?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answered = async {
        let response = connections.send(request).await.map_err(|error| match error {
            SendError::Unreachable(cause) | SendError::Broken(cause) => later(cause),
            SendError::TooLarge => later("the request is too large".into()),
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| later(error.to_string()))?.to_bytes()))
    };
    let (status, body) =
        tokio::time::timeout(PATIENCE, answered).await.map_err(|_| later("no answer in 30 s".into()))??;
    answer(status, &body)
}

/// The new tokens, or why there are none.
fn answer(status: u16, body: &[u8]) -> Result<Value, LoginError> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    // Something in between that is not the endpoint has no error code, and says nothing of the login.
    match (status, refusal(&body["error"])) {
        (200, _) => Ok(body),
        (400 | 401 | 403, Some(refusal)) => Err(LoginError::Refused(refusal)),
        (401, None) => Err(LoginError::Refused(LoginRefusal::Other)),
        _ => Err(LoginError::Later(format!("the token endpoint answered with status {status}"))),
    }
}

/// `{"code": "…"}`, or a bare code as in RFC 6749, 5.2.
fn refusal(error: &Value) -> Option<LoginRefusal> {
    let code = error["code"].as_str().or_else(|| error.as_str())?;
    Some(match code {
        "refresh_token_expired" => LoginRefusal::Expired,
        "refresh_token_reused" => LoginRefusal::Reused,
        "refresh_token_invalidated" | "refresh_token_revoked" => LoginRefusal::Revoked,
        _ => LoginRefusal::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_endpoint_itself_can_end_a_login() {
        use LoginRefusal::{Expired, Other, Reused, Revoked};
        for (status, body, expected) in [
            (200, r#"{"access_token":"a"}"#, None),
            (401, r#"{"error":{"code":"refresh_token_expired"}}"#, Some(Expired)),
            (401, r#"{"error":{"code":"refresh_token_reused"}}"#, Some(Reused)),
            (400, r#"{"error":"refresh_token_revoked"}"#, Some(Revoked)),
            (403, r#"{"error":{"code":"refresh_token_invalidated"}}"#, Some(Revoked)),
            (400, r#"{"error":"invalid_grant"}"#, Some(Other)),
            (401, "", Some(Other)),
        ] {
            let found = answer(status, body.as_bytes());
            assert_eq!(found.err(), expected.map(LoginError::Refused), "{status} {body}");
        }
        for (status, body) in [(403, "<html>"), (400, ""), (302, ""), (429, r#"{"error":"slow_down"}"#), (503, "")] {
            let found = answer(status, body.as_bytes()).unwrap_err();
            assert!(matches!(&found, LoginError::Later(cause) if cause.contains(&status.to_string())), "{found}");
        }
    }
}
