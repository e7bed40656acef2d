//! The proxy that the environment names, and the servers that are reached without it.

use super::Proxy;
use crate::driver::address::Address;
use std::net::IpAddr;

/// The proxy that the environment names, by the rules of curl: `https_proxy` for `wss://` and `http_proxy` for `ws://`,
/// else `all_proxy`, in lower or upper case. `HTTP_PROXY` in upper case is ignored, because a CGI program gets it from
/// its clients. A server on this machine, and one that `no_proxy` names, is reached directly.
///
/// # Errors
/// When that is not the address of an HTTP proxy.
pub(super) fn proxy(server: &Address, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, variable(name)?)));
    let names: &[_] = match server.is_secure() {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, url)) = first(names).filter(|(_, url)| !url.is_empty()) else { return Ok(None) };
    let exceptions = first(&["no_proxy", "NO_PROXY"]);
    if is_local(server.host()) || exceptions.is_some_and(|(_, list)| is_excepted(server, &list)) {
        return Ok(None);
    }
    let explained = |reason| format!("the proxy of the variable {name}: {reason}; `no_proxy` connects without it");
    Proxy::read(&url).map(Some).map_err(explained)
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether the list of `no_proxy` names a server: by `*`, its name or address, a domain that it is in, or a range of
/// addresses such as `10.0.0.0/8`, and in each case with its port or without one.
fn is_excepted(server: &Address, list: &str) -> bool {
    let host = server.host().to_ascii_lowercase();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
            _ => (entry.as_str(), None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').trim_start_matches("*.").trim_start_matches('.');
        let is_in_domain = || host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let is_it = name == "*" || is_in_range(&host, name).unwrap_or_else(is_in_domain);
        is_it && port.is_none_or(|port| port.parse() == Ok(server.port()))
    })
}

/// Whether the address `host` is one of the range `name`, such as `10.0.0.0/8`; `None` if these are something else.
fn is_in_range(host: &str, name: &str) -> Option<bool> {
    let (range, length) = name.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (address, range, bits) = match (host.parse().ok()?, range.parse().ok()?) {
        (IpAddr::V4(address), IpAddr::V4(range)) => (address.to_bits().into(), range.to_bits().into(), 32_u32),
        (IpAddr::V6(address), IpAddr::V6(range)) => (address.to_bits(), range.to_bits(), 128),
        _ => return None,
    };
    let differing: u128 = address ^ range;
    // A length of 0 would shift by all bits, which is not defined: all addresses are in such a range.
    Some(differing.checked_shr(bits.checked_sub(length)?).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, environment: &[(&str, &str)]) -> Option<String> {
        let variable =
            |name: &str| environment.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        proxy(&Address::new(url).unwrap(), variable).unwrap().map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn the_environment_names_the_proxy_and_its_exceptions() {
        let proxy = ("http_proxy", "http://u:p@proxy:3128/");
        assert_eq!(found("ws://example.org/", &[proxy]).as_deref(), Some("proxy:3128"));
        assert_eq!(found("ws://example.org/", &[("HTTP_PROXY", "http://evil")]), None);
        assert_eq!(found("ws://example.org/", &[("ALL_PROXY", "other")]).as_deref(), Some("other:80"));
        assert_eq!(found("ws://127.0.0.1:8080/", &[proxy]), None);
        assert_eq!(found("ws://[::1]:8080/", &[proxy]), None);
        assert_eq!(found("ws://localhost/", &[proxy]), None);
        assert_eq!(found("ws://example.org/", &[("http_proxy", ""), ("all_proxy", "other")]), None);
        assert_eq!(found("ws://example.org/", &[("http_proxy", "[fd00::1]:3128")]).as_deref(), Some("fd00::1:3128"));
        for list in ["*", "example.org", ".org", "a.b, example.org:80", "*.org", "EXAMPLE.ORG"] {
            assert_eq!(found("ws://example.org/", &[proxy, ("no_proxy", list)]), None, "{list}");
        }
        for (url, list) in [
            ("ws://10.1.2.3/", "10.0.0.0/8"),
            ("ws://10.1.2.3/", "0.0.0.0/0"),
            ("ws://10.1.2.3:81/", "10.1.2.3/32:81"),
            ("ws://[fd00::1]/", "fd00::/8"),
            ("ws://[fd00::1]/", "::/0"),
            ("ws://[fd00::1]/", "fd00::1"),
            ("ws://[fd00::1]:81/", "[fd00::1]:81"),
        ] {
            assert_eq!(found(url, &[proxy, ("no_proxy", list)]), None, "{url} {list}");
        }
        for list in ["11.0.0.0/8", "10.1.2.4/32", "fd00::/8", "10.0.0.0/33", "10.0.0.0/x", "0.1.2.3", "10.1.2.3:x"] {
            assert!(found("ws://10.1.2.3/", &[proxy, ("no_proxy", list)]).is_some(), "{list}");
        }
        for list in ["", "ample.org", "example.org:81", "www.example.org", ".", "/0"] {
            assert!(found("ws://example.org/", &[proxy, ("NO_PROXY", list)]).is_some(), "{list}");
        }
        #[cfg(feature = "tls")]
        {
            assert_eq!(found("wss://example.org/", &[proxy]), None);
            assert_eq!(found("wss://example.org/", &[("HTTPS_PROXY", "p:1")]).as_deref(), Some("p:1"));
        }
    }

    #[test]
    fn a_proxy_of_the_environment_that_cannot_be_used_is_named_without_its_password() {
        let variable = |name: &str| (name == "ALL_PROXY").then(|| "socks5://ada:secret@proxy".to_owned());
        let server = Address::new("ws://example.org/").unwrap();
        let refused = proxy(&server, variable).unwrap_err();
        assert!(
            refused.contains("ALL_PROXY") && refused.contains("http://") && !refused.contains("secret"),
            "{refused}"
        );
    }
}
