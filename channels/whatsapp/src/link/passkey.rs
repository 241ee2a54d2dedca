//! A passkey: WhatsApp asks some accounts for one before it links another device. Only a browser that has it
//! can answer, on WhatsApp's own page, so its answer is carried over by hand.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::time::{sleep, timeout};
use whatsapp_rust::passkey::Assertion;

/// The longest answer, in bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// How long the operator may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(500);

/// Says what to do and takes the answer, pasted in one line or from a file.
pub(super) async fn obtain(options: &str, file: Option<&Path>) -> anyhow::Result<Assertion> {
    let options: Value = serde_json::from_str(options).context("WhatsApp's question cannot be read")?;
    let how = match file {
        Some(path) => format!("Save what it prints in `{}`.", path.display()),
        None => "Paste what it prints here, in one line, and press Enter.".to_owned(),
    };
    writeln!(
        io::stdout(),
        "WhatsApp asks for the account's passkey.\n\
         Open https://web.whatsapp.com in a browser that has it, open the developer console (F12), and run:\n\n{}\n\n{how}",
        script(&options)
    )?;
    let answer = async {
        match file {
            Some(path) => from_file(path).await,
            None => line().await,
        }
    };
    read(&timeout(PATIENCE, answer).await.context("nobody has answered in time")??)
}

/// What the browser is to run: the question with its bytes decoded, and the answer with its own encoded.
fn script(options: &Value) -> String {
    let options = options.get("publicKey").unwrap_or(options);
    format!(
        "(async () => {{\n\
         const o = {options};\n\
         const d = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));\n\
         const e = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');\n\
         o.challenge = d(o.challenge); (o.allowCredentials || []).forEach(c => c.id = d(c.id));\n\
         const c = await navigator.credentials.get({{ publicKey: o }}), r = c.response;\n\
         console.log(JSON.stringify({{ id: c.id, rawId: e(c.rawId), type: c.type, response: {{ \
         clientDataJSON: e(r.clientDataJSON), authenticatorData: e(r.authenticatorData), \
         signature: e(r.signature), userHandle: r.userHandle ? e(r.userHandle) : null }} }}));\n\
         }})()"
    )
}

/// Shows the code of the last step and waits for the operator to confirm that the phone shows the same.
pub(super) async fn confirm(code: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "Does the phone show the code {code}? Type `yes`.")?;
    let answer = timeout(PATIENCE, line()).await.context("nobody has answered in time")??;
    ensure!(answer.trim().eq_ignore_ascii_case("yes"), "the codes are not the same; nothing was linked");
    Ok(())
}

async fn from_file(path: &Path) -> anyhow::Result<String> {
    loop {
        match tokio::fs::metadata(path).await {
            Ok(meta) if meta.is_file() && meta.len() > MAX_BYTES => bail!("`{}` is too large", path.display()),
            Ok(meta) if meta.is_file() && meta.len() > 0 => {
                let text = tokio::fs::read_to_string(path).await?;
                // It may be half written.
                if serde_json::from_str::<Value>(&text).is_ok() {
                    return Ok(text);
                }
            }
            _ => {}
        }
        sleep(LOOK).await;
    }
}

async fn line() -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(tokio::io::stdin().take(MAX_BYTES)).read_line(&mut line).await?;
    ensure!(!line.trim().is_empty(), "there is nobody to answer; use `--passkey-file`");
    Ok(line)
}

/// The browser's answer.
fn read(text: &str) -> anyhow::Result<Assertion> {
    let wrong = "this is not what the browser prints";
    let answer: Value = serde_json::from_str(text.trim()).context(wrong)?;
    let response = answer.get("response").context(wrong)?;
    for field in ["clientDataJSON", "authenticatorData", "signature"] {
        ensure!(
            response.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
            "{wrong}: `{field}` is missing"
        );
    }
    let id = answer.get("rawId").and_then(Value::as_str).with_context(|| format!("{wrong}: `rawId` is missing"))?;
    let credential_id =
        BASE64.decode(id.trim_end_matches('=')).with_context(|| format!("{wrong}: `rawId` is no base64url"))?;
    ensure!(!credential_id.is_empty(), "{wrong}: `rawId` is empty");
    Ok(Assertion { assertion_json: serde_json::to_vec(&answer)?, credential_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"id":"AQID","rawId":"AQID_-8","type":"public-key",
        "response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"MEU","userHandle":null}}"#;

    #[test]
    fn the_browsers_answer_is_taken_as_it_stands() {
        let assertion = read(ANSWER).unwrap();
        assert_eq!(assertion.credential_id, [1, 2, 3, 0xff, 0xef]);
        let json: Value = serde_json::from_slice(&assertion.assertion_json).unwrap();
        assert_eq!(json, serde_json::from_str::<Value>(ANSWER).unwrap());
    }

    #[test]
    fn anything_else_is_refused_with_what_is_missing() {
        for text in ["", "yes", "{}", r#"{"rawId":"AQID","response":{"clientDataJSON":"e30"}}"#, "[1]"] {
            assert!(read(text).is_err(), "{text}");
        }
        let error = read(&ANSWER.replace("AQID_-8", "ä")).unwrap_err();
        assert!(format!("{error:#}").contains("rawId"), "{error:#}");
    }

    #[test]
    fn the_question_stands_in_the_script() {
        let options = serde_json::json!({"challenge": "AAEC", "rpId": "web.whatsapp.com"});
        assert!(script(&options).contains(r#"{"challenge":"AAEC","rpId":"web.whatsapp.com"}"#));
    }
}
