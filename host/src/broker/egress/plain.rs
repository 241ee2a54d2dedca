//! `GET http://host/…`: one request to a host that speaks no TLS, and its answer.

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::duplex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::refusal::Refusal;
use super::target::Target;
use super::{Egress, WayOut, tunnel};
use crate::broker::policy;

/// Bytes held between the two halves of an exchange.
const BUFFER: usize = 64 * 1024;

impl Egress {
    /// Sends the request on; what comes with the answer has to live as long as its body.
    pub(super) async fn exchange(
        &self,
        way_out: &WayOut,
        request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Refusal> {
        if request.uri().scheme_str() != Some("http") {
            return Err(Refusal::Scheme);
        }
        let authority = request.uri().authority().map_or("", |authority| authority.as_str());
        let target = Target::parse(authority, Some(80)).map_err(Refusal::Malformed)?;
        let opened = self.open(way_out, target.clone()).await?;
        let broken = |cause: String| Refusal::Broken(target.clone(), cause);

        // The same limits as in a tunnel hold: the exchange is one, with HTTP spoken at its near end.
        let (near, end) = duplex(BUFFER);
        let handshake = http1::handshake::<_, Incoming>(TokioIo::new(near)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(error.to_string()))?;
        let both = async move {
            let super::Tunnel { far, limits, ledger, _place, .. } = opened;
            tokio::join!(connection, tunnel::carry(end, &[], far, &limits, &ledger))
        };
        let both = AbortOnDropHandle::new(tokio::spawn(async move { drop(both.await) }));

        let outgoing = dressed(request, &target).map_err(|error| broken(error.to_string()))?;
        let answered = timeout(self.limits.idle, sender.send_request(outgoing)).await;
        let answer = answered.map_err(|_| Refusal::Late(target.clone()))?;
        let (head, body) = answer.map_err(|error| broken(error.to_string()))?.into_parts();
        // Nothing else of the head: how the other side spoke HTTP is that connection's matter.
        let mut answer = Response::new(body);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = policy::end_to_end(&head.headers, |_| false);
        Ok((answer, both))
    }
}

/// The request as its host wants it: `Host` is where it really goes (RFC 9112, 3.2.2), whatever it said.
fn dressed(request: Request<Incoming>, target: &Target) -> Result<Request<Incoming>, hyper::http::Error> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(path);
    head.headers = policy::end_to_end(&head.headers, |_| false);
    let host = if target.port == 80 { target.host.to_string() } else { target.to_string() };
    head.headers.insert(header::HOST, HeaderValue::from_str(&host)?);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = head.method;
    *outgoing.uri_mut() = head.uri;
    *outgoing.headers_mut() = head.headers;
    Ok(outgoing)
}
