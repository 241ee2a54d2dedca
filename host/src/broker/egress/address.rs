//! Which addresses nobody may be led to, whatever an operator allows: pure.
//!
//! The broker sits on the host, inside of the operator's network, and so it reaches what the internet
//! does not: the host's own services, the router, the neighbours, a cloud's metadata. An address is
//! judged by what it leads to, in every spelling: an IPv6 address that stands for an IPv4 one (mapped,
//! NAT64, 6to4, Teredo) is judged as that.
//!
//! The ranges are those of IANA's special-purpose registries (RFC 6890 and its successors). The ones for
//! documentation (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20) are not among
//! them: no router on the internet carries them, and so there is nothing to protect behind them.

// Data alone: `core` has no sockets.
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is that nobody may be led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// The host itself, by way of its loopback interface.
    Loopback,
    /// No address: the host itself, for most systems.
    Unspecified,
    /// The same cable.
    LinkLocal,
    /// A private network (RFC 1918, RFC 4193).
    Private,
    /// Behind a provider's address translation (RFC 6598).
    Shared,
    /// Where clouds tell their machines' secrets.
    Metadata,
    /// Many receivers at once.
    Multicast,
    /// Everybody on the cable.
    Broadcast,
    /// For measurements of equipment (RFC 2544, RFC 5180).
    Benchmark,
    /// One of the host's own addresses, found by asking the host.
    Own,
    /// Anything else that is no address of a machine on the internet.
    Reserved,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Unspecified => "no address at all",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::Shared => "an address inside of a provider's network",
            Self::Metadata => "a metadata address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Benchmark => "an address for measurements",
            Self::Own => "an address of the host itself",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Whether an address is for documentation: it may be had by anybody who tries something out, and is
/// nowhere on the internet.
#[must_use]
pub fn is_for_documentation(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _]),
        IpAddr::V6(address) => matches!(address.segments(), [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..]),
    }
}

/// Why nobody may be led to an address; `None` if it is one of the internet's.
#[must_use]
pub fn forbidden(address: IpAddr) -> Option<Forbidden> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<Forbidden> {
    let kind = match address.octets() {
        [0, 0, 0, 0] => Forbidden::Unspecified,
        [0, ..] => Forbidden::Reserved,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Forbidden::Private,
        // Alibaba's; inside of the shared range.
        [100, 100, 100, 200] => Forbidden::Metadata,
        [100, 64..=127, ..] => Forbidden::Shared,
        [127, ..] => Forbidden::Loopback,
        // Of Amazon, Google, Microsoft and most others.
        [169, 254, 169, 254] => Forbidden::Metadata,
        [169, 254, ..] => Forbidden::LinkLocal,
        // Azure's agent of the machine, a public address that answers inside of Azure alone.
        [168, 63, 129, 16] => Forbidden::Metadata,
        // Oracle's; inside of the range for protocols.
        [192, 0, 0, 192] => Forbidden::Metadata,
        // Protocols' own, and the relays of 6to4, which are no more.
        [192, 0, 0, _] | [192, 88, 99, _] => Forbidden::Reserved,
        [198, 18..=19, ..] => Forbidden::Benchmark,
        [224..=239, ..] => Forbidden::Multicast,
        [255, 255, 255, 255] => Forbidden::Broadcast,
        [240..=255, ..] => Forbidden::Reserved,
        _ => return None,
    };
    Some(kind)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<Forbidden> {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let kind = match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Forbidden::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Forbidden::Loopback,
        // Mapped, and the well-known prefix of NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return forbidden_v4(embedded(high, low));
        }
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => return forbidden_v4(embedded(high, low)),
        // Teredo (RFC 4380): a server, and a client whose bits are turned over.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            return forbidden_v4(embedded(high, low)).or_else(|| forbidden_v4(embedded(!client_high, !client_low)));
        }
        [0x2001, 2, 0, ..] => Forbidden::Benchmark,
        // The rest of what is for protocols (RFC 2928): identifiers that are no places.
        [0x2001, 0..=0x1ff, ..] => Forbidden::Reserved,
        // All that is routed on the internet (RFC 4291).
        [0x2000..=0x3fff, ..] => return None,
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Forbidden::Metadata,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Forbidden::Private,
        [0xfe80..=0xfebf, ..] => Forbidden::LinkLocal,
        [0xff00..=0xffff, ..] => Forbidden::Multicast,
        // Among them addresses that were compatible with IPv4, local NAT64 and what is discarded.
        _ => Forbidden::Reserved,
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_range_that_is_not_the_internets_is_out_of_bounds_from_its_first_to_its_last_address() {
        use Forbidden::*;
        for (first, last, kind) in [
            ("0.0.0.0", "0.0.0.0", Unspecified),
            ("0.0.0.1", "0.255.255.255", Reserved),
            ("10.0.0.0", "10.255.255.255", Private),
            ("100.64.0.0", "100.127.255.255", Shared),
            ("100.100.100.200", "100.100.100.200", Metadata),
            ("127.0.0.0", "127.255.255.255", Loopback),
            ("168.63.129.16", "168.63.129.16", Metadata),
            ("169.254.0.0", "169.254.255.255", LinkLocal),
            ("169.254.169.254", "169.254.169.254", Metadata),
            ("172.16.0.0", "172.31.255.255", Private),
            ("192.0.0.0", "192.0.0.255", Reserved),
            ("192.0.0.192", "192.0.0.192", Metadata),
            ("192.88.99.0", "192.88.99.255", Reserved),
            ("192.168.0.0", "192.168.255.255", Private),
            ("198.18.0.0", "198.19.255.255", Benchmark),
            ("224.0.0.0", "239.255.255.255", Multicast),
            ("240.0.0.0", "255.255.255.254", Reserved),
            ("255.255.255.255", "255.255.255.255", Broadcast),
            ("::", "::", Unspecified),
            ("::1", "::1", Loopback),
            // Compatible with IPv4, in a form that nothing uses any more.
            ("::2", "::ffff:ffff", Reserved),
            ("::7f00:1", "::8.8.8.8", Reserved),
            ("::ffff:127.0.0.1", "::ffff:127.255.255.255", Loopback),
            ("::ffff:10.0.0.0", "::ffff:10.255.255.255", Private),
            ("::ffff:169.254.169.254", "::ffff:169.254.169.254", Metadata),
            ("::ffff:0.0.0.0", "::ffff:0.0.0.0", Unspecified),
            ("64:ff9b::10.0.0.1", "64:ff9b::10.255.255.255", Private),
            ("64:ff9b::169.254.169.254", "64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Reserved),
            ("100::", "100::ffff:ffff:ffff:ffff", Reserved),
            // Teredo by a private server; and by a public one for 192.168.0.1, turned over.
            ("2001:0:a00::", "2001:0:aff:ffff:ffff:ffff:ffff:ffff", Private),
            ("2001:0:808:808::3f57:fffe", "2001:0:808:808:ffff:ffff:3f57:fffe", Private),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", Benchmark),
            ("2001:10::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Reserved),
            ("2002:7f00:1::", "2002:7fff:ffff:ffff:ffff:ffff:ffff:ffff", Loopback),
            ("2002:c0a8::", "2002:c0a8:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reserved),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reserved),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("fd00:ec2::254", "fd00:ec2::254", Metadata),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
        ] {
            for text in [first, last] {
                assert_eq!(forbidden(text.parse().unwrap()), Some(kind), "{text}");
            }
        }
    }

    #[test]
    fn the_internet_is_allowed_up_to_the_edges_of_what_is_not() {
        for text in [
            "1.0.0.0",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            // For documentation, and harmless.
            "192.0.2.1",
            "198.51.100.10",
            "203.0.113.1",
            "2001:db8::1",
            "3fff::1",
            "2000::",
            "2001:200::",
            "2606:4700::1111",
            "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
        ] {
            assert_eq!(forbidden(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn documentation_has_addresses_of_its_own() {
        for text in ["192.0.2.0", "198.51.100.255", "203.0.113.9", "2001:db8:ffff::1", "3fff:fff::"] {
            assert!(is_for_documentation(text.parse().unwrap()), "{text}");
        }
        for text in ["192.0.3.0", "198.51.101.0", "203.0.112.255", "2001:db9::", "3fff:1000::", "::ffff:192.0.2.1"] {
            assert!(!is_for_documentation(text.parse().unwrap()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_embedding_is_judged_as_what_it_holds(bits: u32) {
            let inner = Ipv4Addr::from(bits);
            let ([a, b, c, d], judged) = (inner.octets(), forbidden(inner.into()));
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for outer in [
                inner.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !0x808, !0x808),
            ] {
                prop_assert_eq!(forbidden(outer.into()), judged, "{}", outer);
            }
        }

        /// What the standard library knows about addresses is a second opinion.
        #[test]
        fn what_the_standard_library_calls_special_is_out_of_bounds(bits: u32, wide: u128) {
            let address = Ipv4Addr::from(bits);
            if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_unspecified()
            {
                prop_assert!(forbidden(address.into()).is_some(), "{}", address);
            }
            let address = Ipv6Addr::from(wide);
            if address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast() {
                prop_assert!(forbidden(address.into()).is_some(), "{}", address);
            }
        }
    }
}
