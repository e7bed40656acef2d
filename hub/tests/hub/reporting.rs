//! What the hub tells of sessions and topics, for hooks.

use crate::alphabet::{Deed, Place, Script, script};
use crate::driver::Driver;
use crate::stage::Stage;
use hubcast_hub::{Admission, Effect, Identity, Input, Lifecycle, Login, MemberName, Reporting, SessionId, Settings};
use hubcast_hub::{Credentials, Grants, Operation, Whom};
use hubcast_protocol::{ClientId, RequestId, Target, Topic};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What a receiver of everything that is told believes.
#[derive(Debug, Default)]
struct Belief {
    clients: BTreeMap<SessionId, ClientId>,
    subscriptions: BTreeSet<(SessionId, Target)>,
    occupied: BTreeSet<Topic>,
}

impl Belief {
    /// Takes what is told, which must be new: nothing is told twice, and nothing of a client that is not there.
    fn hear(&mut self, told: &Lifecycle) {
        let is_new = match told.clone() {
            Lifecycle::Connected(who) => self.clients.insert(who.session, who.client).is_none(),
            Lifecycle::Identified(who) => who.identity.is_some() && self.is_there(who.session, who.client),
            Lifecycle::Disconnected { who, .. } => {
                assert!(self.subscriptions.iter().all(|(session, _)| *session != who.session), "{told:?}: {self:?}");
                self.clients.remove(&who.session) == Some(who.client)
            }
            Lifecycle::Subscribed(who, target) => {
                self.is_there(who.session, who.client) && self.subscriptions.insert((who.session, target))
            }
            Lifecycle::Unsubscribed { who, target, .. } => {
                self.is_there(who.session, who.client) && self.subscriptions.remove(&(who.session, target))
            }
            Lifecycle::Occupied(topic) => self.occupied.insert(topic),
            Lifecycle::Vacant(topic) => self.occupied.remove(&topic),
        };
        assert!(is_new, "{told:?}: {self:?}");
    }

    fn is_there(&self, session: SessionId, client: ClientId) -> bool {
        self.clients.get(&session) == Some(&client)
    }

    /// A topic is occupied while any session is subscribed to it by its name.
    fn adds_up(&self) {
        let names = self.subscriptions.iter().filter_map(|(_, target)| match target {
            Target::Topic(topic) => Some(topic.clone()),
            Target::Pattern(_) => None,
        });
        assert_eq!(self.occupied, names.collect::<BTreeSet<_>>());
    }
}

/// Plays a script. Returns what it told, and all other effects as texts.
fn play(script: &Script, reporting: Reporting) -> (Vec<Vec<Lifecycle>>, Vec<String>) {
    let settings = Settings { reporting, ..script.settings.clone() };
    let mut driver = Driver::new(settings, script.engine);
    let (mut all, mut others) = (Vec::new(), Vec::new());
    let ends = (0..8).map(|session| Deed::Tell(Input::Closed { session: SessionId(session), lost: session > 3 }));
    let lines = script.lines.iter().filter(|line| !matches!(line, Deed::Restart { .. })).cloned();
    for line in lines.chain(ends) {
        driver.perform(&line);
        let mut told = Vec::new();
        for effect in driver.effects().iter() {
            match effect {
                Effect::Lifecycle(happened) => told.push(happened.clone()),
                other => others.push(format!("{other:?}")),
            }
        }
        all.push(told);
    }
    (all, others)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_believes_what_is_told_knows_who_is_there_and_subscribed(script in script()) {
        let (told, _) = play(&script, Reporting::Topics);
        let mut belief = Belief::default();
        for step in &told {
            step.iter().for_each(|happened| belief.hear(happened));
            belief.adds_up();
        }
        prop_assert!(belief.clients.is_empty() && belief.occupied.is_empty(), "{:?}", belief);
    }

    #[test]
    fn telling_changes_nothing_else_and_is_off_if_nobody_asks(script in script()) {
        let (nothing, others) = play(&script, Reporting::Nothing);
        let (sessions, same) = play(&script, Reporting::Sessions);
        let (_, same_again) = play(&script, Reporting::Topics);
        prop_assert!(nothing.iter().all(Vec::is_empty));
        prop_assert!(others == same && others == same_again);
        let mut of_topics = sessions.iter().flatten().filter(|told| {
            !matches!(told, Lifecycle::Connected(_) | Lifecycle::Identified(_) | Lifecycle::Disconnected { .. })
        });
        prop_assert_eq!(of_topics.next(), None);
    }
}

fn stage(admission: Admission) -> Stage {
    Stage::with(Settings { reporting: Reporting::Topics, admission, ..Settings::with_seed(1) }, Place::Embedded)
}

#[test]
fn private_topics_are_not_told() {
    let mut stage = stage(Admission::default());
    let ada = stage.connect_as("ada");
    for topic in ["@ada".to_owned(), crate::stage::id_of(ada).to_string()] {
        stage.says(ada, &format!(r#"{{"action":"unsubscribe","topic":"{topic}"}}"#));
        assert_eq!(stage.told(), [], "{topic}");
        stage.says(ada, &format!(r#"{{"action":"subscribe","topic":"{topic}"}}"#));
        assert_eq!(stage.told(), [], "{topic}");
    }
    stage.closed(ada);
    assert!(matches!(stage.told()[..], [Lifecycle::Disconnected { lost: false, .. }]), "{:?}", stage.told());
}

#[test]
fn who_must_authenticate_is_told_when_it_has_and_with_its_user() {
    let mut stage = stage(Admission { token_required: true, ..Admission::default() });
    let (never, ada) = (stage.connect(), stage.connect());
    assert_eq!(stage.told(), []);
    stage.closed(never);
    assert_eq!(stage.told(), [], "it was never told that it is there");
    let credentials = Credentials { grants: Grants::default(), expiry: None, api_key: None };
    let login = Login { identity: Identity::user("ada").into(), credentials: credentials.into() };
    stage.tell(Input::Authenticate { session: ada, id: None, outcome: Ok(login) });
    let told = stage.told();
    let [Lifecycle::Connected(who)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(who.identity.as_ref().map(|of| of.name.clone()), Some(MemberName::User("ada".into())));
}

#[test]
fn what_an_operator_subscribes_a_session_to_is_told_once_the_session_is() {
    let mut stage = stage(Admission { token_required: true, ..Admission::default() });
    let (ada, mut belief) = (stage.connect(), Belief::default());
    let name = MemberName::ApiKey("backend".into());
    let credentials = Credentials { grants: Grants::default(), expiry: None, api_key: Some("backend".into()) };
    let backend = stage.enter(Some(Identity { name, info: None }.into()), Some(credentials.into()));
    let operation = Operation::Subscribe(Topic::from("news").into());
    let whom = Whom::Client(crate::stage::id_of(ada));
    stage.tell(Input::Operate { session: backend, id: RequestId::Number(1), whom, operation });
    assert_eq!(stage.told(), [Lifecycle::Occupied("news".into())]);
    stage.told().iter().for_each(|told| belief.hear(told));
    let credentials = Credentials { grants: Grants::default(), expiry: None, api_key: None };
    let login = Login { identity: Identity::user("ada").into(), credentials: credentials.into() };
    stage.tell(Input::Authenticate { session: ada, id: None, outcome: Ok(login) });
    stage.told().iter().for_each(|told| belief.hear(told));
    stage.closed(ada);
    stage.told().iter().for_each(|told| belief.hear(told));
    assert!(belief.clients.is_empty() && belief.subscriptions.is_empty() && belief.occupied.is_empty(), "{belief:?}");
}

#[test]
fn callers_with_an_api_key_are_not_told() {
    let mut stage = stage(Admission::default());
    let name = MemberName::ApiKey("backend".into());
    let backend = stage.enter(Some(Identity { name, info: None }.into()), None);
    assert_eq!(stage.told(), []);
    stage.closed(backend);
    assert_eq!(stage.told(), []);
}
