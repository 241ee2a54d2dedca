//! Groups that sign in with ChatGPT: the login's use and its refresh, with a vendor that plays both the
//! token endpoint and the API and, as the real one, takes a refresh token only once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};

use super::super::access::SignIn;
use super::super::egress::network::Internet;
use super::super::egress::rules::Rules;
use super::super::login::ChatGptLogin;
use super::super::login::document::tests::{jwt, login};
use super::super::{Broker, BrokerLink, ChatGpt};
use super::rig::{Body, Books, Client, Vendor, json as parsed, post, soon};
use crate::clock::{Clock, Hands};

/// When the tests begin, in seconds of the epoch.
pub(super) const NOW: i64 = 1_800_000_000;
/// Far enough away.
pub(super) const FRESH: i64 = NOW + 100_000;

/// What the token endpoint answers to all; `None`: new tokens to whoever has the current one.
type Script = Arc<Mutex<Option<(u16, String)>>>;

/// A vendor, a login on disk, and a broker with the sockets of some groups.
pub(super) struct Desk {
    pub(super) vendor: Vendor,
    pub(super) script: Script,
    /// How many questions the token endpoint may answer.
    pub(super) permits: Arc<Semaphore>,
    /// One item for each question that reached it.
    pub(super) asked: mpsc::UnboundedReceiver<String>,
    pub(super) login: Arc<ChatGptLogin>,
    pub(super) hands: Hands,
    pub(super) folder: TempDir,
    broker: Arc<Broker>,
    links: Vec<(TempDir, BrokerLink)>,
    refreshes: Arc<AtomicUsize>,
}

impl Desk {
    /// With a login whose access token ends at `exp` and whose refresh token is `rt-0`, and one group.
    pub(super) async fn new(exp: i64, sign_in: SignIn) -> Self {
        let (script, permits) = (Script::default(), Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let (question, asked) = mpsc::unbounded_channel();
        let refreshes = Arc::new(AtomicUsize::new(0));
        let (scripted, permitted, count) = (Arc::clone(&script), Arc::clone(&permits), Arc::clone(&refreshes));
        let vendor = Vendor::start(move |request: Request<hyper::body::Incoming>| {
            let (script, permits, count) = (Arc::clone(&scripted), Arc::clone(&permitted), Arc::clone(&count));
            let question = question.clone();
            async move {
                let path = request.uri().path().to_owned();
                let bearer = request.headers().get("authorization").cloned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                if path != "/oauth/token" {
                    // The API refuses one token that has not ended.
                    let refused = bearer.is_some_and(|bearer| bearer == "Bearer refused");
                    return answer(if refused { 401 } else { 200 }, "said");
                }
                let asked: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(asked["grant_type"], "refresh_token");
                let shown = asked["refresh_token"].as_str().unwrap().to_owned();
                question.send(shown.clone()).unwrap();
                permits.acquire().await.unwrap().forget();
                if let Some((status, body)) = &*script.lock().unwrap() {
                    return answer(*status, body);
                }
                let serial = count.load(Ordering::Relaxed);
                if shown != format!("rt-{serial}") {
                    return answer(401, r#"{"error":{"code":"refresh_token_reused"}}"#);
                }
                count.store(serial + 1, Ordering::Relaxed);
                answer(200, &tokens(serial + 1).to_string())
            }
        })
        .await;
        let (clock, hands) = Clock::manual(Timestamp::from_second(NOW).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let token_url = format!("http://{}/oauth/token", vendor.address).parse().unwrap();
        let store = ChatGptLogin::new(folder.path().join("login"), token_url, clock);
        let base = format!("http://{}/codex", vendor.address).parse().unwrap();
        let broker = Broker::with(
            vendor.upstreams(),
            Some(ChatGpt { base, login: Arc::clone(&store) }),
            Internet::default(),
            Books::new().meter,
        );
        let mut desk =
            Self { vendor, script, permits, asked, login: store, hands, folder, broker, links: Vec::new(), refreshes };
        desk.write(&login(exp, "rt-0"));
        desk.group("family", sign_in);
        desk
    }

    pub(super) fn group(&mut self, name: &str, sign_in: SignIn) {
        let directory = tempfile::tempdir().unwrap();
        let link = self.broker.open(&name.parse().unwrap(), directory.path(), None, sign_in, Rules::default()).unwrap();
        self.links.push((directory, link));
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("login/auth.json")
    }

    pub(super) fn write(&self, login: &str) {
        fs::create_dir_all(self.folder.path().join("login")).unwrap();
        fs::write(self.file(), login).unwrap();
    }

    pub(super) fn stored(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    pub(super) async fn send(&self, group: usize, path: &str, body: &str) -> Client {
        let mut client = Client::connect(self.links[group].0.path()).await;
        client.write(&post(path, body)).await;
        client
    }

    /// A turn's request of a group, and the whole answer.
    pub(super) async fn ask(&self, group: usize) -> String {
        self.send(group, "/openai/v1/responses", "{}").await.read_to_end().await
    }

    /// The same when it is answered with an error of ours: status and body.
    pub(super) async fn refused(&self) -> (String, Value) {
        let answer = self.ask(0).await;
        let (status, body) = parsed(&answer);
        (status.to_owned(), body)
    }

    /// The bearer tokens that the API has seen.
    pub(super) fn bearers(&self) -> Vec<String> {
        let seen = self.vendor.seen.lock().unwrap();
        let api = seen.iter().filter(|seen| seen.line == "POST /codex/responses");
        api.map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned()).collect()
    }

    /// How often the token endpoint was asked.
    pub(super) fn questions(&self) -> usize {
        self.vendor.seen.lock().unwrap().iter().filter(|seen| seen.line == "POST /oauth/token").count()
    }

    /// How often it gave new tokens.
    pub(super) fn refreshes(&self) -> usize {
        self.refreshes.load(Ordering::Relaxed)
    }

    pub(super) fn later(&self, seconds: u64) {
        self.hands.advance(Duration::from_secs(seconds));
    }
}

fn answer(status: u16, body: &str) -> Response<Body> {
    Response::builder().status(status).body(Full::from(body.to_owned()).boxed()).unwrap()
}

/// The tokens of the vendor's n-th refresh.
fn tokens(serial: usize) -> Value {
    json!({"id_token": jwt(FRESH, "id"), "access_token": jwt(FRESH, &serial.to_string()),
           "refresh_token": format!("rt-{serial}")})
}

pub(super) fn bearer(serial: usize) -> String {
    format!("Bearer {}", jwt(FRESH, &serial.to_string()))
}

#[tokio::test]
async fn a_valid_login_is_shown_with_its_account_and_the_client_stays_who_it_is() {
    let desk = Desk::new(FRESH, SignIn::ChatGpt).await;
    let mut client = Client::connect(desk.links[0].0.path()).await;
    client
        .write(
            "POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer longshore-placeholder\r\n\
             chatgpt-account-id: another\r\noriginator: codex_exec\r\nuser-agent: codex_exec/0\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
    assert!(client.read_to_end().await.ends_with("said"));
    assert_eq!(desk.bearers(), [format!("Bearer {}", jwt(FRESH, "old"))]);
    let seen = desk.vendor.seen.lock().unwrap();
    let sent =
        |name: &str| seen[0].headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(sent("chatgpt-account-id"), ["account-1"]);
    assert_eq!((sent("originator"), sent("user-agent")), (vec!["codex_exec"], vec!["codex_exec/0"]));
    assert_eq!(seen.len(), 1, "nothing was refreshed");
}

#[tokio::test]
async fn a_login_that_has_ended_is_refreshed_and_on_disk_before_its_first_use() {
    let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!(desk.bearers(), [bearer(1)]);
    let stored = desk.stored();
    assert_eq!((&stored["tokens"]["refresh_token"], &stored["kept"]), (&json!("rt-1"), &json!(1)));
    assert_eq!(stored["last_refresh"], Timestamp::from_second(NOW).unwrap().to_string());
    assert_eq!(fs::metadata(desk.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!((desk.refreshes(), desk.questions()), (1, 1));
}

#[tokio::test]
async fn ten_groups_at_the_moment_of_its_end_refresh_once() {
    let mut desk = Desk::new(NOW, SignIn::ChatGpt).await;
    for number in 1..10 {
        desk.group(&format!("group-{number}"), SignIn::ChatGpt);
    }
    let answers = futures_util::future::join_all((0..10).map(|group| desk.ask(group))).await;
    assert!(answers.iter().all(|answer| answer.ends_with("said")), "{answers:?}");
    assert_eq!((desk.refreshes(), desk.questions()), (1, 1));
    assert_eq!(desk.bearers(), vec![bearer(1); 10]);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_new_tokens_with_it() {
    let mut desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    desk.permits.forget_permits(Semaphore::MAX_PERMITS);
    let client = desk.send(0, "/openai/v1/responses", "{}").await;
    assert_eq!(soon(desk.asked.recv()).await.unwrap(), "rt-0");
    // From here on the old token is worth nothing to anybody.
    drop(client);
    desk.links.clear();
    desk.permits.add_permits(1);
    soon(desk.login.settle()).await;
    assert_eq!(desk.stored()["tokens"]["refresh_token"], "rt-1");
    desk.group("family", SignIn::ChatGpt);
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!((desk.bearers(), desk.questions()), (vec![bearer(1)], 1));
}

#[tokio::test]
async fn a_token_that_the_api_refuses_is_refreshed_once_and_not_for_every_refusal() {
    let desk = Desk::new(FRESH, SignIn::ChatGpt).await;
    let mut login: Value = desk.stored();
    login["tokens"]["access_token"] = json!("refused");
    desk.write(&login.to_string());
    assert!(desk.ask(0).await.starts_with("HTTP/1.1 401 "));
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!((desk.bearers(), desk.refreshes()), (vec!["Bearer refused".to_owned(), bearer(1)], 1));

    // An account that is refused whatever it shows.
    let useless = json!({"access_token": "refused", "refresh_token": "rt-useless"}).to_string();
    *desk.script.lock().unwrap() = Some((200, useless));
    login["tokens"]["refresh_token"] = json!("rt-another");
    desk.write(&login.to_string());
    for _ in 0..5 {
        assert!(desk.ask(0).await.starts_with("HTTP/1.1 401 "));
    }
    assert_eq!(desk.questions(), 2);
    desk.later(60);
    assert!(desk.ask(0).await.starts_with("HTTP/1.1 401 "));
    assert_eq!(desk.questions(), 3);
}

#[tokio::test]
async fn a_group_with_a_key_never_meets_the_login() {
    let desk = Desk::new(NOW - 1, SignIn::Key).await;
    assert!(desk.ask(0).await.ends_with("said"));
    let seen = desk.vendor.seen.lock().unwrap();
    assert_eq!((seen.len(), seen[0].line.as_str()), (1, "POST /base/v1/responses"));
    assert_eq!(seen[0].headers["authorization"], "Bearer real-secret");
    assert!(!seen[0].headers.contains_key("chatgpt-account-id"));
}

#[tokio::test]
async fn a_container_with_the_login_sends_it_itself_and_shares_one_refresh_with_all() {
    let mut desk = Desk::new(NOW - 1, SignIn::MountedLogin).await;
    desk.group("second", SignIn::MountedLogin);
    desk.group("brokered", SignIn::ChatGpt);
    let trade = async |group| {
        let body = r#"{"client_id":"x","grant_type":"refresh_token","refresh_token":"rt-0"}"#;
        let answer = desk.send(group, "/openai/oauth/token", body).await.read_to_end().await;
        let (status, body) = parsed(&answer);
        (status.to_owned(), body)
    };
    let (first, second, brokered) = tokio::join!(trade(0), trade(1), desk.ask(2));
    assert_eq!((&first, &second), (&("200".to_owned(), tokens(1)), &("200".to_owned(), tokens(1))));
    assert!(brokered.ends_with("said"));
    assert_eq!((desk.refreshes(), desk.questions()), (1, 1));

    let mut client = Client::connect(desk.links[0].0.path()).await;
    let own = "authorization: Bearer own\r\nchatgpt-account-id: own-account\r\n";
    client.write(&format!("POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\n{own}content-length: 0\r\n\r\n")).await;
    assert!(client.read_to_end().await.ends_with("said"));
    assert_eq!(desk.bearers(), [bearer(1), "Bearer own".to_owned()]);
    assert_eq!(desk.vendor.seen.lock().unwrap()[2].headers["chatgpt-account-id"], "own-account");
    // Who has no login has none to refresh.
    let answer = desk.send(2, "/openai/oauth/token", r#"{"refresh_token":"rt-1"}"#).await.read_to_end().await;
    assert_eq!(parsed(&answer).0, "403");
}
