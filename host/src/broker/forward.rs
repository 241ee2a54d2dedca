//! One request: decided, dressed, sent on, and its answer streamed back.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Request, Response};
use serde_json::Value;
use tracing::{debug, warn};

use super::access::SignIn;
use super::counted::Counted;
use super::egress::Aside;
use super::patience::{self, Patient};
use super::policy::{self, Api, Costs, Decision};
use super::refusal::Refusal;
use super::tally::{Tallied, Tally};
use super::upstream::SendError;
use super::{Broker, Client, Credential};

/// Twice what the largest API takes.
pub(super) const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// A refresh token is a kilobyte or two.
const MAX_TRADE_BYTES: usize = 64 * 1024;

/// An answer: an API's, read as it passes; another host's, as it comes; or our own.
pub(super) type AnswerBody = Either<Tallied<Counted<Patient<Incoming>>>, Either<Incoming, Full<Bytes>>>;

/// Our own answer.
pub(super) fn own(body: impl Into<Bytes>) -> Response<AnswerBody> {
    Response::new(Either::Right(Either::Right(Full::new(body.into()))))
}

/// Answers one request of a group's container. What goes on after the answer is left in `aside`.
pub(super) async fn answer(
    broker: &Broker,
    client: &Client,
    aside: &Aside,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let group = &client.group;
    let method = request.method().clone();
    let dialect = policy::dialect(request.uri());
    let answered = match policy::decide(&method, request.uri(), request.headers()) {
        Decision::Forward { api, path, costs } => {
            let answered = forward(broker, client, Target { api, path, costs }, request).await;
            answered.map(|answer| answer.map(Either::Left))
        }
        Decision::TradeLogin => trade_login(broker, client, request).await,
        Decision::Egress => return Ok(broker.egress.answer(group, &client.way_out, aside, request).await),
        Decision::Forbid => Err(Refusal::forbidden(&method, request.uri())),
        Decision::NoWebsocket => Err(Refusal::NoWebsocket),
    };
    Ok(match answered {
        Ok(response) => response,
        Err(refusal) => {
            broker.meter.metrics().denied(refusal.counted());
            // An unreachable API is the operator's matter; the rest is the agent's.
            if refusal.is_temporary() {
                warn!(%group, reason = refusal.message(), "a model request failed");
            } else {
                debug!(%group, reason = refusal.message(), "refused");
            }
            refuse(&refusal, dialect)
        }
    })
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
struct Target {
    api: Api,
    /// Below the upstream's base.
    path: &'static str,
    costs: Costs,
}

async fn forward(
    broker: &Broker,
    client: &Client,
    Target { api, path, costs }: Target,
    request: Request<Incoming>,
) -> Result<Response<Tallied<Counted<Patient<Incoming>>>>, Refusal> {
    let group = &client.group;
    if costs == Costs::Tokens {
        broker.meter.look_at_prices().await;
        broker.meter.admit(group).map_err(Refusal::Budget)?;
    }
    let upstream = broker.upstream(api, client.sign_in).await?;
    if let Credential::None { hint } = upstream.credential {
        return Err(Refusal::NoCredential { hint });
    }
    let too_large = Refusal::TooLarge { limit_bytes: MAX_REQUEST_BYTES };
    if request.body().size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Err(too_large);
    }
    let origin = upstream.base.origin();
    let broken = |cause: String| Refusal::Broken { origin: upstream.base.origin(), cause };
    let (head, body) = request.into_parts();
    let uri = upstream.base.join(path, head.uri.query()).map_err(|error| broken(error.to_string()))?;
    let headers = policy::request_headers(&head.headers, api, &upstream, group);
    let (sent, received) = broker.meter.metrics().bytes(api.provider());
    let body = Counted::new(Patient::new(body, patience::OF_A_CLIENT), sent);
    let mut outgoing = Request::new(Either::Left(Limited::new(body, MAX_REQUEST_BYTES)));
    *outgoing.method_mut() = head.method;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = headers.map_err(|error| broken(error.to_string()))?;

    broker.meter.metrics().asked(api.provider());
    // From here on the request counts, even if the client leaves before there is an answer.
    let mut tally = (costs == Costs::Tokens).then(|| Tally::new(broker.meter.clone(), group.clone(), api));
    let response = broker.connections.send(outgoing).await.map_err(|error| {
        if let (Some(tally), SendError::TooLarge | SendError::Unreachable(_)) = (tally.take(), &error) {
            tally.forget();
        }
        match error {
            SendError::TooLarge => too_large,
            SendError::Unreachable(cause) => Refusal::Unreachable { origin, cause },
            SendError::Broken(cause) => broken(cause),
        }
    })?;
    if let (401, Credential::ChatGpt(access)) = (response.status().as_u16(), &upstream.credential)
        && let Some(chatgpt) = &broker.chatgpt
    {
        // The CLI asks again by itself, and is served with a fresh token then.
        chatgpt.login.rejected(access.token.clone());
    }
    debug!(%group, ?api, path, status = response.status().as_u16(), "forwarded");
    let (head, body) = response.into_parts();
    if let Some(tally) = &mut tally {
        tally.begin(&head.headers);
    }
    // Nothing else of the head: how the upstream spoke HTTP is that connection's matter.
    let mut answer =
        Response::new(Tallied::new(Counted::new(Patient::new(body, patience::OF_AN_API), received), tally));
    *answer.status_mut() = head.status;
    *answer.headers_mut() = policy::response_headers(&head.headers);
    Ok(answer)
}

/// Answers in the token endpoint's place, so that all who refresh the one login do it one after another.
async fn trade_login(
    broker: &Broker,
    client: &Client,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Refusal> {
    let (Some(chatgpt), SignIn::MountedLogin) = (&broker.chatgpt, client.sign_in) else {
        return Err(Refusal::forbidden(request.method(), request.uri()));
    };
    let body = Patient::new(request.into_body(), patience::OF_A_CLIENT);
    let body = Limited::new(body, MAX_TRADE_BYTES).collect().await;
    let body = body.map_err(|_| Refusal::TooLarge { limit_bytes: MAX_TRADE_BYTES })?.to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let shown = asked["refresh_token"].as_str().unwrap_or_default();
    let tokens = chatgpt.login.trade(&broker.connections, shown).await.map_err(Refusal::Login)?;
    debug!(group = %client.group, "gave the refreshed login to a container that has it");
    let mut answer = own(tokens);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

fn refuse(refusal: &Refusal, dialect: Api) -> Response<AnswerBody> {
    let body = refusal.body(dialect).to_string();
    let mut response = own(body);
    *response.status_mut() = refusal.status(dialect);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if !refusal.is_temporary() {
        // Without it `claude` repeats a 401 for three minutes.
        headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
    if matches!(refusal, Refusal::NoWebsocket) {
        headers.insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    }
    response
}
