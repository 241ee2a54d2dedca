//! Where a request wants to go: `host:port`, read strictly. Pure.
//!
//! What is read here is compared with the operator's list, resolved and connected to as one value, so no
//! second reading can disagree with the first.

// Data alone: `core` has no sockets.
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS can hold, without its last dot (RFC 1035).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A machine: its name or its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name in lower case, without a dot at its end.
    Name(String),
    /// An address that was written as such.
    Address(IpAddr),
}

/// Where a request wants to go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The machine.
    pub host: Host,
    /// The port; never 0.
    pub port: u16,
}

/// Why a text is no host or no `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing is there.
    #[error("no host is named")]
    Empty,
    /// A name that DNS cannot hold.
    #[error("the name is too long")]
    TooLong,
    /// `user@host`.
    #[error("a user name does not belong here")]
    UserInfo,
    /// Letters beyond ASCII.
    #[error("write the name in ASCII, as DNS has it (`xn--…`)")]
    NotAscii,
    /// A character that no name has, or an empty label.
    #[error("this is no host name")]
    Name,
    /// `127.1`, `0x7f000001`: what some programs take for an address.
    #[error("write an address in full: `192.0.2.1` or `[2001:db8::1]`")]
    Address,
    /// Not a number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// No port, where there must be one.
    #[error("no port is named")]
    NoPort,
}

impl Target {
    /// Reads `host:port`; without a port it is `default_port`, if there is one.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self, Malformed> {
        let (host, port) = split(authority)?;
        Ok(Self { host: host.parse()?, port: port.or(default_port).ok_or(Malformed::NoPort)? })
    }
}

/// The two sides of `host:port`, the host as it is written.
///
/// # Errors
/// What is wrong with the text.
pub fn split(authority: &str) -> Result<(&str, Option<u16>), Malformed> {
    if authority.contains('@') {
        return Err(Malformed::UserInfo);
    }
    // The colons of an IPv6 address stand between brackets.
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[end_of_host..].find(':') else { return Ok((authority, None)) };
    let (host, port) = authority.split_at(end_of_host + colon);
    let digits = &port[1..];
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::Port);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(Malformed::Port),
        Ok(port) => Ok((host, Some(port))),
    }
}

impl core::str::FromStr for Host {
    type Err = Malformed;

    fn from_str(written: &str) -> Result<Self, Malformed> {
        if written.is_empty() {
            return Err(Malformed::Empty);
        }
        if !written.is_ascii() {
            return Err(Malformed::NotAscii);
        }
        if let Some(rest) = written.strip_prefix('[') {
            let inner = rest.strip_suffix(']').ok_or(Malformed::Address)?;
            return inner
                .parse::<Ipv6Addr>()
                .map(|address| Self::Address(address.into()))
                .map_err(|_| Malformed::Address);
        }
        if let Ok(address) = written.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let name = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
        if name.len() > MAX_NAME {
            return Err(Malformed::TooLong);
        }
        let mut last = "";
        for label in name.split('.') {
            if label.len() > MAX_LABEL {
                return Err(Malformed::TooLong);
            }
            let proper = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if label.is_empty() || label.starts_with('-') || label.ends_with('-') || !label.bytes().all(proper) {
                return Err(Malformed::Name);
            }
            last = label;
        }
        // No top-level name is a number, and resolvers read `127.1` and `0x7f.1` as addresses.
        if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
            return Err(Malformed::Address);
        }
        Ok(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_machine_has_one_spelling() {
        for (written, read) in [
            ("example.com:443", "example.com:443"),
            ("EXAMPLE.Com:443", "example.com:443"),
            ("example.com.:443", "example.com:443"),
            ("example.com", "example.com:80"),
            ("xn--mnchen-3ya.example:1", "xn--mnchen-3ya.example:1"),
            ("_x.a-b.example:65535", "_x.a-b.example:65535"),
            ("db:00443", "db:443"),
            ("192.0.2.1:22", "192.0.2.1:22"),
            ("[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"),
            ("[::1]", "[::1]:80"),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1"),
            ("1.2.3.4.example:443", "1.2.3.4.example:443"),
        ] {
            assert_eq!(Target::parse(written, Some(80)).unwrap().to_string(), read, "{written}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use Malformed::*;
        let long = format!("{}:443", ["a".repeat(63).as_str(); 4].join("."));
        let label = format!("{}.example:443", "a".repeat(64));
        for (written, problem) in [
            ("", Empty),
            (":443", Empty),
            ("example.com", NoPort),
            ("example.com:", Port),
            ("example.com:0", Port),
            ("example.com:65536", Port),
            ("example.com:+443", Port),
            ("example.com:443:443", Port),
            ("example.com:443/", Port),
            ("example.com:000443", Port),
            ("user@example.com:443", UserInfo),
            ("github.com:443@example.com:443", UserInfo),
            ("münchen.example:443", NotAscii),
            ("github.com\u{ff0e}evil:443", NotAscii),
            (".:443", Name),
            ("..:443", Name),
            (".example.com:443", Name),
            ("example..com:443", Name),
            ("example.com..:443", Name),
            ("-x.example:443", Name),
            ("x-.example:443", Name),
            ("*.example.com:443", Name),
            ("exa mple.com:443", Name),
            ("example.com%00.evil:443", Name),
            ("github.com\\.evil:443", Name),
            ("example.com/x:443", Name),
            (&long, TooLong),
            (&label, TooLong),
            ("127.1:443", Address),
            ("2130706433:443", Address),
            ("0x7f000001:443", Address),
            ("0x7f.0.0.0x1:443", Address),
            ("017700000001:443", Address),
            ("0177.0.0.1:443", Address),
            ("192.0.2.1.:443", Address),
            ("192.0.2.256:443", Address),
            ("example.0x:443", Address),
            ("::1:443", Port),
            ("[::1:443", Port),
            ("[fe80::1%eth0]:443", Address),
            ("[192.0.2.1]:443", Address),
            ("[example.com]:443", Address),
            ("[]:443", Address),
            ("x[::1]:443", Name),
            ("[::1]x:443", Address),
        ] {
            assert_eq!(Target::parse(written, None), Err(problem), "{written}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_is_read_again_as_the_same(written in "[\\[\\]a-zA-Z0-9.:_@%*-]{0,40}") {
            if let Ok(target) = Target::parse(&written, Some(80)) {
                prop_assert_eq!(Target::parse(&target.to_string(), None), Ok(target));
            }
        }

        #[test]
        fn a_name_is_never_what_a_resolver_takes_for_an_address(written in "[0-9a-fx.]{1,20}") {
            if let Ok(Host::Name(name)) = written.parse() {
                let last = name.rsplit('.').next().unwrap_or_default();
                prop_assert!(last.bytes().any(|byte| byte.is_ascii_alphabetic()) && !last.starts_with("0x"), "{}", name);
            }
        }

        #[test]
        fn nothing_that_is_written_makes_it_panic(written in "\\PC{0,80}") {
            let _ = Target::parse(&written, None);
        }
    }
}
