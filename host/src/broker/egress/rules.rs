//! May a group's tools go there? Pure.
//!
//! What is decided here is the name and the port. Which address a name leads to is judged apart from it
//! (`address`), and by that no rule can be widened.

use core::fmt;
use std::sync::LazyLock;

use super::address::{self, Forbidden};
use super::known;
use super::target::{self, Host, Malformed, Target};
use crate::groups::entry::Egress;

/// The ports of an entry that names none: HTTPS and HTTP.
const DEFAULT_PORTS: [u16; 2] = [443, 80];

/// What a group's tools may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// How far.
    pub mode: Egress,
    /// What the operator allows beyond [`known::HOSTS`].
    pub allow: Vec<Pattern>,
}

/// One entry of `egressAllow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    hosts: Hosts,
    /// Absent means [`DEFAULT_PORTS`].
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    One(Host),
    /// Every name that ends in a dot and this one; not the name itself.
    Below(String),
}

/// Why an entry of `egressAllow` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// A URL.
    #[error("write the host alone, without `https://` and without a path")]
    Url,
    /// `*`.
    #[error("write `\"egress\": \"open\"` to allow every host")]
    Everything,
    /// A `*` that does not stand for whole labels in front.
    #[error("`*` stands at the start alone, as in `*.example.com`")]
    Wildcard,
    /// An address that nobody may be led to.
    #[error("{0} is never allowed")]
    Forbidden(Forbidden),
    /// No host, or no port.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Why a group's tools may not go somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The group's `egress` is `none`.
    Closed,
    /// It is on no list.
    NotListed,
}

/// [`known::HOSTS`], read.
static KNOWN: LazyLock<Vec<Pattern>> =
    LazyLock::new(|| known::HOSTS.iter().filter_map(|host| host.parse().ok()).collect());

impl Rules {
    /// Whether the group's tools may go there, as far as its name says.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, target: &Target) -> Result<(), Denied> {
        match self.mode {
            Egress::None => Err(Denied::Closed),
            Egress::Open => Ok(()),
            Egress::List if KNOWN.iter().chain(&self.allow).any(|pattern| pattern.matches(target)) => Ok(()),
            Egress::List => Err(Denied::NotListed),
        }
    }
}

/// In a word: `none`, `list`, `list +2`, `open`.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mode, self.allow.len()) {
            (Egress::None, _) => f.write_str("none"),
            (Egress::Open, _) => f.write_str("open"),
            (Egress::List, 0) => f.write_str("list"),
            (Egress::List, more) => write!(f, "list +{more}"),
        }
    }
}

impl Pattern {
    fn matches(&self, target: &Target) -> bool {
        let port = match self.port {
            Some(port) => port == target.port,
            None => DEFAULT_PORTS.contains(&target.port),
        };
        port && match (&self.hosts, &target.host) {
            (Hosts::One(host), asked) => host == asked,
            (Hosts::Below(parent), Host::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
            (Hosts::Below(_), Host::Address(_)) => false,
        }
    }
}

impl core::str::FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(written: &str) -> Result<Self, BadPattern> {
        if written.contains('/') {
            return Err(BadPattern::Url);
        }
        let (host, port) = target::split(written)?;
        if host == "*" {
            return Err(BadPattern::Everything);
        }
        let (below, host) = host.strip_prefix("*.").map_or((false, host), |parent| (true, parent));
        if host.contains('*') {
            return Err(BadPattern::Wildcard);
        }
        let hosts = match (below, host.parse()?) {
            (true, Host::Name(parent)) => Hosts::Below(parent),
            (true, Host::Address(_)) => return Err(BadPattern::Wildcard),
            (false, Host::Address(address)) => match address::forbidden(address) {
                Some(kind) => return Err(BadPattern::Forbidden(kind)),
                None => Hosts::One(Host::Address(address)),
            },
            (false, host) => Hosts::One(host),
        };
        Ok(Self { hosts, port })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::One(host) => host.fmt(f)?,
            Hosts::Below(parent) => write!(f, "*.{parent}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(mode: Egress, allow: &[&str]) -> Rules {
        Rules { mode, allow: allow.iter().map(|entry| entry.parse().unwrap()).collect() }
    }

    fn target(written: &str) -> Target {
        Target::parse(written, None).unwrap()
    }

    #[test]
    fn a_list_allows_what_is_on_it_and_nothing_that_only_looks_so() {
        let rules = rules(
            Egress::List,
            &[
                "Example.com",
                "*.example.org",
                "db.example:5432",
                "*.deep.example:22",
                "192.0.2.1",
                "[2001:db8::1]:8443",
            ],
        );
        for allowed in [
            "example.com:443",
            "example.com:80",
            "EXAMPLE.com.:443",
            "a.example.org:443",
            "a.b.example.org:80",
            "db.example:5432",
            "x.deep.example:22",
            "192.0.2.1:443",
            "[2001:db8:0::1]:8443",
            "github.com:443",
            "raw.githubusercontent.com:443",
            "deb.debian.org:80",
        ] {
            assert_eq!(rules.decide(&target(allowed)), Ok(()), "{allowed}");
        }
        for denied in [
            "example.com:22",
            "www.example.com:443",
            "evilexample.com:443",
            "example.com.evil.example:443",
            "example.org:443",
            "evilexample.org:443",
            "a.example.org:22",
            "db.example:443",
            "x.deep.example:443",
            "deep.example:22",
            "192.0.2.2:443",
            "192.0.2.1:22",
            "[2001:db8::1]:443",
            "[::ffff:192.0.2.1]:443",
            "evil-github.com:443",
            "githubusercontent.com:443",
            "github.com:22",
        ] {
            assert_eq!(rules.decide(&target(denied)), Err(Denied::NotListed), "{denied}");
        }
    }

    #[test]
    fn none_allows_nothing_and_open_every_name() {
        for written in ["github.com:443", "example.com:443", "x.example:22", "192.0.2.1:1"] {
            assert_eq!(rules(Egress::None, &["example.com"]).decide(&target(written)), Err(Denied::Closed));
            assert_eq!(rules(Egress::Open, &[]).decide(&target(written)), Ok(()));
        }
    }

    #[test]
    fn an_entry_that_cannot_be_meant_is_none() {
        for (written, problem) in [
            ("https://example.com", BadPattern::Url),
            ("example.com/path", BadPattern::Url),
            ("*", BadPattern::Everything),
            ("*:443", BadPattern::Everything),
            ("*example.com", BadPattern::Wildcard),
            ("a.*.example.com", BadPattern::Wildcard),
            ("*.*.example.com", BadPattern::Wildcard),
            ("*.192.0.2.1", BadPattern::Wildcard),
            ("127.0.0.1", BadPattern::Forbidden(Forbidden::Loopback)),
            ("10.0.0.1:443", BadPattern::Forbidden(Forbidden::Private)),
            ("[::ffff:169.254.169.254]", BadPattern::Forbidden(Forbidden::Metadata)),
            ("", BadPattern::Malformed(Malformed::Empty)),
            ("*.", BadPattern::Malformed(Malformed::Empty)),
            ("me@example.com", BadPattern::Malformed(Malformed::UserInfo)),
            ("münchen.example", BadPattern::Malformed(Malformed::NotAscii)),
            ("example.com:https", BadPattern::Malformed(Malformed::Port)),
            ("::1", BadPattern::Malformed(Malformed::Port)),
        ] {
            assert_eq!(written.parse::<Pattern>(), Err(problem), "{written}");
        }
    }

    #[test]
    fn the_known_hosts_are_names_and_none_is_a_vendors() {
        assert_eq!(KNOWN.len(), known::HOSTS.len());
        let rules = Rules::default();
        for vendor in [
            "anthropic.com",
            "api.anthropic.com",
            "statsig.anthropic.com",
            "claude.ai",
            "downloads.claude.ai",
            "statsig.com",
            "api.statsig.com",
            "sentry.io",
            "o1158394.ingest.us.sentry.io",
            "api.openai.com",
            "auth.openai.com",
            "openai.com",
            "chatgpt.com",
            "ab.chatgpt.com",
            "storage.googleapis.com",
            "api.github.com",
            "gist.github.com",
            "uploads.github.com",
            "upload.pypi.org",
        ] {
            assert_eq!(rules.decide(&target(&format!("{vendor}:443"))), Err(Denied::NotListed), "{vendor}");
        }
    }

    proptest! {
        /// Label by label, as a second reading of the same rule.
        #[test]
        fn a_wildcard_stands_for_whole_labels(name in "[ab.]{1,12}", parent in "[ab]{1,2}(\\.[ab]{1,2})?") {
            let pattern: Pattern = format!("*.{parent}").parse().unwrap();
            if let Ok(Host::Name(name)) = name.parse() {
                let (labels, ends): (Vec<_>, Vec<_>) = (name.split('.').collect(), parent.split('.').collect());
                let expected = labels.len() > ends.len() && labels.ends_with(&ends);
                let asked = Target { host: Host::Name(name.clone()), port: 443 };
                prop_assert_eq!(pattern.matches(&asked), expected, "{} {}", pattern, name);
            }
        }

        #[test]
        fn what_was_read_is_written_as_the_same(written in "(\\*\\.)?[a-z0-9.\\[\\]:-]{0,30}") {
            if let Ok(pattern) = written.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }
    }
}
