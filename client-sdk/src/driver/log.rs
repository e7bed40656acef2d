//! The events for `tracing`, all with the target `hubcast_client`. They contain no payloads, headers or secrets.

use crate::machine::{Closed, Delivery, State, Status, TokenReason};
use std::time::Instant;
use tracing::{debug, info, warn};

/// Notes that the status of the client has changed.
pub(super) fn status(status: &Status) {
    let reason = status.last_loss.as_ref().map(tracing::field::display);
    match &status.state {
        State::Connecting => debug!(target: TARGET, attempt = status.attempt, "connecting"),
        State::Connected => {
            info!(target: TARGET, client = status.client.map(tracing::field::display), "connected");
        }
        State::Waiting => {
            let now = tokio::time::Instant::now().into_std();
            let pause = status.retry_at.map(|at: Instant| at.saturating_duration_since(now));
            let refused = status.last_loss.as_ref().is_some_and(|loss| loss.is_refusal);
            let retry_in = pause.map(tracing::field::debug);
            warn!(target: TARGET, reason, refused, attempt = status.attempt, retry_in, "no connection");
        }
        State::Closed(Closed::ByUser) => info!(target: TARGET, "closed"),
        State::Closed(why) => warn!(target: TARGET, reason = %why, "closed for good"),
    }
}

/// Notes that the program is asked for a token.
pub(super) fn asks_token(reason: TokenReason) {
    match reason {
        TokenReason::Refused => warn!(target: TARGET, "the server refused the token; asking for another one"),
        reason => debug!(target: TARGET, ?reason, "asking for a token"),
    }
}

/// Notes that the program gave no token.
pub(super) fn no_token(reason: &str) {
    warn!(target: TARGET, reason, "no token");
}

/// Notes a delivery, if it says something about the connection.
pub(super) fn delivery(delivery: &Delivery) {
    match delivery {
        Delivery::Gap(gap) => warn!(target: TARGET, "{gap}"),
        Delivery::Resumed(resumed) => {
            debug!(target: TARGET, recovered = resumed.recovered, replayed = resumed.replayed, "resumed");
        }
        Delivery::Message(_) | Delivery::Joined(_) | Delivery::Left(_) | Delivery::Presence(_) | Delivery::Ended(_) => {
        }
    }
}

const TARGET: &str = "hubcast_client";
