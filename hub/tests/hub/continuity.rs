//! Nothing is lost without notice: what sessions learn from replies, what is replayed to them and what they get live
//! is compared with everything that was published.

use crate::alphabet::{Deed, Place, Script};
use crate::driver::{Driver, Scene};
use crate::properties::{Verdict, whatever_happens};
use crate::seen::Seen;
use hubcast_hub::{HistorySnapshot, Input, Publication, SessionId};
use hubcast_protocol::event::Subscribed;
use hubcast_protocol::request::{Action, Start, Subscribe};
use hubcast_protocol::{Epoch, Event, Position, Target, Topic};
use proptest::prelude::{prop_assert, prop_assert_eq};
use proptest::test_runner::TestCaseError;
use std::collections::HashMap;

#[test]
fn what_was_seen_and_what_is_replayed_and_what_comes_live_is_everything_once_and_in_order_or_it_is_said() {
    whatever_happens(|script| {
        let script = loud(script);
        let (mut driver, mut ledger, mut listeners) = (Driver::of(&script), Ledger::default(), Listeners::default());
        for line in &script.lines {
            let Scene { deed, seen } = driver.perform(line);
            for publication in seen.iter().filter_map(heard) {
                ledger.enter(publication)?;
            }
            ledger.enter_rest(&driver.memory().save(driver.now()).histories)?;
            match &deed {
                Deed::Tell(Input::Closed { session, .. }) => listeners.gone(*session),
                Deed::Tell(Input::Request { session, request: Ok(request) }) => match &request.action {
                    Action::Subscribe(subscribe) => listeners.subscribed(*session, subscribe, &seen, &ledger)?,
                    Action::Unsubscribe(target) => listeners.unsubscribed(*session, target, &seen),
                    _ => {}
                },
                _ => {}
            }
            for publication in seen.iter().filter_map(heard) {
                listeners.heard(publication)?;
            }
        }
        Ok(())
    });
}

/// The same script with the embedded engine, and with `echo: true` in every publication. Then each subscriber gets
/// every publication, also its own.
fn loud(script: &Script) -> Script {
    let mut script = Script { engine: Place::Embedded, ..script.clone() };
    for line in &mut script.lines {
        if let Deed::Tell(Input::Request { request: Ok(request), .. }) = line
            && let Action::Publish(publish) = &mut request.action
        {
            publish.echo = true;
        }
    }
    script
}

/// The publication, if one was delivered.
fn heard(seen: &Seen) -> Option<&Publication> {
    match seen {
        Seen::Heard { publication, .. } => Some(publication),
        _ => None,
    }
}

/// Everything that was published, by epoch. The entry for each offset is the payload, or `None` if it was dropped
/// before the test could see it.
#[derive(Debug, Default)]
struct Ledger {
    said: HashMap<Epoch, Vec<Option<String>>>,
}

impl Ledger {
    /// Records a delivered publication, which must have the next offset of its epoch.
    fn enter(&mut self, publication: &Publication) -> Verdict {
        let Some(Position { epoch, offset }) = publication.position() else { return Ok(()) };
        let said = self.said.entry(epoch).or_default();
        prop_assert_eq!(offset, said.len() as u64 + 1, "{:?} has not the next offset", publication);
        said.push(Some(publication.payload().as_plain().to_owned()));
        Ok(())
    }

    /// Records publications that were delivered to no session, from the histories after each line. One line makes at
    /// most one such publication in a history.
    fn enter_rest(&mut self, kept: &[HistorySnapshot]) -> Verdict {
        for history in kept {
            let said = self.said.entry(history.epoch).or_default();
            let rest = history.last.checked_sub(said.len() as u64);
            prop_assert!(rest.is_some_and(|rest| rest <= 1), "{:?} holds {:?}", history, said);
            if rest == Some(1) {
                said.push(history.entries.last().map(|entry| entry.payload.as_plain().to_owned()));
            }
        }
        Ok(())
    }

    /// The last position of an epoch.
    fn end(&self, epoch: Epoch) -> Option<Position> {
        Some(Position { epoch, offset: self.said.get(&epoch)?.len() as u64 })
    }

    /// Checks that these are exactly the publications from one offset to another, in order and with the payloads that
    /// were published.
    fn check(&self, publications: &[&Publication], epoch: Epoch, from: u64, to: u64) -> Verdict {
        let offsets: Vec<_> = publications.iter().filter_map(|publication| publication.position()).collect();
        let expected: Vec<_> = (from..=to).map(|offset| Position { epoch, offset }).collect();
        prop_assert_eq!(offsets, expected);
        let said = self.said.get(&epoch).map_or(&[][..], Vec::as_slice);
        for (publication, said) in
            publications.iter().zip(said.iter().skip(usize::try_from(from - 1).expect("a script is short")))
        {
            prop_assert!(said.as_deref().is_none_or(|said| said == publication.payload().as_plain()));
        }
        Ok(())
    }
}

/// All subscriptions, and how far each has come in its topics.
#[derive(Debug, Default)]
struct Listeners {
    list: Vec<Listener>,
}

/// One subscription.
#[derive(Debug)]
struct Listener {
    session: SessionId,
    target: Target,
    /// The last position that the subscription has reached in each topic. A pattern has none for a topic until it gets
    /// a publication there or resumes it.
    at: HashMap<Topic, Position>,
}

impl Listeners {
    /// Removes the subscriptions of a session.
    fn gone(&mut self, session: SessionId) {
        self.list.retain(|listener| listener.session != session);
    }

    /// Removes a subscription, if the hub confirmed that.
    fn unsubscribed(&mut self, session: SessionId, target: &Target, seen: &[Seen]) {
        let is_done = |seen: &Seen| matches!(seen, Seen::Sent { event: Event::Unsubscribed(_), .. });
        if seen.iter().any(is_done) {
            self.list.retain(|listener| listener.session != session || listener.target != *target);
        }
    }

    /// Checks the reply to a subscribe and what is replayed with it, and adds the subscription.
    fn subscribed(&mut self, session: SessionId, asked: &Subscribe, seen: &[Seen], ledger: &Ledger) -> Verdict {
        let Some(reply) = seen.iter().find_map(reply) else { return Ok(()) };
        let missed: Vec<_> = seen.iter().flat_map(replayed).collect();
        prop_assert_eq!(reply.replayed.unwrap_or_default() as usize, missed.len());
        let at = match &asked.target {
            Target::Topic(topic) => {
                self.begin_topic(topic, asked, reply, &missed, ledger)?;
                position(reply).map(|at| (topic.clone(), at)).into_iter().collect()
            }
            Target::Pattern(_) => begin_pattern(asked, reply, &missed, seen, ledger)?,
        };
        let is_it = |listener: &&mut Listener| listener.session == session && listener.target == asked.target;
        match (self.list.iter_mut().find(is_it), &asked.target) {
            // A session that is already subscribed is at the end of the history, whatever is replayed to it again.
            (Some(listener), Target::Topic(topic)) => prop_assert_eq!(listener.at.get(topic), at.get(topic)),
            (Some(_), Target::Pattern(_)) => {}
            (None, target) => self.list.push(Listener { session, target: target.clone(), at }),
        }
        Ok(())
    }

    /// Checks the reply and the replay of a subscription to a topic.
    fn begin_topic(
        &self,
        topic: &Topic,
        asked: &Subscribe,
        reply: &Subscribed,
        missed: &[&Publication],
        ledger: &Ledger,
    ) -> Verdict {
        prop_assert!(missed.iter().all(|publication| publication.topic() == topic));
        match (&asked.start, position(reply)) {
            (Start::After(after) | Start::AfterOrLast(after, _), Some(end)) if reply.recovered == Some(true) => {
                prop_assert_eq!(after.epoch, end.epoch, "recovered from another epoch");
                prop_assert_eq!(ledger.end(end.epoch), Some(end), "the reply says where the history ends");
                ledger.check(missed, end.epoch, after.offset + 1, end.offset)
            }
            (Start::Last(most) | Start::AfterOrLast(_, most), Some(end)) => {
                let asked_to_recover = matches!(asked.start, Start::AfterOrLast(..));
                prop_assert_eq!(reply.recovered, asked_to_recover.then_some(false));
                prop_assert!(missed.len() <= *most as usize);
                ledger.check(missed, end.epoch, end.offset + 1 - missed.len() as u64, end.offset)
            }
            (start, _) => {
                prop_assert!(missed.is_empty(), "nothing is replayed unless all of it is");
                let asked_to_recover = matches!(start, Start::After(_) | Start::AfterEach(_) | Start::AfterOrLast(..));
                prop_assert_eq!(reply.recovered, asked_to_recover.then_some(false));
                Ok(())
            }
        }
    }

    /// Checks that every subscription that matches a publication already has everything before it in its topic.
    fn heard(&mut self, publication: &Publication) -> Verdict {
        let Some(now_at) = publication.position() else { return Ok(()) };
        let topic = publication.topic();
        for listener in &mut self.list {
            let first = match &listener.target {
                Target::Topic(name) if name == topic => None,
                Target::Pattern(pattern) if pattern.matches(topic) => Some(now_at),
                _ => continue,
            };
            let expected = match listener.at.insert(topic.clone(), now_at) {
                Some(before) if before.epoch == now_at.epoch => Some(Position { offset: before.offset + 1, ..before }),
                // A subscription to a pattern does not protect a history from eviction. The history may have been
                // dropped; then it begins anew, in another epoch and at offset 1.
                Some(_) => first.map(|first| Position { offset: 1, ..first }),
                None => first,
            };
            prop_assert_eq!(Some(now_at), expected, "{:?}", listener);
        }
        Ok(())
    }
}

/// Checks the reply, the gaps and the replay of a subscription to a pattern. Returns how far it has come in each topic
/// that it resumed.
fn begin_pattern(
    asked: &Subscribe,
    reply: &Subscribed,
    missed: &[&Publication],
    seen: &[Seen],
    ledger: &Ledger,
) -> Result<HashMap<Topic, Position>, TestCaseError> {
    let gaps: Vec<_> = seen.iter().filter_map(gap).collect();
    let mut at = HashMap::new();
    if let (Start::AfterEach(each), Target::Pattern(pattern)) = (&asked.start, &asked.target) {
        prop_assert_eq!(reply.recovered, Some(gaps.is_empty()));
        for (topic, after) in each.iter().filter(|(topic, _)| pattern.matches(topic)) {
            let of_topic: Vec<_> = missed.iter().copied().filter(|missed| missed.topic() == topic).collect();
            if gaps.contains(&topic) {
                prop_assert!(of_topic.is_empty());
            } else {
                let end = ledger.end(after.epoch).expect("a position is recovered in an epoch that there is");
                ledger.check(&of_topic, after.epoch, after.offset + 1, end.offset)?;
                at.insert(topic.clone(), end);
            }
        }
    }
    Ok(at)
}

/// The reply to a subscribe.
fn reply(seen: &Seen) -> Option<&Subscribed> {
    match seen {
        Seen::Sent { event: Event::Subscribed(subscribed), .. } => Some(subscribed),
        _ => None,
    }
}

/// The publications that were replayed.
fn replayed(seen: &Seen) -> &[Publication] {
    match seen {
        Seen::Replayed { missed, .. } => missed,
        _ => &[],
    }
}

/// The topic of a gap event.
fn gap(seen: &Seen) -> Option<&Topic> {
    match seen {
        Seen::Sent { event: Event::Gap(gap), .. } => Some(&gap.topic),
        _ => None,
    }
}

/// The position in a reply, if the topic has a history.
fn position(reply: &Subscribed) -> Option<Position> {
    Some(Position { epoch: reply.epoch?, offset: reply.offset? })
}
