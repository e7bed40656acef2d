//! The opening handshake (RFC 6455 section 4.2.1): which requests may become a WebSocket, and in which dialect.

use super::response::{Headers, Rejection};
use hubcast_protocol::{Dialect, SUBPROTOCOL};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
};
use hyper::{Method, Request, StatusCode, Version};

/// Checks all that the upgrade library does not check, and chooses the dialect. Where the server `takes_tokens`, a client
/// that shows one as `Authorization` needs no `Origin`: no page of a browser can send that header here.
pub(crate) fn check<B>(request: &Request<B>, origins: &[String], takes_tokens: bool) -> Result<Dialect, Rejection> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(reject(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened by GET", ONLY_GET));
    }
    if only(headers, &HOST).is_none() {
        return Err(bad("a request has exactly one Host"));
    }
    if !hyper_tungstenite::is_upgrade_request(request) {
        let reason = "this is a WebSocket endpoint: connect with a WebSocket client, such as ws://HOST/socket; a proxy \
                      in between must pass on the headers Upgrade and Connection";
        return Err(reject(StatusCode::UPGRADE_REQUIRED, reason, WEBSOCKET));
    }
    if request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket is opened over HTTP/1.1"));
    }
    let has_body = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_body || headers.contains_key(TRANSFER_ENCODING) {
        return Err(bad("a handshake has no body"));
    }
    if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(reject(StatusCode::UPGRADE_REQUIRED, "the WebSocket version must be 13", WEBSOCKET));
    }
    if !only(headers, &SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        return Err(bad("Sec-WebSocket-Key must be one base64 text of 16 bytes"));
    }
    let is_program = takes_tokens && headers.contains_key(AUTHORIZATION) && !headers.contains_key(ORIGIN);
    if !origins.is_empty() && !is_program {
        let origin = only(headers, &ORIGIN).map(HeaderValue::as_bytes);
        let origin = origin.ok_or(reject(StatusCode::FORBIDDEN, "exactly one Origin header is needed here", &[]))?;
        if !origins.iter().any(|listed| listed.as_bytes() == origin) {
            return Err(reject(StatusCode::FORBIDDEN, "this Origin is not let in", &[]));
        }
    }
    Ok(dialect(headers))
}

/// Chooses the dialect from the client's list of subprotocols (RFC 6455 section 1.9).
fn dialect(headers: &HeaderMap) -> Dialect {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    match offers.any(|offer| offer.trim_ascii() == SUBPROTOCOL.as_bytes()) {
        true => Dialect::Typed,
        false => Dialect::Plain,
    }
}

/// Whether a key is the base64 text of 16 bytes: 22 digits and two padding signs (RFC 4648 section 4).
fn is_key(key: &HeaderValue) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.as_bytes().strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

/// The value of a header that occurs exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn bad(reason: &'static str) -> Rejection {
    reject(StatusCode::BAD_REQUEST, reason, &[])
}

fn reject(status: StatusCode, reason: &'static str, headers: Headers) -> Rejection {
    Rejection { status, reason, headers }
}

const ONLY_GET: Headers = &[("allow", "GET")];
const WEBSOCKET: Headers = &[("upgrade", "websocket"), ("sec-websocket-version", "13")];

#[cfg(test)]
mod tests {
    use super::*;

    fn request(changes: &[(&str, Option<&str>)]) -> Request<()> {
        let mut headers = vec![
            ("host", "x"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.retain(|(name, _)| !changes.iter().any(|(changed, to)| changed == name && to.is_none()));
        headers.extend(changes.iter().filter_map(|(name, to)| Some((*name, (*to)?))));
        headers
            .into_iter()
            .fold(Request::builder(), |request, (name, value)| request.header(name, value))
            .body(())
            .unwrap()
    }

    #[test]
    fn a_good_handshake_chooses_its_dialect() {
        for (offers, dialect) in [
            (&[][..], Dialect::Plain),
            (&[("sec-websocket-protocol", Some("chat"))], Dialect::Plain),
            (&[("sec-websocket-protocol", Some("chat, hubcast.v1"))], Dialect::Typed),
            (&[("sec-websocket-protocol", Some("a")), ("sec-websocket-protocol", Some("hubcast.v1"))], Dialect::Typed),
            (&[("sec-websocket-protocol", Some("HUBCAST.V1"))], Dialect::Plain),
            (&[("content-length", Some("0"))], Dialect::Plain),
        ] {
            assert_eq!(check(&request(offers), &[], false), Ok(dialect), "{offers:?}");
        }
    }

    #[test]
    fn each_fault_has_its_status() {
        for (changes, status) in [
            (&[("upgrade", None)][..], 426),
            (&[("connection", None)], 426),
            (&[("sec-websocket-version", None)], 426),
            (&[("sec-websocket-version", None), ("sec-websocket-version", Some("8"))], 426),
            (&[("host", None)], 400),
            (&[("host", Some("y"))], 400),
            (&[("sec-websocket-key", None)], 400),
            (&[("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ=="))], 400),
            (&[("sec-websocket-key", None), ("sec-websocket-key", Some("c2hvcnQ="))], 400),
            (&[("content-length", Some("5"))], 400),
            (&[("transfer-encoding", Some("chunked"))], 400),
        ] {
            let rejection = check(&request(changes), &[], false).unwrap_err();
            assert_eq!(rejection.status.as_u16(), status, "{changes:?}");
        }
    }

    #[test]
    fn listed_origins_are_compared_as_bytes_and_one_is_needed() {
        let listed = ["https://a.example".to_owned()];
        assert!(check(&request(&[("origin", Some("https://a.example"))]), &listed, false).is_ok());
        for other in [Some("https://A.example"), Some("null")] {
            assert!(check(&request(&[("origin", other)]), &listed, false).is_err());
        }
        assert!(check(&request(&[]), &listed, false).is_err());
        let program = request(&[("authorization", Some("Bearer a.b.c"))]);
        assert!(check(&program, &listed, true).is_ok() && check(&program, &listed, false).is_err());
        let page = request(&[("authorization", Some("Bearer a.b.c")), ("origin", Some("null"))]);
        assert!(check(&page, &listed, true).is_err());
        assert!(check(&request(&[("origin", Some("null"))]), &[], false).is_ok());
    }
}
