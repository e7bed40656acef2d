//! Topics and patterns: three lines are two patterns and a topic. What they say of each other has to agree, and matching is
//! compared with a simple model.

#![no_main]

use hubcast_protocol::{Pattern, Topic};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (Some(one), Some(other), Some(topic)) = (lines.next(), lines.next(), lines.next()) else { return };
    let topic = Topic::from(topic);
    let (one, other) = (one.parse::<Pattern>(), other.parse::<Pattern>());
    for pattern in [&one, &other].into_iter().flatten() {
        assert_eq!(pattern.as_str().parse::<Pattern>().map_err(drop), Ok(pattern.clone()));
        assert!(pattern.tokens().count() <= Pattern::MAX_TOKENS);
        assert!(pattern.covers(pattern) && pattern.overlaps(pattern));
        let tokens: Vec<_> = pattern.as_str().split('.').collect();
        let theirs: Vec<_> = topic.as_str().split('.').collect();
        let expected = topic.owner().is_none() && fits(&tokens, &theirs);
        assert_eq!(pattern.matches(&topic), expected, "{pattern:?} and {topic:?}");
    }
    if let (Ok(one), Ok(other)) = (one, other) {
        assert_eq!(one.overlaps(&other), other.overlaps(&one));
        if one.covers(&other) {
            assert!(one.overlaps(&other));
            assert!(!other.matches(&topic) || one.matches(&topic), "{one:?} covers {other:?}, and {topic:?} says no");
        }
        if one.matches(&topic) && other.matches(&topic) {
            assert!(one.overlaps(&other), "{topic:?} matches {one:?} and {other:?}");
        }
    }
});

fn fits(tokens: &[&str], theirs: &[&str]) -> bool {
    match (tokens, theirs) {
        ([">"], theirs) => !theirs.is_empty(),
        ([], []) => true,
        ([token, tokens @ ..], [first, theirs @ ..]) => (*token == "*" || token == first) && fits(tokens, theirs),
        _ => false,
    }
}
