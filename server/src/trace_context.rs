//! The place of a request in a trace of many services, as its header `traceparent` says it (W3C Trace Context, 2021). The
//! server makes no spans: it passes on what it gets.

use data_encoding::HEXLOWER;
use hyper::header::{HeaderMap, HeaderName};
use serde::{Serialize, Serializer};
use std::fmt;

/// The value of a `traceparent`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace: [u8; 16],
    parent: [u8; 8],
    flags: u8,
}

impl TraceContext {
    /// What the headers of a request say. A value that is wrong counts as none (section 2.2.2 of the standard), and so do
    /// two of them.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        Self::read(value.to_str().ok()?)
    }

    /// Reads `00-<trace>-<parent>-<flags>`. A later version may have more after that.
    fn read(text: &str) -> Option<Self> {
        let (first, more) = text.split_at_checked(LENGTH)?;
        let mut parts = first.split('-');
        let version = hex::<1>(parts.next()?)?[0];
        let trace = hex(parts.next()?).filter(|trace| *trace != [0; 16])?;
        let parent = hex(parts.next()?).filter(|parent| *parent != [0; 8])?;
        let flags = hex::<1>(parts.next()?)?[0];
        let ends_well = match version {
            0 => more.is_empty(),
            0xFF => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        (ends_well && parts.next().is_none()).then_some(Self { trace, parent, flags })
    }

    /// The id that all services share which a request went through.
    pub(crate) fn trace(&self) -> String {
        HEXLOWER.encode(&self.trace)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, parent, flags } = self;
        write!(f, "00-{}-{}-{flags:02x}", HEXLOWER.encode(trace), HEXLOWER.encode(parent))
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes that so many pairs of lower-case digits stand for.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let is_right = text.len() == 2 * N && HEXLOWER.decode_mut(text.as_bytes(), &mut bytes) == Ok(N);
    is_right.then_some(bytes)
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The length of the value in version 00.
const LENGTH: usize = 55;

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_read_is_passed_on_as_it_came() {
        let read = TraceContext::read(EXAMPLE).unwrap();
        assert_eq!((read.to_string().as_str(), read.trace().as_str()), (EXAMPLE, "0af7651916cd43dd8448eb211c80319c"));
        let later = EXAMPLE.replacen("00", "cc", 1);
        for later in [later.clone(), later + "-what-the-future-adds"] {
            assert_eq!(TraceContext::read(&later), Some(read), "{later}");
        }
    }

    #[test]
    fn what_is_wrong_counts_as_none() {
        let changed = |from, to| EXAMPLE.replacen(from, to, 1);
        for wrong in [
            String::new(),
            EXAMPLE[1..].to_owned(),
            EXAMPLE.to_uppercase(),
            format!("{EXAMPLE}-more"),
            changed("00", "ff"),
            changed("00", "cc") + "more",
            changed("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            changed("b7ad6b7169203331", "0000000000000000"),
            changed("0af7", "0ag7"),
            changed("-01", "-\u{e9}"),
            changed("9c-b7", "9cb-7"),
        ] {
            assert_eq!(TraceContext::read(&wrong), None, "{wrong}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(TraceContext::of(&headers), None);
        headers.append(&TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert_eq!(TraceContext::of(&headers), TraceContext::read(EXAMPLE));
        headers.append(&TRACEPARENT, HeaderValue::from_static(EXAMPLE));
        assert_eq!(TraceContext::of(&headers), None, "twice");
    }
}
