//! Lines about who comes, goes, and changes something. They have one shape: first the `address` and the `operation`, then
//! who it is, and at the end the `trace` of which the request is a part.

use crate::metrics::kinds::Carrier;
use crate::metrics::traffic::Traffic;
use crate::trace_context::TraceContext;
use hubcast_protocol::{ClientId, Dialect};
use hyper::HeaderMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tracing::Level;
use tracing::field::display;

/// The client of a connection.
#[derive(Debug)]
pub(crate) struct Visitor<'a> {
    /// `None` if it came by a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) client: Option<ClientId>,
    pub(crate) user: Option<&'a str>,
    pub(crate) dialect: Dialect,
    pub(crate) trace: Option<TraceContext>,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) code: u16,
    pub(crate) reason: &'a str,
    pub(crate) lasted: Duration,
    pub(crate) traffic: Traffic,
}

/// A change by a backend with an API key.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) address: IpAddr,
    pub(crate) operation: &'a str,
    pub(crate) key: &'a str,
    /// What was changed: a topic, a client or a user.
    pub(crate) of: &'a str,
    pub(crate) count: u64,
    /// Those of its request.
    pub(crate) headers: &'a HeaderMap,
}

/// Whether lines about connections are wanted.
pub(crate) fn is_on() -> bool {
    tracing::enabled!(target: "hubcast::access", Level::INFO)
}

/// Writes that a connection is open.
pub(crate) fn opened(Visitor { address, client, user, dialect, trace }: &Visitor<'_>) {
    let (address, client, trace) = (address.map(display), client.map(display), trace.map(|trace| trace.trace()));
    let (path, dialect) = names(*dialect);
    tracing::info!(
        target: "hubcast::access",
        address, operation = "open", client, user, path, dialect, trace,
        "a client is connected"
    );
}

/// Writes that a connection is closed.
pub(crate) fn closed(Visitor { address, client, user, dialect, trace }: &Visitor<'_>, visit: &Visit<'_>) {
    let (address, client, trace) = (address.map(display), client.map(display), trace.map(|trace| trace.trace()));
    let (path, dialect) = names(*dialect);
    let Traffic { messages, deliveries, received_bytes, sent_bytes } = visit.traffic;
    let (code, seconds) = (visit.code, (visit.lasted.as_secs_f64() * 1_000.0).round() / 1_000.0);
    let reason = Some(visit.reason).filter(|reason| !reason.is_empty());
    tracing::info!(
        target: "hubcast::access",
        address, operation = "close", client, user, path, dialect, code, reason, seconds, messages, received_bytes,
        deliveries, sent_bytes, trace,
        "a client is gone"
    );
}

/// Writes what an API key did, in the shape of all such lines. The trace is looked for only if the line is written.
macro_rules! audit {
    ($level:ident, $change:expr, $text:literal) => {{
        let Change { address, operation, key, of, count, headers } = $change;
        tracing::$level!(
            target: "hubcast::audit",
            %address, operation, key, of, count, trace = TraceContext::of(headers).map(|trace| trace.trace()),
            $text
        );
    }};
}

/// Writes what an API key has changed.
pub(crate) fn changed(change: &Change<'_>) {
    audit!(info, change, "an API key changed something");
}

/// Writes what an API key has published, which may be often.
pub(crate) fn published(change: &Change<'_>) {
    audit!(debug, change, "an API key published");
}

/// The path of the request by which such a connection begins, and the name of its dialect. The query is left out: it
/// may have a token.
fn names(dialect: Dialect) -> (&'static str, &'static str) {
    match Carrier::of(dialect) {
        Carrier::Sse => ("/events", "events"),
        of => ("/socket", of.name()),
    }
}

/// The lines that one worker may write in a second, so that a flood of connections is none of lines.
#[derive(Debug, Default)]
pub(crate) struct LineBudget {
    second: Option<Instant>,
    written: u32,
}

impl LineBudget {
    /// Whether another line may be written now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.second.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1)) {
            (self.second, self.written) = (Some(now), 0);
        }
        self.written += 1;
        self.written <= LINES_PER_SECOND
    }
}

/// Lines about connections that one worker writes in a second.
pub(crate) const LINES_PER_SECOND: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_each_second_there_are_so_many_lines() {
        let (mut budget, start) = (LineBudget::default(), Instant::now());
        for second in 0..3 {
            let at = start + Duration::from_millis(1_000 * second);
            let written = (0..1_000_u64).filter(|number| budget.take(at + Duration::from_micros(*number))).count();
            assert_eq!(written, LINES_PER_SECOND as usize, "second {second}");
        }
    }
}
