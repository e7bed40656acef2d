//! The phases of the connection, and their deadlines.

use super::config::{Backoff, Config, pause_after_refusals};
use super::effect::{Effect, Effects};
use super::random::Random;
use super::status::State;
use hubcast_protocol::{AccessToken, CloseCode};
use std::time::{Duration, Instant};

/// The phase of the connection, and the rules for its deadlines and pauses.
#[derive(Debug)]
pub(super) struct ConnectionState {
    phase: Phase,
    /// Attempts since a connection last stood for longer than the base pause. A connection that the server closes at
    /// once counts as a failure too.
    failures: u32,
    /// Attempts since the last session.
    attempts: u32,
    /// Refused handshakes since the last session.
    refusals: u32,
    backoff: Backoff,
    ping_grace: Duration,
    random: Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The program is asked for a token.
    Preparing,
    Connecting {
        until: Instant,
    },
    /// Connected; the welcome has not come yet.
    Greeting {
        until: Instant,
    },
    Ready {
        since: Instant,
        heard: Instant,
        idle_timeout: Option<Duration>,
    },
    /// The server has announced that it will close.
    Leaving {
        until: Instant,
        back_at: Option<Instant>,
    },
    Waiting {
        until: Instant,
    },
    Closed,
}

/// What a passed deadline means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The pause is over: connect.
    Connect,
    /// The server did not do what it had to do in time.
    GiveUp(&'static str),
}

impl ConnectionState {
    pub(super) fn new(config: &Config, random: Random) -> Self {
        Self {
            phase: Phase::Idle,
            failures: 0,
            attempts: 0,
            refusals: 0,
            backoff: config.backoff,
            ping_grace: config.ping_grace,
            random,
        }
    }

    /// Begins an attempt. First the program must give a token.
    pub(super) fn prepare(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Preparing;
    }

    /// Begins the same attempt once more, with another token.
    pub(super) fn prepare_again(&mut self) {
        self.phase = Phase::Preparing;
    }

    /// Makes an attempt, which may take so long.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        timeout: Duration,
        token: Option<AccessToken>,
        effects: &mut Effects,
    ) {
        if !self.is_preparing() {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.phase = Phase::Connecting { until: after(now, timeout) };
        effects.push(Effect::Connect(token));
    }

    pub(super) fn connected(&mut self) {
        if let Phase::Connecting { until } = self.phase {
            self.phase = Phase::Greeting { until };
        }
    }

    /// Takes the welcome; `false` if it was not expected. With `ping` zero the server never pings.
    pub(super) fn welcomed(&mut self, now: Instant, ping: Duration) -> bool {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return false;
        }
        let idle_timeout = (!ping.is_zero()).then(|| ping.saturating_add(self.ping_grace));
        self.phase = Phase::Ready { since: now, heard: now, idle_timeout };
        (self.attempts, self.refusals) = (0, 0);
        true
    }

    pub(super) fn heard(&mut self, now: Instant) {
        if let Phase::Ready { heard, .. } = &mut self.phase {
            *heard = now;
        }
    }

    /// The server announces that it will close. It may name a time after which the client is to connect again.
    pub(super) fn leave(&mut self, now: Instant, come_back_in: Option<Duration>) {
        if !self.has_frames() {
            return;
        }
        self.reset_backoff(now);
        let until = match self.phase {
            // A repeated announcement does not extend the time for closing.
            Phase::Leaving { until, .. } => until,
            _ => after(now, self.ping_grace),
        };
        self.phase = Phase::Leaving { until, back_at: come_back_in.map(|pause| after(now, pause)) };
    }

    /// The connection is gone, or was not made: waits until the time that the server named, and then for a random
    /// pause.
    pub(super) fn lost(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.reset_backoff(now);
        let (earliest, pause) = match (self.phase, retry_after) {
            // A server that announces its closing spreads its clients itself, by a different time for each. So the
            // first attempt needs no random pause.
            (Phase::Leaving { back_at: Some(at), .. }, _) if self.failures == 0 => (at.max(now), Duration::ZERO),
            (Phase::Leaving { back_at: Some(at), .. }, _) => (at.max(now), self.pause(self.failures)),
            (_, named) => (after(now, named.unwrap_or_default()), self.pause(self.failures)),
        };
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting { until: after(earliest, pause) };
    }

    /// The handshake was refused: waits for a time that doubles with each refusal, of which the first half is certain.
    pub(super) fn refused(&mut self, now: Instant) {
        self.refusals = self.refusals.saturating_add(1);
        let half = pause_after_refusals(self.refusals, &self.backoff) / 2;
        let pause = half + self.random.up_to(half);
        self.phase = Phase::Waiting { until: after(now, pause) };
    }

    /// Forgets earlier failures if the connection stood for at least the base pause.
    fn reset_backoff(&mut self, now: Instant) {
        if let Phase::Ready { since, .. } = self.phase
            && now >= after(since, self.backoff.base)
        {
            self.failures = 0;
        }
    }

    /// Closes the connection, if there is one, for good.
    pub(super) fn close(&mut self, code: CloseCode, effects: &mut Effects) {
        if self.is_open() {
            effects.push(Effect::Close(code));
        }
        self.phase = Phase::Closed;
    }

    /// A random part of a duration.
    pub(super) fn share_of(&mut self, longest: Duration) -> Duration {
        self.random.up_to(longest)
    }

    /// A random pause, at most the bound for this many failures.
    pub(super) fn pause(&mut self, failures: u32) -> Duration {
        self.random.up_to(self.backoff.longest(failures))
    }

    pub(super) fn due(&self, now: Instant) -> Option<Due> {
        self.timeout().filter(|at| *at <= now)?;
        Some(match self.phase {
            Phase::Waiting { .. } => Due::Connect,
            Phase::Connecting { .. } | Phase::Greeting { .. } => Due::GiveUp("the server did not answer in time"),
            _ => Due::GiveUp("the server fell silent"),
        })
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle | Phase::Preparing | Phase::Closed => None,
            Phase::Ready { heard, idle_timeout, .. } => idle_timeout.map(|idle_timeout| after(heard, idle_timeout)),
            Phase::Connecting { until }
            | Phase::Greeting { until }
            | Phase::Leaving { until, .. }
            | Phase::Waiting { until } => Some(until),
        }
    }

    /// Whether an attempt waits for a token.
    pub(super) fn is_preparing(&self) -> bool {
        self.phase == Phase::Preparing
    }

    /// Whether requests may be sent.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Whether frames can be received.
    pub(super) fn has_frames(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. } | Phase::Ready { .. } | Phase::Leaving { .. })
    }

    /// Whether the next attempt can be made at once: it was the first, or it only waits.
    pub(super) fn may_connect(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Waiting { .. })
    }

    /// Whether there is a connection, or an attempt to make one.
    pub(super) fn is_open(&self) -> bool {
        self.has_frames() || matches!(self.phase, Phase::Connecting { .. })
    }

    /// The number of attempts since the last session.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The number of refused handshakes since the last session.
    pub(super) fn refusals(&self) -> u32 {
        self.refusals
    }

    /// The time of the next attempt, if it waits for it.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// The state for the program; `None` before the first attempt and after the end.
    pub(super) fn state(&self) -> Option<State> {
        match self.phase {
            Phase::Idle | Phase::Closed => None,
            Phase::Preparing | Phase::Connecting { .. } | Phase::Greeting { .. } => Some(State::Connecting),
            Phase::Ready { .. } | Phase::Leaving { .. } => Some(State::Connected),
            Phase::Waiting { .. } => Some(State::Waiting),
        }
    }
}

/// The time `duration` after `now`, at most [`MAX_WAIT`] later, so that it cannot overflow.
pub(super) fn after(now: Instant, duration: Duration) -> Instant {
    now + duration.min(MAX_WAIT)
}

const MAX_WAIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
