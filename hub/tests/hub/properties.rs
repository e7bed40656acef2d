//! Properties that hold for every script, with the engine in either place. The first compares the hub with the model.
//! The others use only the hub's own effects, so that a fault in the model cannot hide a fault of the hub.

use crate::alphabet::{Deed, SESSIONS, Script, script};
use crate::driver::{Driver, Scene};
use crate::keeping::user_of;
use crate::model::Model;
use crate::seen::Seen;
use hubcast_hub::{Input, Publication, SessionId};
use hubcast_protocol::{CloseCode, Event, Owner, Target, request::Action};
use proptest::prelude::{ProptestConfig, TestCaseError, prop_assert, prop_assert_eq};
use proptest::test_runner::TestRunner;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The result of a check: whether the property holds, and how it fails.
pub(crate) type Verdict = Result<(), TestCaseError>;

/// A time after which every rule has dropped everything.
const LONG: Duration = Duration::from_secs(300);

#[test]
fn the_hub_does_what_the_model_does() {
    whatever_happens(|script| {
        let mut script = script.clone();
        script.settings.history_max_bytes = usize::MAX;
        let (mut driver, mut model) = (Driver::of(&script), Model::new(&script));
        for line in &script.lines {
            let Scene { deed, seen } = driver.perform(line);
            let kept = driver.memory().save(driver.now()).histories;
            prop_assert_eq!(seen, model.perform(driver.now(), &deed, &kept), "after {:?}", deed);
        }
        Ok(())
    });
}

#[test]
fn every_numbered_request_is_answered_once() {
    whatever_happens(|script| {
        let (mut here, mut cut, mut open) = (HashSet::new(), HashSet::new(), Vec::new());
        for Scene { deed, seen } in Driver::play(script) {
            follow(&mut here, &deed);
            cut.extend(seen.iter().filter_map(cut_off));
            match deed {
                Deed::Tell(Input::Closed { session, .. }) => {
                    cut.remove(&session);
                    open.retain(|(whose, _)| *whose != session);
                }
                Deed::Tell(Input::Request { session, request })
                    if here.contains(&session) && !cut.contains(&session) =>
                {
                    let id = request.map_or_else(|refused| refused.id, |request| request.id);
                    open.extend(id.map(|id| (session, id)));
                }
                _ => {}
            }
            for seen in seen {
                let ([session], Some(id)) = (seen.sessions(), seen.answers()) else { continue };
                let question = open.iter().position(|question| *question == (*session, id.clone()));
                prop_assert!(question.is_some(), "{:?} answers nothing", seen);
                question.map(|question| open.remove(question));
            }
        }
        prop_assert!(open.is_empty(), "no answer to {:?}", open);
        Ok(())
    });
}

#[test]
fn without_an_id_only_errors_subscribed_and_unsubscribed_come_back() {
    whatever_happens(|script| {
        for Scene { deed, seen } in Driver::play(script) {
            for seen in seen.iter().filter(|seen| seen.answers().is_none()) {
                let Seen::Sent { event, .. } = seen else { continue };
                let expected = match deed {
                    Deed::Tell(Input::Connect { .. }) => matches!(event, Event::Welcome(_)),
                    Deed::Tell(Input::Disconnect { .. }) => matches!(event, Event::Closing(_)),
                    Deed::Wait(_) | Deed::Tell(Input::Closed { .. }) => matches!(event, Event::Leave(_)),
                    _ => is_an_answer(event) || is_about_others(event),
                };
                prop_assert!(expected, "{:?} after {:?}", event, deed);
            }
        }
        Ok(())
    });
}

#[test]
fn a_session_hears_exactly_what_it_is_subscribed_to_by_the_replies() {
    whatever_happens(|script| {
        let silent = publishers_without_echo(script);
        let mut confirmed: Vec<(SessionId, Target)> = Vec::new();
        for Scene { deed, seen } in Driver::play(script) {
            if let Deed::Tell(Input::Closed { session, .. }) = deed {
                confirmed.retain(|(whose, _)| *whose != session);
            }
            for seen in seen {
                match seen {
                    Seen::Sent { session, event: Event::Subscribed(subscribed) } => {
                        confirmed.push((session, subscribed.about.into()));
                    }
                    Seen::Sent { session, event: Event::Unsubscribed(unsubscribed) } => {
                        let target = unsubscribed.about.into();
                        confirmed.retain(|(whose, what)| *whose != session || *what != target);
                    }
                    Seen::Heard { publication, by } if publication.topic().owner().is_none() => {
                        let mut expected = listeners(&confirmed, &publication);
                        let silent = silent.get(publication.payload().as_plain());
                        expected.retain(|session| Some(session) != silent || by.contains(session));
                        prop_assert_eq!(by, expected, "hear {:?}", publication);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    });
}

#[test]
fn nobody_has_more_subscriptions_than_the_limit() {
    whatever_happens(|script| {
        let mut confirmed: HashSet<(SessionId, Target)> = HashSet::new();
        for Scene { deed, seen } in Driver::play(script) {
            if let Deed::Tell(Input::Closed { session, .. }) = deed {
                confirmed.retain(|(whose, _)| *whose != session);
            }
            for seen in seen {
                match seen {
                    Seen::Sent { session, event: Event::Subscribed(subscribed) } => {
                        confirmed.insert((session, subscribed.about.into()));
                        let counts = |(whose, what): &&_| *whose == session && is_public(what);
                        let subscriptions = confirmed.iter().filter(counts).count();
                        prop_assert!(subscriptions <= script.settings.limits.subscriptions, "{:?}", confirmed);
                    }
                    Seen::Sent { session, event: Event::Unsubscribed(unsubscribed) } => {
                        confirmed.remove(&(session, unsubscribed.about.into()));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    });
}

#[test]
fn nobody_hears_a_publication_twice() {
    whatever_happens(|script| {
        let mut heard = HashSet::new();
        for (publication, by) in Driver::play(script).iter().flat_map(deliveries) {
            for session in by {
                let message = publication.payload().as_plain().to_owned();
                prop_assert!(heard.insert((*session, message)), "{:?} hears {:?} again", session, publication);
            }
        }
        Ok(())
    });
}

#[test]
fn a_private_topic_is_heard_by_its_owner_alone() {
    whatever_happens(|script| {
        let (mut owners, mut users) = (HashMap::new(), HashMap::new());
        for scene in Driver::play(script) {
            match &scene.deed {
                Deed::Tell(Input::Connect { session, client, identity, .. }) => {
                    owners.insert(*client, *session);
                    users.insert(*session, identity.as_deref().and_then(user_of));
                }
                Deed::Tell(Input::Closed { session, .. }) => owners.retain(|_, owner| owner != session),
                _ => {}
            }
            for (publication, by) in deliveries(&scene) {
                match publication.topic().owner() {
                    None => {}
                    Some(Owner::Client(id)) => prop_assert_eq!(Some(by), owners.get(&id).map(std::slice::from_ref)),
                    Some(Owner::User(user)) => {
                        let are_of_the_user = by.iter().all(|session| users[session].as_deref() == Some(user));
                        prop_assert!(are_of_the_user, "{:?} hear {:?}", by, publication);
                    }
                    Some(Owner::Nobody) => prop_assert!(false, "{:?} hear {:?}", by, publication),
                }
            }
        }
        Ok(())
    });
}

#[test]
fn nothing_names_a_session_that_is_not_there() {
    whatever_happens(|script| {
        let mut here = HashSet::new();
        for Scene { deed, seen } in Driver::play(script) {
            follow(&mut here, &deed);
            for seen in seen {
                prop_assert!(seen.sessions().iter().all(|session| here.contains(session)), "{:?}", seen);
            }
        }
        Ok(())
    });
}

#[test]
fn nothing_is_left_after_everyone_has_gone() {
    whatever_happens(|script| {
        let mut driver = Driver::of(script);
        script.lines.iter().for_each(|line| _ = driver.perform(line));
        for session in (0..SESSIONS).map(SessionId) {
            driver.tell(Input::Closed { session, lost: true });
        }
        while driver.is_waiting() {
            let seen = driver.answer();
            prop_assert!(seen.iter().all(|seen| *seen == Seen::Asked), "{:?} is for nobody any more", seen);
        }
        prop_assert_eq!(driver.wait(LONG), []);
        prop_assert_eq!((driver.memory().histories(), driver.memory().history_bytes()), (0, 0));
        prop_assert_eq!(driver.hub().poll_timeout(), None, "nothing is due any more");
        prop_assert!(driver.hub().is_empty(), "{:?}", driver.hub());
        Ok(())
    });
}

#[test]
fn the_same_inputs_have_the_same_effects() {
    whatever_happens(|script| {
        let (mut one, mut other) = (Driver::of(script), Driver::of(script));
        for line in &script.lines {
            one.perform(line);
            other.perform(line);
            prop_assert_eq!(format!("{:?}", one.effects()), format!("{:?}", other.effects()));
        }
        Ok(())
    });
}

/// Checks a property on many random scripts. If it fails for one, shrinks that script as far as it still fails, and
/// panics with it.
pub(crate) fn whatever_happens(property: impl Fn(&Script) -> Verdict) {
    let usual = ProptestConfig::default();
    let config = ProptestConfig { cases: 2 * usual.cases, failure_persistence: None, ..usual };
    let outcome = TestRunner::new(config).run(&script(), |script| property(&script));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Updates the set of connected sessions after a deed.
pub(crate) fn follow(here: &mut HashSet<SessionId>, deed: &Deed) {
    match deed {
        Deed::Tell(Input::Connect { session, .. }) => _ = here.insert(*session),
        Deed::Tell(Input::Closed { session, .. }) => _ = here.remove(session),
        _ => {}
    }
}

/// Each delivered publication of a scene, with its receivers.
fn deliveries(scene: &Scene) -> impl Iterator<Item = (&Publication, &[SessionId])> {
    scene.seen.iter().filter_map(|seen| match seen {
        Seen::Heard { publication, by } => Some((publication, by.as_slice())),
        _ => None,
    })
}

/// The sessions with a subscription that matches a publication, in rising order.
fn listeners(subscriptions: &[(SessionId, Target)], publication: &Publication) -> Vec<SessionId> {
    let hears = |target: &Target| match target {
        Target::Topic(topic) => topic == publication.topic(),
        Target::Pattern(pattern) => pattern.matches(publication.topic()),
    };
    let hearing = |session: &SessionId| subscriptions.iter().any(|(whose, what)| whose == session && hears(what));
    (0..SESSIONS).map(SessionId).filter(hearing).collect()
}

/// The publisher of each publication with `echo: false`, by its payload. No two publications of a script have the same
/// payload.
fn publishers_without_echo(script: &Script) -> HashMap<String, SessionId> {
    let requests = script.lines.iter().filter_map(|line| match line {
        Deed::Tell(Input::Request { session, request: Ok(request) }) => Some((*session, &request.action)),
        _ => None,
    });
    let silent = requests.filter_map(|(session, action)| match action {
        Action::Publish(publish) if !publish.echo => Some((publish.payload.as_plain().to_owned(), session)),
        _ => None,
    });
    silent.collect()
}

/// Whether a target is something other than a private topic.
fn is_public(target: &Target) -> bool {
    !matches!(target, Target::Topic(topic) if topic.owner().is_some())
}

/// Whether an event is a reply that is sent also to a request without an id.
fn is_an_answer(event: &Event) -> bool {
    matches!(event, Event::Error(_) | Event::Subscribed(_) | Event::Unsubscribed(_))
}

/// Whether an event can be an effect of a request without being its reply.
fn is_about_others(event: &Event) -> bool {
    matches!(event, Event::Join(_) | Event::Leave(_) | Event::Gap(_))
}

/// The session that is closed because it exceeded the rate limit. Its further requests get no reply.
fn cut_off(seen: &Seen) -> Option<SessionId> {
    match seen {
        Seen::Closed { session, code: CloseCode::RATE_LIMIT } => Some(*session),
        _ => None,
    }
}
