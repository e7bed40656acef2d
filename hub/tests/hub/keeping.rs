//! Properties of what the hub keeps: histories stay within their bounds, keys last for their window, and presence
//! matches its joins and leaves.

use crate::alphabet::{Deed, LOBBY, Place, ROOM, SESSIONS, Script};
use crate::driver::{Driver, Scene};
use crate::properties::{follow, whatever_happens};
use crate::seen::Seen;
use hubcast_hub::{HistorySnapshot, Identity, Input, MemberName, SessionId, Snapshot};
use hubcast_protocol::event::{Member, Presence, Published};
use hubcast_protocol::request::{Action, Key, Publish, Subscribe};
use hubcast_protocol::{AnonymousId, ClientId, Epoch, Event, Payload, Request, RequestId, Topic};
use proptest::prelude::{prop_assert, prop_assert_eq};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

#[test]
fn offsets_only_rise_within_an_epoch_and_an_epoch_that_is_gone_does_not_come_back() {
    whatever_happens(|script| {
        let mut driver = Driver::of(script);
        let mut here: HashMap<Epoch, HistorySnapshot> = HashMap::new();
        let mut gone = HashSet::new();
        for line in &script.lines {
            driver.perform(line);
            let before = std::mem::take(&mut here);
            let saved = driver.memory().save(driver.now()).histories;
            here = saved.into_iter().map(|saved| (saved.epoch, saved)).collect();
            for (epoch, history) in &here {
                prop_assert!(!gone.contains(epoch), "{:?} is back", history);
                prop_assert!(history.entries.len() as u64 <= history.last);
                let earlier = before.get(epoch);
                prop_assert!(earlier.is_none_or(|earlier| earlier.topic == history.topic));
                prop_assert!(history.last >= earlier.map_or(0, |earlier| earlier.last));
            }
            gone.extend(before.into_keys().filter(|epoch| !here.contains_key(epoch)));
        }
        Ok(())
    });
}

#[test]
fn histories_keep_to_their_size_and_all_together_to_their_bytes() {
    whatever_happens(|script| {
        let mut driver = Driver::of(script);
        for line in &script.lines {
            driver.perform(line);
            for history in driver.memory().save(driver.now()).histories {
                let rule = script.settings.rules.of(&history.topic).history.as_ref();
                prop_assert!(rule.is_some_and(|rule| history.entries.len() <= rule.size), "{:?}", history);
            }
            let bytes = driver.memory().history_bytes();
            prop_assert!(bytes <= script.settings.history_max_bytes, "{bytes} bytes");
        }
        Ok(())
    });
}

#[test]
fn another_process_goes_on_with_every_history_and_every_key_that_was_saved() {
    whatever_happens(|script| {
        let mut script = script.clone();
        script.settings.history_max_bytes = usize::MAX;
        let mut driver = Driver::of(&script);
        script.lines.iter().for_each(|line| _ = driver.perform(line));
        let before = driver.memory().save(driver.now());
        driver.restart(true);
        prop_assert_eq!(by_topic(driver.memory().save(driver.now())), by_topic(before));
        Ok(())
    });
}

#[test]
fn a_key_that_is_used_again_in_its_window_has_no_effect_and_the_same_answer() {
    whatever_happens(|script| {
        let mut script = Script { engine: Place::Embedded, ..script.clone() };
        script.settings.limits.requests_per_second = None;
        let (mut driver, mut here) = (Driver::of(&script), HashSet::new());
        let mut users: HashMap<SessionId, Option<Box<str>>> = HashMap::new();
        let mut used: HashMap<_, Use> = HashMap::new();
        for line in &script.lines {
            let Scene { deed, seen } = driver.perform(line);
            if let Deed::Restart { kept: false } = deed {
                used.clear();
            }
            follow(&mut here, &deed);
            if let Deed::Tell(Input::Connect { session, identity, .. }) = &deed {
                users.insert(*session, identity.as_ref().and_then(|identity| user_of(identity)));
            }
            let Some((session, Publish { topic, key: Some(key), .. })) = published(&deed) else { continue };
            if !here.contains(session) || seen.iter().any(is_refused) {
                continue;
            }
            let delivered = seen.iter().any(|seen| matches!(seen, Seen::Heard { .. }));
            let answer = seen.iter().find_map(outcome);
            let window = script.settings.rules.of(topic).key_window;
            // A text key belongs to a topic, a sequence number to a producer, and both to a user.
            let place = matches!(key, Key::Text(_)).then(|| topic.clone());
            let whose = (users.get(session).cloned().flatten(), place, key.clone());
            let before = used.get_mut(&whose);
            match before.filter(|before| driver.now() < before.at + before.window) {
                Some(before) => {
                    prop_assert!(!delivered, "delivered again: {:?}", seen);
                    if let Some((offset, receivers)) = answer {
                        let first = *before.answer.get_or_insert((offset, receivers));
                        // The repetition names no offset if the history of the first publication is gone.
                        prop_assert!((offset, receivers) == first || (None, receivers) == (offset, first.1));
                    }
                }
                None => _ = used.insert(whose, Use { at: driver.now(), window, answer }),
            }
        }
        Ok(())
    });
}

#[test]
fn presence_is_what_its_joins_and_leaves_add_up_to() {
    whatever_happens(|script| {
        let mut script = script.clone();
        script.settings.limits.requests_per_second = None;
        script.settings.limits.subscriptions = script.settings.limits.subscriptions.max(2);
        let (mut driver, watcher) = (Driver::of(&script), SessionId(SESSIONS));
        driver.tell(Input::connect(watcher, ClientId::from_random([7; 16])));
        let mut present: BTreeMap<(Topic, String), usize> = BTreeMap::new();
        for topic in [LOBBY, ROOM].map(Topic::from) {
            let subscribe = Subscribe { presence: true, ..Subscribe::live(topic.clone().into()) };
            driver.tell(Input::Request { session: watcher, request: Ok(Request::from(Action::from(subscribe))) });
            driver.answer();
            present.insert((topic, ClientId::from_random([7; 16]).to_string()), 1);
        }
        for line in script.lines.iter().filter(|line| !matches!(line, Deed::Restart { .. })) {
            for (event, change) in driver.perform(line).seen.iter().filter_map(|seen| change_for(watcher, seen)) {
                let who = who(event.user.as_deref(), event.anonymous, event.info.as_ref(), event.client);
                let count = present.entry((event.topic.clone(), who)).or_default();
                let changed = count.checked_add_signed(change);
                prop_assert!(changed.is_some(), "{:?} left without having come", event);
                *count = changed.unwrap_or_default();
            }
            present.retain(|_, count| *count > 0);
            let mut answer = BTreeMap::new();
            for topic in [LOBBY, ROOM].map(Topic::from) {
                let request = Request::new(RequestId::Number(1), Action::Presence(topic.clone()));
                let seen = driver.tell(Input::Request { session: watcher, request: Ok(request) });
                for present in seen.iter().filter_map(presence).flat_map(|presence| &presence.clients) {
                    let who = who(present.user.as_deref(), present.anonymous, present.info.as_ref(), present.client);
                    *answer.entry((topic.clone(), who)).or_default() += 1;
                }
            }
            prop_assert_eq!(&answer, &present);
        }
        Ok(())
    });
}

/// The last use of a key that took effect: its time, the window of the key, and the reply. The reply is `None` until a
/// request with that key and an id gets one.
struct Use {
    at: Instant,
    window: Duration,
    answer: Option<(Option<u64>, u64)>,
}

/// A snapshot with its histories in the order of their topics.
fn by_topic(mut saved: Snapshot) -> Snapshot {
    saved.histories.sort_by(|one, other| one.topic.cmp(&other.topic));
    saved
}

/// The session and the publication of a deed that publishes.
fn published(deed: &Deed) -> Option<(&SessionId, &Publish)> {
    match deed {
        Deed::Tell(Input::Request { session, request: Ok(Request { action: Action::Publish(publish), .. }) }) => {
            Some((session, publish))
        }
        _ => None,
    }
}

/// Whether an effect is an error reply.
fn is_refused(seen: &Seen) -> bool {
    matches!(seen, Seen::Sent { event: Event::Error(_), .. })
}

/// The offset and the number of receivers in the reply to a publication.
fn outcome(seen: &Seen) -> Option<(Option<u64>, u64)> {
    match seen {
        Seen::Sent { event: Event::Published(Published { offset, receivers, .. }), .. } => Some((*offset, *receivers)),
        _ => None,
    }
}

/// The answer to a `presence` request.
fn presence(seen: &Seen) -> Option<&Presence> {
    match seen {
        Seen::Sent { event: Event::Presence(presence), .. } => Some(presence),
        _ => None,
    }
}

/// The member that a join or leave to this session is about, and the change of its count: 1 or -1.
fn change_for(watcher: SessionId, seen: &Seen) -> Option<(&Member, isize)> {
    match seen {
        Seen::Sent { session, event: Event::Join(member) } if *session == watcher => Some((member, 1)),
        Seen::Sent { session, event: Event::Leave(member) } if *session == watcher => Some((member, -1)),
        _ => None,
    }
}

/// How a watcher knows a member: by its user or its anonymous id, with what it shows of itself. The client stands for a
/// member with neither.
fn who(user: Option<&str>, anonymous: Option<AnonymousId>, info: Option<&Payload>, client: ClientId) -> String {
    match (user, anonymous) {
        (Some(user), _) => format!("{user} {info:?}"),
        (None, Some(id)) => format!("{id} {info:?}"),
        (None, None) => client.to_string(),
    }
}

/// The name of a user; `None` for an anonymous member.
pub(crate) fn user_of(identity: &Identity) -> Option<Box<str>> {
    match &identity.name {
        MemberName::User(user) => Some(user.clone()),
        MemberName::Anonymous(_) | MemberName::ApiKey(_) => None,
    }
}
