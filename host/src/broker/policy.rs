//! What may leave a container, and in what dress: pure.
//!
//! A path is allowed when it is one of `ROUTES`, byte for byte, and what is sent upstream is the
//! table's own text. So there is nothing to normalise and nothing to smuggle: `..`, `%2e`, `//` and
//! every other spelling are simply not in the table.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::header::InvalidHeaderValue;
use hyper::{Method, Uri, header};
use longshore_protocol::paths::{BROKER_ANTHROPIC, BROKER_LOGIN_TOKEN, BROKER_OPENAI};
use longshore_protocol::{GroupId, ProviderKind};

use super::{Credential, Upstream};

/// Whose API a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Anthropic's Messages API, which `claude` uses.
    Anthropic,
    /// `OpenAI`'s Responses API, which `codex` uses.
    OpenAi,
}

impl Api {
    /// Whose agents use it.
    #[must_use]
    pub fn provider(self) -> ProviderKind {
        match self {
            Self::Anthropic => ProviderKind::Claude,
            Self::OpenAi => ProviderKind::Codex,
        }
    }
}

/// A request that may be forwarded: method, path on the bridge without its base, and API.
struct Route {
    method: Method,
    api: Api,
    /// What comes after the bridge's base path, and after the upstream's.
    path: &'static str,
    /// Whether its answer uses tokens.
    costs: Costs,
}

/// Whether the operator pays for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costs {
    /// By what it uses: it is entered into the books and subject to the budget.
    Tokens,
    /// Nothing.
    Nothing,
}

/// Everything that the two CLIs ask of their APIs.
const ROUTES: [Route; 6] = [
    Route { method: Method::POST, api: Api::Anthropic, path: "/v1/messages", costs: Costs::Tokens },
    Route { method: Method::POST, api: Api::Anthropic, path: "/v1/messages/count_tokens", costs: Costs::Nothing },
    Route { method: Method::HEAD, api: Api::Anthropic, path: "/api/hello", costs: Costs::Nothing },
    Route { method: Method::POST, api: Api::OpenAi, path: "/responses", costs: Costs::Tokens },
    Route { method: Method::POST, api: Api::OpenAi, path: "/responses/compact", costs: Costs::Tokens },
    Route { method: Method::GET, api: Api::OpenAi, path: "/models", costs: Costs::Nothing },
];

/// Names the group to the rehearsal. Whatever a client puts there itself is dropped.
pub const GROUP_HEADER: HeaderName = HeaderName::from_static("x-longshore-group");

/// Whose plan a ChatGPT login's request is for.
const ACCOUNT_HEADER: HeaderName = HeaderName::from_static("chatgpt-account-id");

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send it on.
    Forward {
        /// To whom.
        api: Api,
        /// The path below the upstream's base.
        path: &'static str,
        /// Whether its answer uses tokens.
        costs: Costs,
    },
    /// It wants new tokens for a ChatGPT login, which only a container that has the login itself may.
    TradeLogin,
    /// It names another host, as a request to a proxy does: a tool wants to go out.
    Egress,
    /// It is none of the few that are allowed.
    Forbid,
    /// It wants a websocket. `codex` then turns to plain requests at once.
    NoWebsocket,
}

/// Decides by the request's first line and headers.
#[must_use]
pub fn decide(method: &Method, uri: &Uri, headers: &HeaderMap) -> Decision {
    // A proxy's request (`GET http://other/`, `CONNECT other:443`) names a host; those to the APIs never do.
    if uri.scheme().is_some() || uri.authority().is_some() {
        return Decision::Egress;
    }
    let websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    if headers.get_all(header::UPGRADE).iter().any(websocket) {
        return Decision::NoWebsocket;
    }
    if *method == Method::POST && uri.path() == BROKER_LOGIN_TOKEN {
        return Decision::TradeLogin;
    }
    let route = ROUTES.iter().find(|route| {
        route.method == *method && uri.path().strip_prefix(base_path(route.api)).is_some_and(|path| path == route.path)
    });
    route.map_or(Decision::Forbid, |route| Decision::Forward { api: route.api, path: route.path, costs: route.costs })
}

/// In whose words to answer a request that is not forwarded.
#[must_use]
pub fn dialect(uri: &Uri) -> Api {
    if uri.path().starts_with("/openai/") { Api::OpenAi } else { Api::Anthropic }
}

/// All that is allowed, as a refusal tells it: `POST /anthropic/v1/messages, …`.
#[must_use]
pub fn allowed() -> String {
    let route = |route: &Route| format!("{} {}{}", route.method, base_path(route.api), route.path);
    ROUTES.iter().map(route).collect::<Vec<_>>().join(", ")
}

fn base_path(api: Api) -> &'static str {
    match api {
        Api::Anthropic => BROKER_ANTHROPIC,
        Api::OpenAi => BROKER_OPENAI,
    }
}

/// The headers to send upstream: the client's without those of its own connection and without
/// anything that could identify it, then the real credential.
///
/// # Errors
/// The credential does not fit a header, which [`crate::config::Secret`] excludes.
pub fn request_headers(
    client: &HeaderMap,
    api: Api,
    upstream: &Upstream,
    group: &GroupId,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut headers = end_to_end(client, |name| {
        // `content-length` is said again by the client that sends the body.
        let names_client = match name.as_str() {
            "host" | "content-length" | "expect" | "x-api-key" | "api-key" | "cookie" => true,
            // Said below.
            "accept-encoding" => true,
            "authorization" | "chatgpt-account-id" => upstream.credential != Credential::AsSent,
            _ => false,
        };
        names_client || *name == GROUP_HEADER
    });
    // What an answer used is read as it passes, so it has to come as it is.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let (api_key, bearer) = match (&upstream.credential, api) {
        (Credential::None { .. } | Credential::AsSent, _) => (None, None),
        (Credential::ApiKey(key), Api::Anthropic) => (Some(key), None),
        // OpenAI has keys as bearer tokens only.
        (Credential::ApiKey(key), Api::OpenAi) => (None, Some(key)),
        (Credential::Bearer(token) | Credential::OauthBearer(token), _) => (None, Some(token)),
        (Credential::ChatGpt(access), _) => (None, Some(&access.token)),
        (Credential::ApiKeyAndBearer { api_key, bearer }, _) => (Some(api_key), Some(bearer)),
    };
    if let Some(key) = api_key {
        headers.insert(HeaderName::from_static("x-api-key"), sensitive(key.expose())?);
    }
    if let Credential::ChatGpt(access) = &upstream.credential {
        headers.insert(ACCOUNT_HEADER, HeaderValue::from_str(&access.account)?);
    }
    if let Some(token) = bearer {
        headers.insert(header::AUTHORIZATION, sensitive(&format!("Bearer {}", token.expose()))?);
    }
    if upstream.names_group {
        headers.insert(GROUP_HEADER, HeaderValue::from_str(group.as_str())?);
    }
    Ok(headers)
}

/// The headers to give to the client: the upstream's without those of its own connection.
#[must_use]
pub fn response_headers(upstream: &HeaderMap) -> HeaderMap {
    // A cookie would be the host's session with the vendor.
    end_to_end(upstream, |name| *name == header::SET_COOKIE)
}

fn sensitive(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Without the headers that concern one connection only (RFC 9110, 7.6.1), those that `Connection`
/// names, and those to `drop`.
pub(super) fn end_to_end(headers: &HeaderMap, drop: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let hop_by_hop = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        ) || named.iter().any(|named| named.eq_ignore_ascii_case(name.as_str()))
    };
    let kept = headers.iter().filter(|(name, _)| !hop_by_hop(name) && !drop(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::config::Secret;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn decision(method: &str, target: &str) -> Decision {
        decide(&method.parse().unwrap(), &target.parse().unwrap(), &HeaderMap::new())
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    fn upstream(credential: Credential, names_group: bool) -> Upstream {
        Upstream { base: "https://api.example".parse().unwrap(), credential, names_group }
    }

    #[test]
    fn what_the_clis_ask_is_forwarded() {
        use Costs::{Nothing, Tokens};
        for (method, target, api, path, costs) in [
            ("POST", "/anthropic/v1/messages?beta=true", Api::Anthropic, "/v1/messages", Tokens),
            ("POST", "/anthropic/v1/messages/count_tokens", Api::Anthropic, "/v1/messages/count_tokens", Nothing),
            ("HEAD", "/anthropic/api/hello", Api::Anthropic, "/api/hello", Nothing),
            ("POST", "/openai/v1/responses", Api::OpenAi, "/responses", Tokens),
            ("POST", "/openai/v1/responses/compact", Api::OpenAi, "/responses/compact", Tokens),
            ("GET", "/openai/v1/models?client_version=0.169.0", Api::OpenAi, "/models", Nothing),
        ] {
            assert_eq!(decision(method, target), Decision::Forward { api, path, costs }, "{method} {target}");
        }
    }

    #[test]
    fn everything_else_is_forbidden() {
        for (method, target) in [
            ("GET", "/"),
            ("OPTIONS", "*"),
            ("GET", "/anthropic/v1/messages"),
            ("HEAD", "/anthropic/v1/messages"),
            ("GET", "/anthropic/api/hello"),
            ("post", "/anthropic/v1/messages"),
            ("POST", "/anthropic/v1/messages/"),
            ("POST", "/anthropic/v1/messages/batches"),
            ("POST", "/anthropic/v1/files"),
            ("POST", "/anthropic/api/event_logging/v2/batch"),
            ("POST", "/anthropic//v1/messages"),
            ("POST", "//anthropic/v1/messages"),
            ("POST", "/anthropic/../anthropic/v1/messages"),
            ("POST", "/anthropic/v1/messages/../files"),
            ("POST", "/anthropic/%2e%2e/v1/messages"),
            ("POST", "/anthropic/v1%2fmessages"),
            ("POST", "/anthropic/v1/message%73"),
            ("POST", "/anthropic\\v1\\messages"),
            ("POST", "/Anthropic/v1/messages"),
            ("POST", "/anthropic/v1/messages;x"),
            ("POST", "/anthropic/responses"),
            ("POST", "/openai/v1/v1/messages"),
            ("POST", "/v1/messages"),
            ("POST", "/openai/responses"),
            ("GET", "/openai/oauth/token"),
            ("POST", "/openai/oauth/token/"),
            ("DELETE", "/openai/v1/models"),
            ("GET", "/openai/v1/models/gpt"),
        ] {
            assert_eq!(decision(method, target), Decision::Forbid, "{method} {target}");
        }
    }

    #[test]
    fn what_names_a_host_is_a_tools_and_gets_no_credential() {
        for (method, target) in [
            ("POST", "http://api.example/anthropic/v1/messages"),
            ("GET", "https://api.example/openai/v1/models"),
            ("POST", "http://127.0.0.1:7411/anthropic/v1/messages"),
            ("CONNECT", "api.example:443"),
        ] {
            assert_eq!(decision(method, target), Decision::Egress, "{method} {target}");
        }
    }

    #[test]
    fn a_websocket_is_answered_so_that_codex_does_without() {
        let upgrade = headers(&[("connection", "Upgrade"), ("upgrade", "WebSocket")]);
        let uri = Uri::from_static("/openai/v1/responses");
        assert_eq!(decide(&Method::GET, &uri, &upgrade), Decision::NoWebsocket);
    }

    #[test]
    fn the_clients_credentials_and_connection_stay_behind() {
        let client = headers(&[
            ("host", "127.0.0.1:7411"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("proxy-authorization", "Basic x"),
            ("authorization", "Bearer longshore-placeholder"),
            ("x-api-key", "longshore-placeholder"),
            ("x-api-key", "again"),
            ("api-key", "x"),
            ("cookie", "x"),
            ("accept-encoding", "gzip, br"),
            ("x-longshore-group", "somebody-else"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "one"),
            ("anthropic-beta", "two"),
        ]);
        let group = "family".parse().unwrap();
        let key = upstream(Credential::ApiKey(secret("real")), false);
        let kept = [
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "one"),
            ("anthropic-beta", "two"),
            ("accept-encoding", "identity"),
        ];
        let sent = request_headers(&client, Api::Anthropic, &key, &group).unwrap();
        assert_eq!(sent, headers(&[&kept[..], &[("x-api-key", "real")]].concat()));
        assert!(sent["x-api-key"].is_sensitive());

        let rehearsal = upstream(Credential::None { hint: "" }, true);
        let sent = request_headers(&client, Api::OpenAi, &rehearsal, &group).unwrap();
        assert_eq!(sent, headers(&[&kept[..], &[("x-longshore-group", "family")]].concat()));
    }

    #[test]
    fn each_kind_of_credential_has_its_header() {
        let both = || Credential::ApiKeyAndBearer { api_key: secret("key"), bearer: secret("token") };
        let (key, bearer) = (("x-api-key", "key"), ("authorization", "Bearer token"));
        for (credential, api, expected) in [
            (Credential::ApiKey(secret("key")), Api::Anthropic, vec![key]),
            (Credential::ApiKey(secret("token")), Api::OpenAi, vec![bearer]),
            (Credential::Bearer(secret("token")), Api::Anthropic, vec![bearer]),
            (Credential::OauthBearer(secret("token")), Api::Anthropic, vec![bearer]),
            (both(), Api::Anthropic, vec![key, bearer]),
        ] {
            let sent = request_headers(&HeaderMap::new(), api, &upstream(credential, false), &"a".parse().unwrap());
            assert_eq!(sent.unwrap(), headers(&[&[("accept-encoding", "identity")], &expected[..]].concat()));
        }
    }

    #[test]
    fn an_answer_keeps_what_the_cli_reads() {
        let kept = [("content-type", "text/event-stream"), ("retry-after", "3"), ("x-should-retry", "false")];
        let dropped = [("set-cookie", "a=b"), ("connection", "close"), ("transfer-encoding", "chunked")];
        assert_eq!(response_headers(&headers(&[&kept[..], &dropped].concat())), headers(&kept));
    }

    proptest! {
        #[test]
        fn a_forwarded_path_is_never_the_clients_text(path in "/(anthropic|openai)?[/.%a-z0-9]{0,40}") {
            if let Ok(uri) = path.parse::<Uri>()
                && let Decision::Forward { api, path: forwarded, .. } = decide(&Method::POST, &uri, &HeaderMap::new())
            {
                prop_assert_eq!(path, format!("{}{forwarded}", base_path(api)));
            }
        }
    }
}
