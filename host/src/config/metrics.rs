//! `METRICS`: where the host's counts are served.

use std::net::SocketAddr;

use super::ConfigProblem;
use super::parse::Settings;

/// The setting's name.
pub(super) const KEY: &str = "METRICS";

/// An address of this machine alone: whoever reaches it may read every group's name and what it uses.
pub(super) fn address(settings: &mut Settings<'_>) -> Option<SocketAddr> {
    let text = settings.untrimmed(KEY)?.trim();
    let write = format!("write for example `{KEY}=127.0.0.1:9464`");
    let wrong = match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() && address.port() != 0 => return Some(address),
        Ok(address) if address.port() == 0 => ConfigProblem::new(KEY, "names no port", write),
        Ok(_) => ConfigProblem::new(
            KEY,
            "is not an address of this machine alone, and nobody is asked for a password there",
            format!("{write}, and let a proxy that knows who may read it listen elsewhere"),
        ),
        Err(_) => ConfigProblem::new(KEY, "is no address with a port", write),
    };
    settings.refuse(wrong);
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::Config;

    #[test]
    fn only_this_machine_may_ask_and_nobody_if_it_is_not_set() {
        let parse = |text: &str| Config::parse(&BTreeMap::from([("METRICS".to_owned(), text.to_owned())]));
        assert_eq!(parse("").unwrap().metrics, None);
        for text in ["127.0.0.1:9464", "[::1]:9464", " 127.9.9.9:1 "] {
            assert_eq!(parse(text).unwrap().metrics, Some(text.trim().parse().unwrap()));
        }
        for (text, told) in [
            ("0.0.0.0:9464", "not an address of this machine alone"),
            ("192.0.2.1:9464", "not an address of this machine alone"),
            ("127.0.0.1:0", "no port"),
            ("9464", "no address with a port"),
            ("localhost:9464", "no address with a port"),
        ] {
            let problems = parse(text).unwrap_err();
            assert!(problems.len() == 1 && problems[0].to_string().contains(told), "{text}: {problems:?}");
        }
    }
}
