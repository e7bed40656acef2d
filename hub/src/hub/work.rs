//! Inputs that take too long for one call are done in parts.
//!
//! At most one input is unfinished at a time. It continues when its session has a turn again, and also whenever
//! another session hands in an input that must wait for it: that session's turn is then spent on the unfinished
//! input. So the unfinished input ends, however rarely its own session is served.

use super::delivery::{Matched, NODE_NS};
use super::pending::{Continuation, Pending, PendingSubscribe};
use super::{Hub, INPUT_NS};
use crate::effect::MEMBER_NS;
use crate::engine::{Engine, EngineRequest};
use crate::patterns::Walk;
use crate::session::Session;
use crate::subscriptions::Listing;
use crate::{Effects, Input, SessionId, Unfinished};
use hubcast_protocol::request::{Action, Publish, Start, Subscribe};
use hubcast_protocol::{Event, Request, RequestId, Target, Topic};
use std::mem;
use std::time::Instant;

/// An input that is unfinished.
#[derive(Debug)]
pub(super) struct UnfinishedInput {
    session: SessionId,
    work: Work,
}

/// The rest of an unfinished input.
#[derive(Debug)]
pub(super) enum Work {
    /// Find the receivers of a publication. It has not taken effect yet. Until it has, no session may subscribe or
    /// unsubscribe.
    Publish { id: Option<RequestId>, publish: Publish, search: Search },
    /// Collect the publications that a subscription has missed.
    Open { id: Option<RequestId>, subscribe: PendingSubscribe, rest: EngineRequest },
    /// Review the first `left` subscriptions of a session, then send the answer, if there is one.
    Review { left: usize, answer: Option<Box<Event>> },
    /// Send `leave` for a session that is gone. The topics are taken from the end of the list.
    Leave { gone: Session, topics: Vec<Topic>, lost: bool },
}

/// The progress of a search for the receivers of a publication.
#[derive(Debug)]
pub(super) enum Search {
    Match(Walk),
    List(Listing, Walk),
}

impl<E: Engine> Hub<E> {
    /// Takes one input and does about a quarter of a millisecond of its work, or somewhat more: see
    /// [`Settings::work_at_once`](crate::Settings::work_at_once).
    ///
    /// # Errors
    /// When work is left. Hand in [`Unfinished::next`] after other sessions had their turn; hand in nothing else of
    /// that session before.
    ///
    /// # Panics
    /// As [`handle`](Hub::handle) does.
    pub fn begin(&mut self, now: Instant, input: Input, effects: &mut Effects) -> Result<(), Unfinished> {
        effects.add_work(INPUT_NS);
        match session_of(&input) {
            Some(session) if self.begun.is_none() => {
                self.take(now, input, effects);
                self.is_finished(session)
            }
            Some(session) => self.begin_beside(now, session, input, effects),
            None => {
                self.at_once(now, effects, |hub, effects| hub.take(now, input, effects));
                Ok(())
            }
        }
    }

    /// As `begin`, while another input is unfinished, or to continue that input.
    #[cold]
    fn begin_beside(
        &mut self,
        now: Instant,
        session: SessionId,
        input: Input,
        effects: &mut Effects,
    ) -> Result<(), Unfinished> {
        if !self.has_to_wait(&input, session, effects) {
            self.take(now, input, effects);
            return Ok(());
        }
        let worked_for = self.begun.as_ref().map_or(session, |begun| begun.session);
        self.go_on(now, effects);
        match input {
            Input::Continue { .. } => self.is_finished(session),
            next => Err(Unfinished { next: Box::new(next), worked_for }),
        }
    }

    /// Takes one input to its end, after the unfinished input before it, if there is one.
    pub(super) fn finish(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        let mut next = Some(input);
        while let Some(input) = next {
            next = self.begin(now, input, effects).err().map(|unfinished| *unfinished.next);
        }
    }

    /// Stores work as unfinished, because it is too much for this call. Only one input can be unfinished: if there is
    /// one already, this work is done to its end now.
    pub(super) fn suspend(&mut self, now: Instant, session: SessionId, work: Work, effects: &mut Effects) {
        let before = self.begun.replace(UnfinishedInput { session, work });
        if self.is_at_once || before.is_some() {
            self.end(now, effects);
            self.begun = before;
        }
    }

    /// Starts a search for the receivers of a publication, if that takes long. If it returns `None`, all matching
    /// patterns are found.
    pub(super) fn search(&mut self, topic: &Topic, except: Option<u32>, effects: &mut Effects) -> Option<Search> {
        let (nodes, members) = (self.most_nodes(), self.most_members());
        if !self.find(topic, nodes, effects) {
            self.matched.topic = None;
            return Some(Search::Match(mem::take(&mut self.matched.walk)));
        }
        self.are_many(topic, except, members, effects).then(|| {
            self.matched.topic = None;
            let walk = mem::take(&mut self.matched.walk);
            Search::List(self.listing(topic, &walk, except), walk)
        })
    }

    /// Runs `act` with all that it causes to its end, without splitting the work.
    fn at_once(&mut self, now: Instant, effects: &mut Effects, act: impl FnOnce(&mut Self, &mut Effects)) {
        self.end(now, effects);
        self.is_at_once = true;
        act(self, effects);
        self.is_at_once = false;
    }

    fn end(&mut self, now: Instant, effects: &mut Effects) {
        while self.begun.is_some() {
            self.go_on(now, effects);
        }
    }

    fn is_finished(&self, session: SessionId) -> Result<(), Unfinished> {
        match &self.begun {
            Some(begun) if begun.session == session => {
                Err(Unfinished { next: Box::new(Input::Continue { session }), worked_for: session })
            }
            _ => Ok(()),
        }
    }

    /// Whether an input must wait for the unfinished one: every further input of its own session, and an input of another
    /// session that would be long work too, or that would change what a search is looking through. Collecting what a
    /// pattern has missed can always be long.
    fn has_to_wait(&mut self, input: &Input, session: SessionId, effects: &mut Effects) -> bool {
        let Some(begun) = self.begun.as_ref().filter(|begun| begun.session != session) else { return true };
        let is_search = matches!(begun.work, Work::Publish { .. });
        match input {
            Input::Closed { .. } => is_search || self.tells_many(session),
            Input::Request { request: Ok(Request { action, .. }), .. } => match action {
                Action::Publish(publish) => self.takes_long(session, publish, effects),
                Action::Subscribe(Subscribe { target: Target::Pattern(_), start: Start::AfterEach(_), .. }) => true,
                Action::Subscribe(_) | Action::Unsubscribe(_) => is_search,
                Action::Ping
                | Action::History(_)
                | Action::Presence(_)
                | Action::Identify(_)
                | Action::Authenticate(_) => false,
            },
            // A renewed token may end subscriptions, and an operation changes those of other sessions.
            Input::Authenticate { .. } | Input::Operate { .. } => true,
            _ => false,
        }
    }

    /// Whether this publication needs a search. What was found is kept for the next caller.
    fn takes_long(&mut self, session: SessionId, publish: &Publish, effects: &mut Effects) -> bool {
        let Publish { topic, echo, .. } = publish;
        let except = self.by_id.get(&session).copied().filter(|_| !echo);
        let (nodes, members) = (self.most_nodes(), self.most_members());
        !self.find(topic, nodes, effects) || self.are_many(topic, except, members, effects)
    }

    /// Whether the `leave` events of this session have more receivers than one call allows.
    fn tells_many(&self, session: SessionId) -> bool {
        let Some(&session) = self.by_id.get(&session) else { return false };
        let announced = self.present_in(session).iter().map(|topic| self.watchers(topic)).sum::<usize>();
        announced > self.max_announced()
    }

    /// Does the next part.
    fn go_on(&mut self, now: Instant, effects: &mut Effects) {
        let Some(UnfinishedInput { session, work }) = self.begun.take() else { return };
        match work {
            Work::Publish { id, publish, search } => {
                // The author is still connected: its `Closed` waits for this work.
                if let Some(&author) = self.by_id.get(&session) {
                    let except = (!publish.echo).then_some(author);
                    match self.go_on_searching(&publish.topic, except, search, effects) {
                        Some(search) => {
                            self.begun = Some(UnfinishedInput { session, work: Work::Publish { id, publish, search } });
                        }
                        None => self.publish_now(now, author, id, publish, effects),
                    }
                }
            }
            Work::Open { id, subscribe, rest } => {
                if let Some(&listener) = self.by_id.get(&session) {
                    self.ask_engine(
                        now,
                        Pending::new(Some(listener), id, Continuation::Subscribe(subscribe)),
                        rest,
                        effects,
                    );
                }
            }
            Work::Review { left, answer } => {
                if let Some(&session) = self.by_id.get(&session) {
                    self.review(now, session, left, answer, effects);
                }
            }
            Work::Leave { gone, topics, lost } => self.announce_gone(now, session, gone, topics, lost, effects),
        }
    }

    /// Continues a search. Returns the rest of it, if any.
    fn go_on_searching(
        &mut self,
        topic: &Topic,
        except: Option<u32>,
        search: Search,
        effects: &mut Effects,
    ) -> Option<Search> {
        match search {
            Search::Match(mut walk) => {
                let looked_at = walk.go_on(&self.patterns, topic, self.most_nodes());
                effects.add_work(NODE_NS * looked_at as u64);
                Some(match walk.is_over() {
                    true => Search::List(self.listing(topic, &walk, except), walk),
                    false => Search::Match(walk),
                })
            }
            Search::List(mut listing, walk) => {
                let looked_at = listing.go_on(&self.subscriptions, self.most_members());
                effects.add_work(MEMBER_NS * looked_at as u64);
                if !listing.is_over() {
                    return Some(Search::List(listing, walk));
                }
                let number = self.matched.number + 1;
                self.matched = Matched { topic: Some(topic.clone()), walk, version: self.patterns.version(), number };
                effects.keep_list(self.list_key(topic, except), listing.into_receivers());
                None
            }
        }
    }

    /// The most nodes of the pattern trie to look at in one call.
    fn most_nodes(&self) -> usize {
        self.at_a_time(NODE_NS)
    }

    /// The most members to look at in one call, for a publication to several channels. The members of a single
    /// channel are copied in negligible time.
    fn most_members(&self) -> usize {
        self.at_a_time(MEMBER_NS)
    }

    /// The most receivers of `leave` events in one call.
    pub(super) fn max_announced(&self) -> usize {
        self.at_a_time(MEMBER_NS).min(MAX_ANNOUNCED)
    }

    /// How many items of work, at `each` nanoseconds, may be done in one call.
    pub(super) fn at_a_time(&self, each: u64) -> usize {
        match self.is_at_once {
            true => usize::MAX,
            false => usize::try_from(self.settings.work_at_once / each).unwrap_or(usize::MAX).max(1),
        }
    }
}

/// The session that an input belongs to.
fn session_of(input: &Input) -> Option<SessionId> {
    match input {
        Input::Connect { session, .. }
        | Input::Request { session, .. }
        | Input::Disconnect { session, .. }
        | Input::Closed { session, .. }
        | Input::Authenticate { session, .. }
        | Input::Operate { session, .. }
        | Input::Review { session }
        | Input::Continue { session } => Some(*session),
        Input::Reply(_) => None,
    }
}

/// The number of receivers of `leave` events after which a call sends no further `leave`. A single event may have
/// more receivers.
pub(super) const MAX_ANNOUNCED: usize = 4096;
