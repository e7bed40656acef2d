//! When a connection wants to be looked at, and what is due then.

use super::{Connection, Phase, State};
use crate::config::Config;
use hubcast_protocol::CloseCode;
use std::time::Instant;

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this.
    At(Instant),
    /// Nothing at all.
    Never,
    Ping,
    Close(CloseCode, &'static str),
    /// The socket took nothing for too long, unless that may be.
    Stalled,
    Cut,
}

impl Connection {
    /// Sets the earliest tick at which to look at the deadlines; says whether it is earlier than the one set.
    pub(crate) fn arm(&self, tick: u64) -> bool {
        let armed = &mut self.state.borrow_mut().armed;
        let earlier = armed.is_none_or(|armed| tick < armed);
        if earlier {
            *armed = Some(tick);
        }
        earlier
    }

    /// Looks at the deadlines after the one for `tick` has come. What began before `resumed` has its time from then on.
    pub(crate) fn due(&self, tick: u64, now: Instant, resumed: Instant, config: &Config) -> Due {
        let mut state = self.state.borrow_mut();
        if state.armed == Some(tick) {
            state.armed = None;
        }
        state.due(now, resumed, config)
    }

    /// When to look at the deadlines next.
    pub(crate) fn next_deadline(&self, now: Instant, resumed: Instant, config: &Config) -> Option<Instant> {
        match self.state.borrow().due(now, resumed, config) {
            Due::At(at) => Some(at),
            Due::Never => None,
            Due::Ping | Due::Close(..) | Due::Stalled | Due::Cut => Some(now),
        }
    }

    /// Notes that a ping is sent now, and gives back room that a quiet connection does not need.
    pub(crate) fn note_ping(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.pinged = Some(now);
        state.outbox.release();
    }
}

impl State {
    fn due(&self, now: Instant, resumed: Instant, config: &Config) -> Due {
        let times = &config.timeouts;
        let if_stalled = if self.phase == Phase::Open { Due::Stalled } else { Due::Cut };
        let stalled = self.blocked.map(|since| (since.max(resumed) + times.write, if_stalled));
        // Who is not read cannot be heard: its time to say something stands still, but not the time to take something.
        let resumed = if self.is_held && self.phase == Phase::Open { now } else { resumed };
        let phase = match self.phase {
            Phase::Open => match self.pinged {
                Some(at) => (at.max(resumed) + times.pong, Due::Close(CloseCode::PING_TIMEOUT, "no answer to a ping")),
                None => (self.heard + times.ping, Due::Ping),
            },
            Phase::Closing { since, .. } | Phase::Agreed { since } => (since.max(resumed) + times.close, Due::Cut),
            Phase::Lingering { dropped, .. } if dropped > config.linger_bytes => (now, Due::Cut),
            Phase::Lingering { since, .. } => (since + times.linger, Due::Cut),
            Phase::Cut => return Due::Never,
        };
        let message = match (self.phase, self.unfinished_since) {
            (Phase::Open, Some(since)) => {
                Some((since.max(resumed) + times.message, Due::Close(CloseCode::POLICY, "a message took too long")))
            }
            _ => None,
        };
        let (at, due) = [Some(phase), stalled, message]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
            .expect("the phase always has a deadline");
        if at <= now {
            return due;
        }
        // Whatever comes meanwhile moves the next ping to `ping` after it, which may be before the answer is due.
        let next_ping = self.pinged.filter(|_| self.phase == Phase::Open).map(|_| now + times.ping);
        Due::At(next_ping.map_or(at, |next_ping| next_ping.min(at)))
    }
}
