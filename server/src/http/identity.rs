//! Who a request comes from: the token that it shows, and whether that may do what it asks for.
//!
//! | where the token is | for |
//! |---|---|
//! | `Authorization: Bearer` | programs |
//! | the subprotocol `hubcast.token.<token>` beside `hubcast.v1` | WebSockets of browsers |
//! | `token=` in the query, where the configuration allows it | `EventSource`, which can send nothing else |
//!
//! (RFC 6750 section 2.1, RFC 6455 section 1.9.) A token may be in more than one of these places if it is the same one.

use super::response::Refusal;
use crate::config::Config;
use hubcast_hub::{Grants, Login, MemberName, Permission, Permissions, Requester};
use hubcast_protocol::{ErrorCode, Target};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use std::time::Instant;

/// Verifies the token of a request, if it has one, and returns who it is of. `in_query` is the token of its query.
///
/// # Errors
/// 400 for two different tokens, 401 for one that is refused.
pub(crate) fn of_request(
    headers: &HeaderMap,
    in_query: Option<&str>,
    config: &Config,
    now: Instant,
) -> Result<Option<Login>, Refusal> {
    let Some(token) = only_token(headers, in_query)? else { return Ok(None) };
    if config.auth.verifier.is_none() {
        // A server without tokens takes what it does not know of for something of a proxy in front of it.
        return Ok(None);
    }
    match config.auth.verify(token, now) {
        Ok(login) => Ok(Some(login)),
        Err(fault) => Err(Refusal::unauthorized(fault.code(), fault.to_string())),
    }
}

/// Whether a request may do this. Without a token it is anonymous.
///
/// # Errors
/// 403 when it is not granted.
pub(crate) fn may(
    login: Option<&Login>,
    permission: Permission,
    target: &Target,
    config: &Config,
) -> Result<(), Refusal> {
    let user = login.and_then(|login| match &login.identity.name {
        MemberName::User(user) => Some(&**user),
        _ => None,
    });
    let grants: &Grants = login.map_or(&config.admission.anonymous, |login| &login.credentials.grants);
    let permissions = Permissions { rules: &config.rules, default: config.admission.default };
    let decision = permissions.decide(&Requester { user, client: None, grants, is_api_key: false }, permission, target);
    let name = match target {
        Target::Topic(topic) => topic.as_str(),
        Target::Pattern(pattern) => pattern.as_str(),
    };
    let answer = decision.to_result(permission, name);
    answer.map_err(|fault| Refusal::of(StatusCode::FORBIDDEN, fault.code, fault.reason))
}

/// The refusal of a request without a token, where one is needed.
pub(crate) fn token_needed() -> Refusal {
    let reason = "a token is needed: send it as Authorization: Bearer, or as the query parameter token";
    Refusal::unauthorized(ErrorCode::Unauthenticated, reason)
}

/// The only token of a request.
fn only_token<'a>(headers: &'a HeaderMap, in_query: Option<&'a str>) -> Result<Option<&'a str>, Refusal> {
    let bearers = headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.to_str().ok()?));
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|list| list.to_str().ok());
    let offers = offers.flat_map(|list| list.split(',')).filter_map(|offer| offer.trim().strip_prefix(OFFERED));
    let mut tokens = bearers.chain(offers).chain(in_query);
    let first = tokens.next();
    if tokens.any(|other| Some(other) != first) {
        let reason = "the request has more than one token: send one, in one place";
        return Err(Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, reason));
    }
    Ok(first)
}

/// The token of an `Authorization` header, if that is of the kind `Bearer`.
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The beginning of a subprotocol that is a token.
pub(crate) const OFFERED: &str = "hubcast.token.";

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines =
            lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        lines.fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
    }

    #[test]
    fn a_token_is_found_wherever_it_may_be() {
        for (lines, in_query, expected) in [
            (&[][..], None, None),
            (&[("authorization", "Bearer a.b.c")], None, Some("a.b.c")),
            (&[("authorization", "bearer   a.b.c ")], None, Some("a.b.c")),
            (&[("authorization", "Basic YTpi")], None, None),
            (&[("sec-websocket-protocol", "hubcast.v1, hubcast.token.a.b.c")], None, Some("a.b.c")),
            (&[("sec-websocket-protocol", "hubcast.token.a.b.c,hubcast.v1")], None, Some("a.b.c")),
            (&[], Some("a.b.c"), Some("a.b.c")),
            (&[("authorization", "Bearer a.b.c")], Some("a.b.c"), Some("a.b.c")),
        ] {
            assert_eq!(only_token(&headers(lines), in_query).unwrap(), expected, "{lines:?}");
        }
    }

    #[test]
    fn two_different_tokens_are_refused() {
        for lines in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")][..],
            &[("sec-websocket-protocol", "hubcast.token.a, hubcast.token.b")],
            &[("authorization", "Bearer a"), ("sec-websocket-protocol", "hubcast.token.b")],
        ] {
            assert!(only_token(&headers(lines), None).is_err(), "{lines:?}");
        }
        assert!(only_token(&headers(&[("authorization", "Bearer a")]), Some("b")).is_err());
    }
}
