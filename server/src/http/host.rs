//! The names under which the server answers. A page of an attacker whose name resolves to this server's address (DNS
//! rebinding) still says its own name in `Host`.

use super::response::Rejection;
use hyper::header::HOST;
use hyper::{Request, StatusCode};

/// Checks that a request names one of `hosts`, if there are any. A name without a port stands for every port.
pub(super) fn check<B>(request: &Request<B>, hosts: &[String]) -> Result<(), Rejection> {
    if hosts.is_empty() {
        return Ok(());
    }
    let mut headers = request.headers().get_all(HOST).iter();
    let header = headers.next().filter(|_| headers.next().is_none()).and_then(|host| host.to_str().ok());
    // The host of an absolute target counts in place of the header (RFC 9112 section 3.2.2).
    let host = request.uri().authority().map(hyper::http::uri::Authority::as_str).or(header);
    match host.is_some_and(|host| hosts.iter().any(|listed| is_same(listed, host))) {
        true => Ok(()),
        false => Err(MISDIRECTED),
    }
}

fn is_same(listed: &str, host: &str) -> bool {
    // A name with a dot at its end is the same name (RFC 1034 section 3.1).
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(name)
}

/// The host without its port. An IPv6 address stands in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            let is_address = name.starts_with('[');
            if is_address && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

const MISDIRECTED: Rejection = Rejection {
    status: StatusCode::MISDIRECTED_REQUEST,
    reason: "this server does not answer under this name; the setting `hosts` lists its names",
    headers: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(target: &str, headers: &[&str], hosts: &[&str]) -> bool {
        let request = headers.iter().fold(Request::builder().uri(target), |request, host| request.header(HOST, *host));
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        check(&request.body(()).unwrap(), &hosts).is_ok()
    }

    #[test]
    fn only_listed_names_are_answered() {
        let hosts = &["hub.example", "[::1]", "127.0.0.1:8080"];
        for (host, expected) in [
            ("hub.example", true),
            ("HUB.example:8080", true),
            ("hub.example.", true),
            ("hub.example.:80", true),
            ("hub.example..", false),
            ("[::1]", true),
            ("[::1]:80", true),
            ("127.0.0.1:8080", true),
            ("127.0.0.1", false),
            ("127.0.0.1:80", false),
            ("evil.hub.example", false),
            ("hub.example.evil", false),
            ("hub.example:x", false),
            ("hub.example@evil", false),
            ("", false),
        ] {
            assert_eq!(is_answered("/", &[host], hosts), expected, "{host}");
        }
        assert!(!is_answered("/", &[], hosts) && !is_answered("/", &["hub.example", "hub.example"], hosts));
        assert!(is_answered("/", &[], &[]), "any name, if none is listed");
    }

    #[test]
    fn the_host_of_an_absolute_target_counts() {
        assert!(is_answered("http://hub.example/", &["evil"], &["hub.example"]));
        assert!(!is_answered("http://evil/", &["hub.example"], &["hub.example"]));
    }
}
