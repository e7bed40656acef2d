//! What a turn puts out, for the connections of this worker.

use super::PubSub;
use super::address::{is_caller, slot_of, worker_of};
use super::mail::{Describe, RemoteOutput};
use super::turn_output::{Output, TurnOutput};
use crate::encode::batch::Batch;
use crate::worker::delivery::Recipient;
use crate::worker::outbound::Outbound;
use hubcast_hub::SessionId;
use hubcast_protocol::Slow;
use std::time::Instant;

impl PubSub {
    /// Carries out what came from the turn of another worker.
    pub(super) fn carry_out_remote(&mut self, number: u32, output: RemoteOutput, now: Instant, out: &mut Outbound<'_>) {
        match output {
            RemoteOutput::Send { slot, event } if is_caller(slot) => self.callers.take_event(slot, event),
            RemoteOutput::History { slot, answer } if is_caller(slot) => self.callers.take_history(slot, answer),
            RemoteOutput::Close { slot, code, .. } if is_caller(slot) => self.callers.close(slot, code),
            RemoteOutput::Operated { slot, id, sessions } => self.callers.take_operated(slot, &id, sessions),
            RemoteOutput::Describe(Describe { slots, answer }) => {
                // Nobody hears it if the operator no longer waits.
                let _ = answer.send(slots.iter().map(|slot| out.facts(*slot)).collect());
            }
            RemoteOutput::Send { slot, event } => out.push_event(slot, &event),
            RemoteOutput::Notify { event, slots } => {
                slots.iter().for_each(|(slot, slow)| out.push_shared(*slot, *slow, &event));
            }
            RemoteOutput::History { slot, answer } => out.push_history(slot, &answer),
            RemoteOutput::Close { slot, code, reason } => out.close(slot, code, &reason),
            RemoteOutput::Replay { slot, missed } => out.push_replay(slot, &missed, &mut self.replay_cache),
            RemoteOutput::Pause { publisher, bytes } => self.slow_down(publisher, bytes, now, out),
            RemoteOutput::Unblock(wait) => {
                self.blocked.remove(wait);
                self.release(wait.slot, out);
            }
            RemoteOutput::Deliver { frames, slots, publishers } => {
                if self.deliver(number, &frames, slots, out) {
                    let bytes = frames.bytes() / publishers.len().max(1);
                    publishers.iter().for_each(|publisher| *self.to_pause.entry(*publisher).or_default() += bytes);
                }
            }
        }
    }

    /// Carries out the answers to connections that get nothing else before them in this turn. Called before all mail
    /// and fan-outs, so that an answer does not wait for these. The outputs of a turn are numbered as in the
    /// [`FlushPlan`]: first the mail, then what the turn's own inputs caused, from `first` on.
    pub(super) fn answer(&self, first: u32, turn_output: &TurnOutput, out: &mut Outbound<'_>) {
        for (number, output) in (first..).zip(turn_output.outputs()) {
            if self.flush_plan.is_answer(number) {
                self.carry_out_answer(number, &output, out);
            }
        }
    }

    /// Queues an answer, and writes it at once if the turn has nothing more for its connection.
    fn carry_out_answer(&self, number: u32, output: &Output<'_>, out: &mut Outbound<'_>) {
        let slot = match output {
            Output::Send { session, event } => {
                out.push_event(slot_of(*session), event);
                slot_of(*session)
            }
            Output::Pong { slot, pong } => {
                out.push(*slot, pong);
                *slot
            }
            _ => return,
        };
        if self.flush_plan.is_last(slot, number) {
            out.flush(slot);
        }
    }

    /// Carries out what the turn's own inputs caused, but for the answers that are carried out already.
    pub(super) fn carry_out(&mut self, first: u32, turn_output: &TurnOutput, now: Instant, out: &mut Outbound<'_>) {
        let worker = self.worker;
        let here = |session: SessionId| worker_of(session) == worker;
        for (number, output) in (first..).zip(turn_output.outputs()) {
            match output {
                // Carried out already, in `answer`.
                Output::Send { .. } | Output::Pong { .. } if self.flush_plan.is_answer(number) => {}
                Output::Pong { .. } => self.carry_out_answer(number, &output, out),
                Output::Send { session, .. } if here(session) => self.carry_out_answer(number, &output, out),
                Output::Ending { slot, ending } => out.end(slot, ending),
                Output::History { session, answer } if here(session) => out.push_history(slot_of(session), answer),
                Output::Close { session, code, reason } if here(session) => out.close(slot_of(session), code, reason),
                Output::Replay { session, missed } if here(session) => {
                    out.push_replay(slot_of(session), missed, &mut self.replay_cache);
                }
                Output::Deliver { broadcast, receivers } => {
                    let receivers = receivers.iter().filter(|to| here(to.session));
                    let receivers = receivers.map(|to| (slot_of(to.session), to.slow));
                    if self.deliver(number, &broadcast.frames, receivers, out) {
                        let bytes = broadcast.frames.bytes() / broadcast.publishers.len();
                        broadcast.publishers.iter().for_each(|of| self.slow_down(slot_of(*of), bytes, now, out));
                    }
                }
                Output::Notify { notification, receivers } => {
                    let receivers = receivers.iter().filter(|to| here(to.session));
                    receivers.for_each(|to| out.push_shared(slot_of(to.session), to.slow, &notification.event));
                }
                Output::Send { .. }
                | Output::Close { .. }
                | Output::Replay { .. }
                | Output::History { .. }
                | Output::Operated { .. } => {}
            }
        }
    }

    /// Hands a batch to each receiver; says whether one of them is far behind.
    fn deliver(
        &self,
        number: u32,
        frames: &Batch,
        to: impl IntoIterator<Item = (u32, Slow)>,
        out: &mut Outbound<'_>,
    ) -> bool {
        let to = to.into_iter().map(|(slot, slow)| {
            let is_last = self.flush_plan.is_last(slot, number);
            Recipient { slot, slow, is_last }
        });
        out.deliver(frames, to)
    }
}
