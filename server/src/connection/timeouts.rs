//! When a connection wants to be looked at, and what is due then.

use super::unread::later_by_overlap;
use super::{Connection, Phase, State};
use crate::config::Config;
use hubcast_protocol::CloseCode;
use std::time::{Duration, Instant};

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerAction {
    /// Nothing before this.
    At(Instant),
    /// Nothing at all.
    Never,
    Ping,
    Close(CloseCode, &'static str),
    /// The socket took nothing for too long, unless that may be.
    Stalled,
    Abort,
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
    pub(crate) fn due(&self, tick: u64, now: Instant, resumed: Instant, config: &Config) -> TimerAction {
        let mut state = self.state.borrow_mut();
        if state.armed == Some(tick) {
            state.armed = None;
        }
        state.due(now, resumed, config)
    }

    /// When to look at the deadlines next.
    pub(crate) fn next_deadline(&self, now: Instant, resumed: Instant, config: &Config) -> Option<Instant> {
        match self.state.borrow().due(now, resumed, config) {
            TimerAction::At(at) => Some(at),
            TimerAction::Never => None,
            TimerAction::Ping | TimerAction::Close(..) | TimerAction::Stalled | TimerAction::Abort => Some(now),
        }
    }

    /// Notes that a ping is sent now, and gives back room that a quiet connection does not need.
    pub(crate) fn note_ping(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.ping_sent_at = Some(now);
        state.outbox.release();
    }
}

impl State {
    fn due(&self, now: Instant, resumed: Instant, config: &Config) -> TimerAction {
        let times = &config.timeouts;
        let if_stalled = if self.phase == Phase::Open { TimerAction::Stalled } else { TimerAction::Abort };
        // While a peer is not read its time to say something stands still, but not its time to take something.
        let stalled = self.blocked.map(|since| (since.max(resumed) + times.write, if_stalled));
        let phase = match self.phase {
            Phase::Open => match self.ping_sent_at {
                Some(since) => {
                    let end = self.end_of_patience(since, times.pong, now, resumed);
                    (end, TimerAction::Close(CloseCode::PING_TIMEOUT, "no answer to a ping"))
                }
                None => (self.last_frame_at + times.ping, TimerAction::Ping),
            },
            Phase::Closing { since, took, .. } | Phase::Agreed { since, took } => {
                let in_all = since.max(resumed) + times.close * MAX_CLOSE_TIMEOUTS;
                (in_all.min(took.max(resumed) + times.close), TimerAction::Abort)
            }
            Phase::Lingering { dropped, .. } if dropped > config.linger_bytes => (now, TimerAction::Abort),
            Phase::Lingering { since, .. } => (since + times.linger, TimerAction::Abort),
            Phase::Aborted => return TimerAction::Never,
        };
        let message = match (self.phase, self.unfinished_since) {
            (Phase::Open, Some(since)) => {
                let end = self.end_of_patience(since, times.message, now, resumed);
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
        // Whatever comes meanwhile moves the next ping to `ping` after it, which may be before the answer is due.
        let next_ping = self.ping_sent_at.filter(|_| self.phase == Phase::Open).map(|_| now + times.ping);
        TimerAction::At(next_ping.map_or(at, |next_ping| next_ping.min(at)))
    }

    /// When a peer has had so long to say something that it owes `since`, not counting the time in which it is not read.
    fn end_of_patience(&self, since: Instant, time: Duration, now: Instant, resumed: Instant) -> Instant {
        match self.unread_since {
            // Nobody is judged before all that it has sent is read; how soon that can be is the time that it has left.
            Some(unread_since) => {
                let since = later_by_overlap(since, unread_since, now);
                (since.max(resumed) + time).max(now + RETRY_AFTER)
            }
            None => since.max(resumed) + time,
        }
    }
}

/// How many times the time for a close it may take in all, where the peer takes what waits for it little by little.
const MAX_CLOSE_TIMEOUTS: u32 = 10;

/// When to look again at a peer that is not read and has no time left.
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
        let mut state = State::new(start);
        state.unfinished_since = Some(start);
        let due = |state: &State, seconds| state.due(start + SECOND * seconds, start, &config);
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
