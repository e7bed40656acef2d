//! The deadlines of a connection: when they must be checked, and what to do then.

use super::unread::later_by_overlap;
use super::{Connection, ConnectionState, NOT_ARMED, Phase};
use crate::config::Config;
use hubcast_protocol::CloseCode;
use std::time::{Duration, Instant};

/// What to do after the deadlines were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerAction {
    /// Nothing before this time.
    At(Instant),
    /// Nothing at all.
    Never,
    Ping,
    Close(CloseCode, &'static str),
    /// The socket took nothing for the write timeout. The worker decides whether that is allowed.
    Stalled,
    Abort,
}

impl Connection {
    /// Sets the tick at which to check the deadlines, if it is earlier than the one set. Returns whether it was.
    pub(crate) fn arm(&self, tick: u64) -> bool {
        let armed = &mut self.state.borrow_mut().armed;
        let earlier = tick < *armed;
        if earlier {
            *armed = tick;
        }
        earlier
    }

    /// Checks the deadlines; called when the timer for `tick` has fired. A time that began before `stall_ended` starts
    /// again at `stall_ended`.
    pub(crate) fn due(&self, tick: u64, now: Instant, stall_ended: Instant, config: &Config) -> TimerAction {
        let mut state = self.state.borrow_mut();
        if state.armed == tick {
            state.armed = NOT_ARMED;
        }
        state.due(now, stall_ended, config, self.ping_after(config))
    }

    /// When to check the deadlines next.
    pub(crate) fn next_deadline(&self, now: Instant, stall_ended: Instant, config: &Config) -> Option<Instant> {
        match self.state.borrow().due(now, stall_ended, config, self.ping_after(config)) {
            TimerAction::At(at) => Some(at),
            TimerAction::Never => None,
            TimerAction::Ping | TimerAction::Close(..) | TimerAction::Stalled | TimerAction::Abort => Some(now),
        }
    }

    /// Notes that a ping is sent now. Frees memory of the outbox that a quiet connection does not need.
    pub(crate) fn note_ping(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        match self.stream.is_some() {
            // The reader of a stream does not answer. If it is gone, the system notices that it acknowledges nothing.
            true => state.last_frame_at = now.into(),
            false => state.ping_sent_at = Some(now.into()),
        }
        state.outbox.release();
    }

    /// The time after which a quiet connection gets a ping, or a stream its heartbeat.
    fn ping_after(&self, config: &Config) -> Duration {
        if self.stream.is_some() { config.timeouts.heartbeat } else { config.timeouts.ping }
    }
}

impl ConnectionState {
    fn due(&self, now: Instant, stall_ended: Instant, config: &Config, ping_after: Duration) -> TimerAction {
        let times = &config.timeouts;
        let if_stalled = if self.phase == Phase::Open { TimerAction::Stalled } else { TimerAction::Abort };
        // The write timeout goes on while a connection is not read: the client can read all the time.
        let stalled = self.write_blocked.map(|since| (since.instant().max(stall_ended) + times.write, if_stalled));
        let phase = match self.phase {
            Phase::Open => match self.ping_sent_at {
                Some(since) => {
                    let end = self.end_of_patience(since.instant(), times.pong, now, stall_ended);
                    (end, TimerAction::Close(CloseCode::PING_TIMEOUT, "no answer to a ping"))
                }
                None => (self.last_frame_at.instant() + ping_after, TimerAction::Ping),
            },
            Phase::Closing { since, took, .. } | Phase::Agreed { since, took } => {
                let in_all = since.instant().max(stall_ended) + times.close * MAX_CLOSE_TIMEOUTS;
                (in_all.min(took.instant().max(stall_ended) + times.close), TimerAction::Abort)
            }
            Phase::Lingering { dropped, .. } if dropped > config.linger_bytes => (now, TimerAction::Abort),
            Phase::Lingering { since, .. } => (since.instant() + times.linger, TimerAction::Abort),
            Phase::Aborted => return TimerAction::Never,
        };
        let message = match (self.phase, self.unfinished_since) {
            (Phase::Open, Some(since)) => {
                let end = self.end_of_patience(since.instant(), times.message, now, stall_ended);
                Some((end, TimerAction::Close(CloseCode::POLICY, "a message took too long")))
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
        // A frame that comes now makes the next ping due `ping` after it, which may be before this deadline.
        let next_ping = self.ping_sent_at.filter(|_| self.phase == Phase::Open).map(|_| now + ping_after);
        TimerAction::At(next_ping.map_or(at, |next_ping| next_ping.min(at)))
    }

    /// When the client must have sent what it owes since `since`. The time in which the connection was not read does
    /// not count.
    fn end_of_patience(&self, since: Instant, time: Duration, now: Instant, stall_ended: Instant) -> Instant {
        match self.unread_since {
            // A client is never closed before all that it has sent is read. While it is not read, the deadline moves
            // with `now`, and is at least `RETRY_AFTER` away.
            Some(unread_since) => {
                let since = later_by_overlap(since, unread_since.instant(), now);
                (since.max(stall_ended) + time).max(now + RETRY_AFTER)
            }
            None => since.max(stall_ended) + time,
        }
    }
}

/// The whole close may take this many times its timeout, for a client that takes the waiting bytes little by little.
const MAX_CLOSE_TIMEOUTS: u32 = 10;

/// When to check again a connection that is not read and whose time is over.
const RETRY_AFTER: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_time_of_a_message_goes_on_where_it_stood_still() {
        let start = Instant::now();
        let mut config = Config::default();
        (config.timeouts.message, config.timeouts.ping) = (SECOND * 10, SECOND * 1000);
        let mut state = ConnectionState::new(start);
        state.unfinished_since = Some(start.into());
        let due = |state: &ConnectionState, seconds| {
            state.due(start + SECOND * seconds, start, &config, config.timeouts.ping)
        };
        for (is_reading_stopped, is_pausing, seconds) in
            [(false, true, 4), (true, true, 6), (true, false, 7), (false, false, 9)]
        {
            (state.is_reading_stopped, state.is_pausing) = (is_reading_stopped, is_pausing);
            state.note_whether_read(start + SECOND * seconds);
            assert!(matches!(due(&state, seconds), TimerAction::At(_)));
        }
        assert_eq!(
            due(&state, 14),
            TimerAction::At(start + SECOND * 15),
            "from the fourth to the ninth it was not read"
        );
        assert!(matches!(due(&state, 15), TimerAction::Close(CloseCode::POLICY, _)));
        state.is_reading_stopped = true;
        state.note_whether_read(start + SECOND * 15);
        assert!(matches!(due(&state, 100), TimerAction::At(_)), "nobody is judged while it is not read");
    }
}
