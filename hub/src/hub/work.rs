//! What takes too long to be done at once is done in pieces.
//!
//! One input at a time is unfinished. It goes on when its session has a turn again, and whenever somebody else hands in
//! what has to wait for it: who waits works for it, so that it ends however rarely its own session is served.

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
use hubcast_protocol::{Request, RequestId, Target, Topic};
use std::mem;
use std::time::Instant;

/// An input that is unfinished.
#[derive(Debug)]
pub(super) struct UnfinishedInput {
    session: SessionId,
    work: Work,
}

/// What is left to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Find out who is to hear a publication. It has not taken effect yet, and until it has, nobody comes to listen
    /// anywhere or stops.
    Publish { id: Option<RequestId>, publish: Publish, search: Search },
    /// Collect what a subscription has missed.
    Open { id: Option<RequestId>, subscribe: PendingSubscribe, rest: EngineRequest },
    /// Tell of one who is gone; the next topic is the last.
    Leave { gone: Session, topics: Vec<Topic>, lost: bool },
}

/// How far the search has come for those who are to hear a publication.
#[derive(Debug)]
pub(super) enum Search {
    Match(Walk),
    List(Listing, Walk),
}

impl<E: Engine> Hub<E> {
    /// Takes one input and does of it what takes a quarter of a millisecond, or some more: see
    /// [`Settings::work_at_once`](crate::Settings::work_at_once).
    ///
    /// # Errors
    /// When something is left to be done. Hand in what it says when others have had their turn, and until then nothing
    /// else of that session.
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

    /// The same while another input is unfinished, or what goes on with that.
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

    /// Takes one input to its end, with whatever is unfinished before it.
    pub(super) fn finish(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        let mut next = Some(input);
        while let Some(input) = next {
            next = self.begin(now, input, effects).err().map(|unfinished| *unfinished.next);
        }
    }

    /// Leaves over what is too much for now.
    pub(super) fn suspend(&mut self, now: Instant, session: SessionId, work: Work, effects: &mut Effects) {
        let before = self.begun.replace(UnfinishedInput { session, work });
        if self.is_at_once || before.is_some() {
            self.end(now, effects);
            self.begun = before;
        }
    }

    /// Begins a search for those who are to hear a publication, if that takes long. If not, all patterns are found that
    /// match.
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

    /// Does something with all that it causes to the end.
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

    /// Whether an input has to wait for the one that is unfinished.
    fn has_to_wait(&mut self, input: &Input, session: SessionId, effects: &mut Effects) -> bool {
        let Some(begun) = self.begun.as_ref().filter(|begun| begun.session != session) else { return true };
        let is_search = matches!(begun.work, Work::Publish { .. });
        match input {
            Input::Closed { .. } => is_search || self.tells_many(session),
            Input::Request { request: Ok(Request { action, .. }), .. } => match action {
                Action::Publish(publish) => self.takes_long(session, publish, effects),
                Action::Subscribe(Subscribe { target: Target::Pattern(_), start: Start::AfterEach(_), .. }) => true,
                Action::Subscribe(_) | Action::Unsubscribe(_) => is_search,
                Action::Ping | Action::History(_) | Action::Presence(_) => false,
            },
            _ => false,
        }
    }

    /// Whether a search begins with this publication. What was found is kept for the next who asks.
    fn takes_long(&mut self, session: SessionId, publish: &Publish, effects: &mut Effects) -> bool {
        let Publish { topic, echo, .. } = publish;
        let except = self.by_id.get(&session).copied().filter(|_| !echo);
        let (nodes, members) = (self.most_nodes(), self.most_members());
        !self.find(topic, nodes, effects) || self.are_many(topic, except, members, effects)
    }

    /// Whether more are told that this session is gone than at once.
    fn tells_many(&self, session: SessionId) -> bool {
        let Some(&session) = self.by_id.get(&session) else { return false };
        let told = self.present_in(session).iter().map(|topic| self.watchers(topic)).sum::<usize>();
        told > self.most_told()
    }

    /// Does a piece.
    fn go_on(&mut self, now: Instant, effects: &mut Effects) {
        let Some(UnfinishedInput { session, work }) = self.begun.take() else { return };
        match work {
            Work::Publish { id, publish, search } => {
                // It is connected: who goes has to wait.
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
            Work::Leave { gone, topics, lost } => self.announce_gone(now, session, gone, topics, lost, effects),
        }
    }

    /// Goes on with a search; gives what is left of it.
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

    /// Nodes of the pattern trie that are looked at at once.
    fn most_nodes(&self) -> usize {
        self.at_a_time(NODE_NS)
    }

    /// Members that are looked at at once, of several subscriptions: those of a single one are copied in no time.
    fn most_members(&self) -> usize {
        self.at_a_time(MEMBER_NS)
    }

    /// Receivers that are told at once.
    pub(super) fn most_told(&self) -> usize {
        self.at_a_time(MEMBER_NS).min(MAX_ANNOUNCED)
    }

    /// Things that may be done at once, each of which takes so many nanoseconds.
    fn at_a_time(&self, each: u64) -> usize {
        match self.is_at_once {
            true => usize::MAX,
            false => usize::try_from(self.settings.work_at_once / each).unwrap_or(usize::MAX).max(1),
        }
    }
}

/// The session that an input is of.
fn session_of(input: &Input) -> Option<SessionId> {
    match input {
        Input::Connect { session, .. }
        | Input::Request { session, .. }
        | Input::Disconnect { session, .. }
        | Input::Closed { session, .. }
        | Input::Continue { session } => Some(*session),
        Input::Reply(_) => None,
    }
}

/// Receivers of `leave` events after which nobody else is told of at once. A single event may have more.
pub(super) const MAX_ANNOUNCED: usize = 4096;
