//! `/metrics`: what the server counts, for Prometheus.
//!
//! Everybody on the same machine may read it, unless a proxy stands in between; others need an API key, or the address
//! that is set up for it. It contains no text that a client has chosen.

mod page;
mod text;

use super::api::{Api, KnownKey, api_key};
use super::response::{Answer, Refusal};
use super::{X_FORWARDED_FOR, api};
use crate::config::Config;
use http_body_util::Full;
use hubcast_protocol::ErrorCode;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, FORWARDED, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use page::Page;
use std::net::IpAddr;

/// Answers a request of `address` for the metrics. `is_door` says whether it came in where only metrics are.
pub(super) fn answer(api: &Api, headers: &HeaderMap, address: IpAddr, (is_door, is_draining): (bool, bool)) -> Answer {
    let is_direct = address.to_canonical().is_loopback()
        && !headers.contains_key(&FORWARDED)
        && !headers.contains_key(&X_FORWARDED_FOR);
    if !is_door
        && !is_direct
        && let Err(refusal) = check_key(&api.config(), headers, api.client_address(address, headers))
    {
        return refusal.into_response();
    }
    let wants_openmetrics = headers.get_all(ACCEPT).iter().any(accepts_openmetrics);
    let (text, kind) = text::encode(Page::read(api, is_draining), wants_openmetrics);
    let mut answer = Response::new(Full::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Whether a request shows a key that may read the metrics.
fn check_key(config: &Config, headers: &HeaderMap, address: IpAddr) -> Result<(), Refusal> {
    if config.auth.api_keys.is_empty() {
        let reason = "metrics are for this machine only: set up an API key with metrics = true, or metrics_listen";
        return Err(Refusal::of(StatusCode::FORBIDDEN, ErrorCode::Forbidden, reason));
    }
    let key = api_key(headers, address, config, &KnownKey::default())?;
    if key.metrics || key.manage {
        return Ok(());
    }
    let reason = "this API key may not read the metrics: its settings need metrics = true";
    Err(Refusal::of(StatusCode::FORBIDDEN, ErrorCode::Forbidden, reason))
}

/// Whether an `Accept` header names `OpenMetrics`. Prometheus lists it first if it prefers it.
fn accepts_openmetrics(accept: &HeaderValue) -> bool {
    let Ok(accept) = accept.to_str() else { return false };
    accept.split(',').any(|range| range.trim().starts_with("application/openmetrics-text"))
}

/// The routes of HTTP that are counted, besides those of the API, which come after them: path and method. The last one
/// is for all that is no route.
pub(crate) const ROUTES: [(&str, &str); 9] = [
    ("/socket", "GET"),
    ("/events", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/hubcast.js", "GET"),
    ("/", "GET"),
    ("/console", "GET"),
    (OTHER, OTHER),
];

const OTHER: &str = "other";

/// The number of all routes that are counted.
pub(crate) const ROUTE_COUNT: usize = ROUTES.len() + api::ROUTE_COUNT;

/// The number of a route that is not one of the API, by its path.
pub(super) fn route(path: &str, is_console: bool) -> usize {
    let known = ROUTES.iter().position(|(route, _)| *route == path);
    let console = if is_console { ROUTES.len() - 2 } else { ROUTES.len() - 1 };
    known.filter(|known| *known < ROUTES.len() - 2).unwrap_or(console)
}

/// The number of a route of the API; without one, that of all that is no route.
pub(super) fn api_route(number: Option<usize>) -> usize {
    number.map_or(ROUTES.len() - 1, |number| ROUTES.len() + number)
}

/// The path and method of a route by its number.
fn route_names(number: usize) -> (String, &'static str) {
    match number.checked_sub(ROUTES.len()) {
        None => (ROUTES[number].0.to_owned(), ROUTES[number].1),
        Some(of_api) => api::route_names(of_api),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_a_number_of_its_own() {
        assert_eq!(route("/socket", false), 0);
        assert_eq!(route("/", true), 6);
        assert_eq!(route("/console.css", true), 7);
        assert_eq!(route("/console", false), 8, "a path that a client has made up");
        assert_eq!(route("/other", false), 8);
        assert_eq!(route("/x", false), 8);
        assert_eq!((api_route(None), api_route(Some(0))), (8, 9));
        let names: std::collections::BTreeSet<_> = (0..ROUTE_COUNT).map(route_names).collect();
        assert_eq!(names.len(), ROUTE_COUNT, "{names:?}");
    }

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        for (accept, expected) in [
            ("text/plain", false),
            ("*/*", false),
            ("application/openmetrics-text; version=1.0.0", true),
            ("text/plain;q=0.5, application/openmetrics-text;version=1.0.0;q=0.6", true),
        ] {
            assert_eq!(accepts_openmetrics(&HeaderValue::from_static(accept)), expected, "{accept}");
        }
    }
}
