//! What a tool is told that may not go out, or could not: pure.
//!
//! Most tools show the status alone when a `CONNECT` fails; `curl -v` shows the headers and not the text.
//! So the reason stands in both: as plain text, and in `Proxy-Status` (RFC 9209).

use hyper::StatusCode;

use super::address::Forbidden;
use super::rules::Denied;
use super::target::{Malformed, Target};

/// Why a tool's request did not go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The group's rules do not allow it.
    Denied(Target, Denied),
    /// It leads where nobody may go.
    Forbidden(Target, Forbidden),
    /// What is asked for cannot be read as a place.
    Malformed(Malformed),
    /// In plain, anything but `http://`.
    Scheme,
    /// The group has as many connections as it may.
    Busy {
        /// So many.
        limit: usize,
    },
    /// The group has carried as much as it may in a day.
    DaySpent {
        /// So much.
        limit_bytes: u64,
    },
    /// There is no such name, or nobody who knows.
    Unresolved(Target, String),
    /// No connection.
    Unreachable(Target, String),
    /// No connection in time, or no answer.
    Late(Target),
    /// It was reached and did not answer as HTTP does.
    Broken(Target, String),
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(..) | Self::Forbidden(..) => StatusCode::FORBIDDEN,
            Self::Malformed(_) | Self::Scheme => StatusCode::BAD_REQUEST,
            Self::Busy { .. } | Self::DaySpent { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unresolved(..) | Self::Unreachable(..) | Self::Broken(..) => StatusCode::BAD_GATEWAY,
            Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether it was kept from going out, not just unlucky.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Denied(..) | Self::Forbidden(..) | Self::Malformed(_) | Self::Scheme)
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Denied(target, Denied::NotListed) => format!(
                "`{target}` is not allowed: it is neither a usual host for code and packages nor in this group's \
                 `containerConfig.egressAllow` in data/registered_groups.json, where the operator can add it"
            ),
            Self::Denied(target, Denied::Closed) => format!(
                "`{target}` is not allowed: this group's `containerConfig.egress` in data/registered_groups.json is \
                 `none`, which the operator can change"
            ),
            Self::Forbidden(target, kind) => {
                format!(
                    "`{target}` leads to {kind}, which is never allowed, whatever `containerConfig.egressAllow` says"
                )
            }
            Self::Malformed(problem) => format!("not understood: {problem}"),
            Self::Scheme => "only `http://` can be asked for in plain; use CONNECT for the rest".to_owned(),
            Self::Busy { limit } => format!("this group has {limit} connections open already, which is its limit"),
            Self::DaySpent { limit_bytes } => {
                format!("this group's tools have carried {} GiB in a day, which is their limit", limit_bytes >> 30)
            }
            Self::Unresolved(target, cause) => format!("`{}` cannot be resolved: {cause}", target.host),
            Self::Unreachable(target, cause) => format!("`{target}` cannot be reached: {cause}"),
            Self::Late(target) => format!("`{target}` did not answer in time"),
            Self::Broken(target, cause) => format!("`{target}` broke off: {cause}"),
        }
    }

    /// The value of `Proxy-Status`.
    #[must_use]
    pub fn proxy_status(&self) -> String {
        let error = match self {
            Self::Denied(..) => "http_request_denied",
            Self::Forbidden(..) => "destination_ip_prohibited",
            Self::Malformed(_) | Self::Scheme => "http_request_error",
            Self::Busy { .. } | Self::DaySpent { .. } => "connection_limit_reached",
            Self::Unresolved(..) => "dns_error",
            Self::Unreachable(..) => "destination_unavailable",
            Self::Late(_) => "connection_timeout",
            Self::Broken(..) => "http_response_incomplete",
        };
        // A string of RFC 8941 is ASCII; the causes are the operating system's.
        let details: String =
            self.message().chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect();
        format!("longshore; error={error}; details=\"{details}\"")
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_refusal_says_what_to_change() {
        let target = || Target::parse("example.com:443", None).unwrap();
        let mut told = String::new();
        for refusal in [
            Refusal::Denied(target(), Denied::NotListed),
            Refusal::Denied(target(), Denied::Closed),
            Refusal::Forbidden(target(), Forbidden::Private),
            Refusal::Forbidden(target(), Forbidden::Own),
            Refusal::Malformed(Malformed::NoPort),
            Refusal::Scheme,
            Refusal::Busy { limit: 32 },
            Refusal::DaySpent { limit_bytes: 64 << 30 },
            Refusal::Unresolved(target(), "no \"such\" name, ö".to_owned()),
            Refusal::Unreachable(target(), "connection refused".to_owned()),
            Refusal::Late(target()),
            Refusal::Broken(target(), "connection closed".to_owned()),
        ] {
            writeln!(told, "{}\n  {}\n  {}", refusal.status(), refusal.message(), refusal.proxy_status()).unwrap();
        }
        insta::assert_snapshot!(told);
    }
}
