//! Pure: the token endpoint of a ChatGPT login, as codex asks it for new tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::Answer;

/// 2100-01-01, so that no clock is needed and no token grows old in a test.
const EXPIRES_AT: u64 = 4_102_444_800;
/// 2026-01-01.
const ISSUED_AT: u64 = 1_767_225_600;

/// New tokens, told apart by `id`. The refresh tokens `expired`, `used` and `wrong` are refused, as such credentials are elsewhere.
#[must_use]
pub fn answer(request: &Value, id: &str) -> Answer {
    let code = match request["refresh_token"].as_str() {
        Some("expired") => "refresh_token_expired",
        Some("used") => "refresh_token_reused",
        Some("wrong") => "refresh_token_invalidated",
        _ => {
            return Answer::whole(
                200,
                json!({
                    "id_token": jwt(&format!("id-{id}")),
                    "access_token": jwt(&format!("access-{id}")),
                    "refresh_token": format!("rt-{id}"),
                }),
            );
        }
    };
    Answer::whole(401, json!({"error": {"message": "the refresh token is refused", "code": code}}))
}

/// A token with the claims that codex reads, and no signature worth the name.
fn jwt(id: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "exp": EXPIRES_AT, "iat": ISSUED_AT, "jti": id, "email": "rehearsal@example.com", "sub": "user-rehearsal",
        "https://api.openai.com/auth": {
            "chatgpt_account_id": "account-rehearsal", "chatgpt_plan_type": "plus",
            "chatgpt_user_id": "user-rehearsal", "user_id": "user-rehearsal",
        },
        "https://api.openai.com/profile": {"email": "rehearsal@example.com"},
    });
    format!("{}.{}.{}", part(&json!({"alg": "none", "typ": "JWT"})), part(&claims), URL_SAFE_NO_PAD.encode("signature"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_gives_tokens_whose_claims_can_be_read() {
        let Answer::Whole { status: 200, body, .. } = answer(&json!({"refresh_token": "old"}), "7") else { panic!() };
        assert_eq!(body["refresh_token"], "rt-7");
        let token = body["access_token"].as_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["https://api.openai.com/auth"]["chatgpt_account_id"], "account-rehearsal");
        assert_eq!(claims["jti"], "access-7");
    }

    #[test]
    fn a_refresh_token_that_is_expired_is_refused() {
        let Answer::Whole { status: 401, body, .. } = answer(&json!({"refresh_token": "expired"}), "7") else {
            panic!()
        };
        assert_eq!(body["error"]["code"], "refresh_token_expired");
    }
}
