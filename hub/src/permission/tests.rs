//! The decision against a naive model: lists of tokens, compared one by one.

use super::*;
use crate::{TopicPolicy, TopicRule};
use proptest::{collection::vec, prelude::*, sample::select};

/// A requester with these grants for every permission.
fn grants(texts: &[String]) -> Grants {
    let all = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
    let grants = texts.iter().filter_map(|text| Grant::parse(text).ok());
    Grants::new(grants.flat_map(|grant| all.map(|permission| (permission, grant))))
}

fn rules(list: &[(String, Option<Access>)]) -> TopicRules {
    let list = list.iter().filter_map(|(pattern, access)| {
        let access = TopicAccess { subscribe: *access, publish: *access };
        Some(TopicRule { pattern: pattern.parse().ok()?, policy: TopicPolicy { access, ..TopicPolicy::default() } })
    });
    TopicRules { list: list.collect() }
}

/// A text of a few tokens: a topic, a pattern or a grant, also a malformed one.
fn text(tokens: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(tokens), 1..4).prop_map(|tokens| tokens.join("."))
}

fn access() -> impl Strategy<Value = Option<Access>> {
    select(vec![None, Some(Access::Nobody), Some(Access::Granted), Some(Access::Anyone)])
}

fn access_kind() -> impl Strategy<Value = Permission> {
    select(vec![Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History])
}

/// What the contract says, with every pattern written out as a list of tokens.
fn naive(
    granted: &[(Permission, String)],
    ruled: &[(String, Option<Access>, Option<Access>)],
    topic: &str,
    user: &str,
    is_open: bool,
    permission: Permission,
) -> bool {
    fn fits(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([">"], [_, ..]) | ([], []) => true,
            (["*", pattern @ ..], [_, topic @ ..]) => fits(pattern, topic),
            ([literal, pattern @ ..], [token, topic @ ..]) => literal == token && fits(pattern, topic),
            _ => false,
        }
    }
    let (is_read, tokens) = (permission != Permission::Publish, topic.split('.').collect::<Vec<_>>());
    if let Some(owner) = topic.strip_prefix('@') {
        return if is_read { owner == user } else { is_open };
    }
    let is_pattern = |text: &str| text.parse::<Pattern>().is_ok();
    let rule = ruled.iter().find(|(text, ..)| is_pattern(text) && fits(&text.split('.').collect::<Vec<_>>(), &tokens));
    let said = rule.and_then(|(_, subscribe, publish)| if is_read { *subscribe } else { *publish });
    match said.unwrap_or(if is_open { Access::Anyone } else { Access::Granted }) {
        Access::Nobody => return false,
        Access::Anyone => return true,
        Access::Granted => {}
    }
    granted.iter().filter(|(of, text)| *of == permission && Grant::parse(text).is_ok()).any(|(_, text)| {
        // A name that is empty, or more than one token, stands for no token at all. A name is never a wildcard.
        let is_name = |text: &str| text == "{user}";
        let wanted: Vec<_> = text.split('.').map(|text| if is_name(text) { NAME } else { text }).collect();
        let named = tokens.iter().map(|token| if *token == user && !user.is_empty() { NAME } else { token });
        let places = (0..tokens.len()).map(|at| wanted.get(at) == Some(&NAME));
        let named: Vec<_> = places
            .zip(named.zip(&tokens))
            .map(|(is_place, (name, token))| if is_place { name } else { token })
            .collect();
        fits(&wanted, &named)
    })
}

/// Stands for the name of the user in both lists.
const NAME: &str = "the name";

/// Names that try to be more than a name.
const NAMES: [&str; 9] = ["ada", "a", "*", ">", "a.b", "@x", "", "{user}", "b"];

const TOPICS: &[&str] = &["a", "b", "ada", "*", ">", "{user}", "", "@x"];
const GRANTS: &[&str] = &["a", "b", "*", ">", "{user}"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_may_subscribe_to_a_pattern_may_subscribe_to_every_topic_that_it_matches(
        granted in vec(text(GRANTS), 0..4),
        ruled in vec((text(&["a", "b", "*", ">"]), access()), 0..4),
        pattern in text(&["a", "b", "ada", "*", ">"]),
        topics in vec(text(TOPICS), 1..16),
        user in select(NAMES.to_vec()),
        is_open in any::<bool>(),
        is_api_key in any::<bool>(),
    ) {
        let Ok(pattern) = pattern.parse::<Pattern>() else { return Ok(()) };
        let (grants, rules) = (grants(&granted), rules(&ruled));
        let default = if is_open { Access::Anyone } else { Access::Granted };
        let permissions = Permissions { rules: &rules, default };
        let who = Requester { user: Some(user), client: None, grants: &grants, is_api_key };
        let all = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
        for permission in all {
            if !permissions.decide(&who, permission, &Target::Pattern(pattern.clone())).is_allowed {
                continue;
            }
            for topic in topics.iter().map(|topic| Topic::from(topic.as_str())).filter(|topic| pattern.matches(topic)) {
                let decision = permissions.decide(&who, permission, &Target::Topic(topic.clone()));
                prop_assert!(decision.is_allowed, "{} {:?}: {}", permission, topic, decision.because);
            }
        }
    }

    #[test]
    fn each_decision_about_a_topic_is_that_of_a_naive_model(
        granted in vec((access_kind(), text(GRANTS)), 0..5),
        ruled in vec((text(&["a", "b", "*", ">"]), access(), access()), 0..4),
        topic in text(TOPICS),
        user in select(NAMES.to_vec()),
        is_open in any::<bool>(),
    ) {
        let texts = granted.iter().filter_map(|(permission, text)| Some((*permission, Grant::parse(text).ok()?)));
        let grants = Grants::new(texts);
        let list = ruled.iter().filter_map(|(pattern, subscribe, publish)| {
            let access = TopicAccess { subscribe: *subscribe, publish: *publish };
            Some(TopicRule { pattern: pattern.parse().ok()?, policy: TopicPolicy { access, ..TopicPolicy::default() } })
        });
        let rules = TopicRules { list: list.collect() };
        let default = if is_open { Access::Anyone } else { Access::Granted };
        let permissions = Permissions { rules: &rules, default };
        let who = Requester { user: Some(user), client: None, grants: &grants, is_api_key: false };
        for permission in [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History] {
            let decided = permissions.decide(&who, permission, &Topic::from(topic.as_str()).into()).is_allowed;
            let naive = naive(&granted, &ruled, &topic, user, is_open, permission);
            prop_assert_eq!(decided, naive, "{} {:?} as {:?}", permission, topic, user);
        }
    }

    #[test]
    fn a_name_is_one_token_and_opens_nothing_else(
        user in select(NAMES.to_vec()),
        topic in text(TOPICS),
    ) {
        let grants = grants(&["room.{user}".into(), "@{user}".into()]);
        let rules = TopicRules::default();
        let permissions = Permissions { rules: &rules, default: Access::Granted };
        let who = Requester { user: Some(user), client: None, grants: &grants, is_api_key: false };
        let publish = |topic: String| permissions.decide(&who, Permission::Publish, &Topic::from(topic).into()).is_allowed;
        let is_own = |topic: &str| topic == format!("room.{user}") && !user.is_empty() && !user.contains('.');
        for topic in [topic.clone(), format!("room.{topic}"), format!("@{topic}"), format!("room.{user}")] {
            let is_private = topic == format!("@{user}");
            prop_assert_eq!(publish(topic.clone()), is_own(&topic) || is_private, "{}", topic);
        }
        for pattern in ["room.*", "room.>", ">", "*"] {
            let target = Target::Pattern(pattern.parse().unwrap());
            prop_assert!(!permissions.decide(&who, Permission::Subscribe, &target).is_allowed, "{}", pattern);
        }
    }
}

#[test]
fn each_step_decides_before_the_next() {
    use Access::{Anyone, Granted};
    use Permission::{History, Publish, Subscribe};
    let rules = rules(&[
        ("news.secret".into(), Some(Access::Nobody)),
        ("news.>".into(), Some(Anyone)),
        ("chat.>".into(), Some(Granted)),
    ]);
    let grants = grants(&["news.secret".into(), "chat.*".into(), "@bob".into()]);
    let nothing = Grants::default();
    let own = ClientId::from_random([7; 16]);
    let decide = |grants, is_api_key, default, permission, name: &str| {
        let permissions = Permissions { rules: &rules, default };
        let who = Requester { user: Some("ada"), client: Some(own), grants, is_api_key };
        permissions.decide(&who, permission, &Topic::from(name).into()).is_allowed
    };
    for (given, is_api_key, default, permission, topic, expected) in [
        (&grants, false, Granted, Subscribe, "@ada", true),
        (&grants, false, Granted, Subscribe, "@bob", false),
        (&grants, false, Granted, Publish, "@bob", true),
        (&grants, false, Granted, Publish, "@eve", false),
        (&nothing, false, Anyone, Publish, "@eve", true),
        (&nothing, false, Anyone, History, "@eve", false),
        (&grants, false, Granted, Publish, "news.secret", false),
        (&grants, true, Granted, Publish, "news.secret", true),
        (&nothing, false, Granted, History, "news.tea", true),
        (&nothing, true, Anyone, Publish, "news.tea", false),
        (&nothing, false, Anyone, Publish, "chat.a", false),
        (&grants, false, Anyone, Publish, "chat.a", true),
        (&nothing, false, Anyone, Publish, "else", true),
        (&nothing, false, Granted, Publish, "else", false),
    ] {
        assert_eq!(decide(given, is_api_key, default, permission, topic), expected, "{permission} {topic}");
    }
    assert!(decide(&nothing, false, Granted, Subscribe, &own.to_string()));
}

#[test]
fn a_text_that_is_no_grant_says_why() {
    for (text, is_grant) in [
        ("room.{user}.>", true),
        ("@*", true),
        ("@{user}", true),
        ("@ada.inbox", true),
        ("room.x{user}", false),
        ("@a.{user}", false),
        ("@*.x", false),
        ("@", false),
        ("", false),
        ("a..b", false),
        ("a\nb", false),
        ("a*", false),
    ] {
        assert_eq!(Grant::parse(text).is_ok(), is_grant, "{text:?}");
    }
}
