//! The body of a request: bounded in bytes and in time, and JSON.

use crate::http::response::Refusal;
use crate::runtime::patience::{Alarm, PatientSleep};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hubcast_protocol::ErrorCode;
use hyper::StatusCode;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::error::Category;
use std::time::Duration;

/// A body that may not be read yet.
pub(in crate::http) struct RequestBody {
    incoming: Incoming,
    /// Whether anything of it may still come.
    is_left: bool,
}

impl RequestBody {
    pub(in crate::http) fn new(incoming: Incoming) -> Self {
        Self { is_left: !incoming.is_end_stream(), incoming }
    }

    /// Whether bytes of it may still come, so that it is not known where the next request begins.
    pub(super) fn is_left(&self) -> bool {
        self.is_left
    }

    /// Reads all of it, which must come within `time`. Only this makes hyper answer `Expect: 100-continue`.
    ///
    /// # Errors
    /// 415 when it is not JSON, 413 when it is longer than [`MAX_BODY_BYTES`], 408 when it does not come in time, 400
    /// when it breaks off.
    pub(super) async fn read(&mut self, headers: &HeaderMap, alarm: Alarm, time: Duration) -> Result<Bytes, Refusal> {
        check_type(headers)?;
        let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|said| said > MAX_BODY_BYTES as u64) {
            return Err(too_large());
        }
        let expected = usize::try_from(said.unwrap_or_default()).unwrap_or(MAX_BODY_BYTES).min(EXPECTED_BYTES);
        let reading = async {
            // Most bodies come as one part, which is not copied.
            let (mut whole, mut longer) = (Bytes::new(), None);
            while let Some(frame) = self.incoming.frame().await {
                let part = frame.map_err(|_| broken())?.into_data().unwrap_or_default();
                if longer.as_ref().map_or(whole.len(), BytesMut::len) + part.len() > MAX_BODY_BYTES {
                    return Err(too_large());
                }
                match &mut longer {
                    _ if whole.is_empty() => whole = part,
                    Some(longer) => longer.extend_from_slice(&part),
                    longer @ None => {
                        let mut both = BytesMut::with_capacity(expected.max(whole.len() + part.len()));
                        both.extend_from_slice(&whole);
                        both.extend_from_slice(&part);
                        *longer = Some(both);
                    }
                }
            }
            Ok(longer.map_or(whole, BytesMut::freeze))
        };
        let whole = tokio::select! {
            biased;
            whole = reading => whole?,
            () = PatientSleep::with_alarm(alarm, time) => return Err(too_slow()),
        };
        self.is_left = false;
        Ok(whole)
    }
}

/// Reads a body as one JSON object.
///
/// # Errors
/// `invalid_json` for what is no JSON, `invalid_request` for what has another shape.
pub(super) fn read_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|fault| match fault.classify() {
        Category::Data => invalid(format!("the body has the wrong shape: {fault}")),
        _ => Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidJson, format!("the body is not JSON: {fault}")),
    })
}

/// A request that was understood and makes no sense.
pub(super) fn invalid(reason: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, reason)
}

fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_json = matches!((types.next(), types.next()), (Some(only), None) if is_json(only));
    if !is_json {
        return Err(unsupported("the body must be JSON: send it with the header Content-Type: application/json"));
    }
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    match headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        true => Ok(()),
        false => Err(unsupported("the body must not be compressed")),
    }
}

/// Whether a media type is JSON in UTF-8 (RFC 9110 section 8.3.1).
fn is_json(value: &HeaderValue) -> bool {
    if value == "application/json" {
        return true;
    }
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let mut charsets = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    is_json && charsets.all(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

fn unsupported(reason: &'static str) -> Refusal {
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", reason)
}

fn too_large() -> Refusal {
    let reason = format!("a body has at most {MAX_BODY_BYTES} bytes");
    Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::MessageTooLarge, reason)
}

fn too_slow() -> Refusal {
    let reason = "the body did not come in time";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", reason)
}

fn broken() -> Refusal {
    invalid("the body broke off")
}

/// The most bytes of memory that are reserved because a head says how long its body is.
const EXPECTED_BYTES: usize = 256 * 1024;

/// The longest body, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_by_its_type() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"; x=y", true),
            ("application/json; charset=latin1", false),
            ("application/x-www-form-urlencoded", false),
            ("text/json", false),
            ("", false),
        ] {
            assert_eq!(is_json(&HeaderValue::from_static(value)), expected, "{value}");
        }
    }
}
