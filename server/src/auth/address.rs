//! The address of a client behind proxies, from `X-Forwarded-For`.
//!
//! Each proxy adds the address of whoever connected to it at the end. So only what trusted proxies have added can be
//! believed, from the last to the first; what stands before it may be the client's own invention.
//!
//! `Forwarded` (RFC 7239) is not read. A proxy that writes one of the two headers passes the other one on from the
//! client, so a server that reads both believes clients.

use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, SocketAddr};

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The proxies in these networks. An IPv4 network can be written as an IPv6 one, `::ffff:10.0.0.0/104`.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into_iter().map(folded).collect())
    }

    /// Whether this is the address of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client of a connection from `peer`. `lines` are the values of all `X-Forwarded-For` lines, in
    /// the order of the head.
    pub fn client<'a>(&self, peer: IpAddr, lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let peer = peer.to_canonical();
        let mut address = peer;
        let mut hops = lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        for _ in 0..MAX_HOPS {
            if !self.contains(address) {
                return address;
            }
            // What stands before an entry that cannot be read is not believed either.
            let Some(Some(before)) = hops.next().map(read) else { return address };
            address = before;
        }
        if self.contains(address) { peer } else { address }
    }
}

fn folded(network: IpNet) -> IpNet {
    let short = |address, length: u8| Ipv4Net::new(address, length.checked_sub(96)?).ok();
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(_), IpAddr::V4(address)) => short(address, network.prefix_len()).map_or(network, IpNet::V4),
        _ => network,
    }
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    Some(bare.parse().ok().or_else(with_port)?.to_canonical())
}

/// A longer chain of trusted proxies is a mistake or a loop.
const MAX_HOPS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = ["::ffff:10.0.0.0/104", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let proxies = TrustedProxies::new(proxies.to_vec());
        proxies.client(peer.parse().unwrap(), lines.iter().map(|line| line.as_bytes())).to_string()
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_not_believed() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("::ffff:192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        for (lines, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7, 10.0.0.2,10.0.0.3"], "198.51.100.7"),
            (&["1.1.1.1", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            (&["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(client("::ffff:10.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_address_can_have_a_port_and_brackets() {
        for (entry, expected) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db9::7]:4711", "2001:db9::7"),
            ("[2001:db9::7]", "2001:db9::7"),
            ("2001:db9::7", "2001:db9::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("[::ffff:198.51.100.7]:1", "198.51.100.7"),
            ("\t198.51.100.7 ", "198.51.100.7"),
        ] {
            assert_eq!(client("10.0.0.1", &[entry]), expected, "{entry}");
        }
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_search_and_nothing_before_it_counts() {
        for entry in ["", "unknown", "_hidden", "198.51.100.7:99999", "[198.51.100.7", "198.51.100", "a.example"] {
            let line = format!("1.1.1.1, {entry}, 10.0.0.2");
            assert_eq!(client("10.0.0.1", &[&line]), "10.0.0.2", "{entry}");
        }
    }

    #[test]
    fn a_chain_of_more_than_twenty_trusted_proxies_is_not_followed() {
        let chain = |proxies: usize| format!("198.51.100.7, {}", vec!["10.0.0.2"; proxies].join(", "));
        assert_eq!(client("10.0.0.1", &[&chain(19)]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &[&chain(20)]), "10.0.0.1");
        let long = vec!["198.51.100.7"; 10_000].join(",");
        assert_eq!(client("10.0.0.1", &[&long]), "198.51.100.7", "only what proxies have added is counted");
    }

    proptest! {
        #[test]
        fn any_text_gives_some_address(lines in prop::collection::vec(".{0,40}", 0..4)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            client("10.0.0.1", &lines).parse::<IpAddr>().unwrap();
        }
    }
}
