//! Kinds of addresses, for what the server may ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may be told what happens here. `public_only`: only if it is of the public internet.
pub(crate) fn may_be_told(address: IpAddr, public_only: bool) -> bool {
    !is_link_local(address) && (!public_only || is_global(address))
}

/// Whether an address is of the local link. Services of a cloud that tell secrets to any program of a machine have such
/// addresses.
fn is_link_local(address: IpAddr) -> bool {
    match embedded(address) {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether an address is one of the public internet, by the registries of special addresses (RFC 6890).
fn is_global(address: IpAddr) -> bool {
    match embedded(address) {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        // Between a provider and its customers (RFC 6598).
        || (a == 100 && b & 0xc0 == 64)
        // Of protocols, and the old relays of 6to4.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // Of measurements (RFC 2544).
        || (a == 198 && b & 0xfe == 18)
        || a >= 240)
}

/// Of IPv6, one eighth of all addresses is public, without what is set apart there.
fn is_global_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_of_protocols = a == 0x2001 && b < 0x200;
    let is_documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    a & 0xe000 == 0x2000 && !is_of_protocols && !is_documentation
}

/// The IPv4 address that an IPv6 address leads to, or else the address itself: mapped and compatible ones, 6to4 and
/// NAT64.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // These are the own machine and nobody; others that begin so have an IPv4 address in them.
        [0, 0, 0, 0, 0, 0, 0, _] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            of(high, low)
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_not_public_is_known_in_each_way_of_writing() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
        ] {
            assert!(!is_global(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::808:808"]
        {
            assert!(is_global(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_link_local_address_is_known_in_each_way_of_writing() {
        for address in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::a9fe:a9fe", "64:ff9b::a9fe:a9fe"] {
            assert!(is_link_local(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "1.1.1.1"] {
            assert!(!is_link_local(address.parse().unwrap()), "{address}");
        }
    }
}
