//! Looks at servers that are made up, and keys.

use super::super::answers::Stats;
use super::*;

pub(in super::super) fn model(sort: Sort) -> Model {
    Model::new("ws://a.example/socket", Duration::from_secs(1), sort, 20)
}

pub(in super::super) fn snapshot(
    publications: u64,
    topics: &[(&str, u64, u64)],
    clients: &[(&str, u64, u64)],
) -> Snapshot {
    let stats =
        Stats { server: "hubcast/0.1.0".into(), publications, deliveries: 10 * publications, ..Stats::default() };
    let topics = topics.iter().map(|(topic, subscribers, offset)| TopicInfo {
        topic: (*topic).into(),
        subscribers: *subscribers,
        epoch: Some("e".into()),
        offset: Some(*offset),
        publications: (*offset).min(100),
    });
    let clients = clients.iter().map(|(client, waiting_bytes, behind_ms)| ClientInfo {
        client: (*client).into(),
        user: Some("ada".into()),
        address: Some("192.0.2.1:5000".into()),
        waiting_bytes: *waiting_bytes,
        behind_ms: *behind_ms,
    });
    Snapshot { stats, topics: topics.collect(), clients: clients.collect(), is_complete: true }
}

fn names(model: &Model) -> Vec<String> {
    model.topics().0.iter().map(|topic| topic.name.clone()).collect()
}

#[test]
fn rates_are_the_growth_between_two_looks() {
    let (mut model, start) = (model(Sort::Rate), Instant::now());
    model.looked(start, Ok(snapshot(100, &[("a", 1, 10), ("b", 9, 10)], &[])));
    assert_eq!(model.figures.as_ref().unwrap().publications, None);
    model.looked(start + Duration::from_secs(2), Ok(snapshot(150, &[("a", 1, 40), ("b", 9, 20), ("new", 1, 5)], &[])));
    let figures = model.figures.as_ref().unwrap();
    assert_eq!((figures.publications, figures.deliveries), (Some(25.0), Some(250.0)));
    assert_eq!(model.publications.last(9), [25]);
    let rates: Vec<_> = model.topics().0.iter().map(|topic| topic.rate).collect();
    assert_eq!(rates, [Some(15.0), Some(5.0), None]);
    model.pressed(Key::Char('s'));
    assert_eq!(names(&model), ["b", "a", "new"]);
}

#[test]
fn a_server_that_was_started_anew_has_no_rates_yet() {
    let (mut model, start) = (model(Sort::Rate), Instant::now());
    let mut first = snapshot(100, &[("a", 1, 10)], &[]);
    first.stats.uptime_seconds = 50;
    model.looked(start, Ok(first));
    model.looked(start + Duration::from_secs(1), Ok(snapshot(500, &[("a", 1, 90)], &[])));
    assert_eq!(model.figures.as_ref().unwrap().publications, None);
    assert_eq!(model.topics().0[0].rate, None);
}

#[test]
fn a_fault_leaves_the_figures_and_is_gone_with_the_next_answer() {
    let (mut model, start) = (model(Sort::Rate), Instant::now());
    model.looked(start, Ok(snapshot(100, &[("a", 1, 10)], &[])));
    model.looked(start, Err("gone\u{1b}[2J".into()));
    assert_eq!(model.fault.as_deref(), Some("gone\\u001b[2J"));
    assert_eq!(names(&model), ["a"]);
    model.looked(start + Duration::from_secs(1), Ok(snapshot(100, &[], &[])));
    assert_eq!(model.fault, None);
}

#[test]
fn a_slow_client_says_why() {
    let (mut model, start) = (model(Sort::Outbox), Instant::now());
    model.looked(start, Ok(snapshot(0, &[], &[("a", 50, 0), ("b", 50, 0), ("c", 90, 0), ("e", 1_000_000, 0)])));
    model.looked(
        start,
        Ok(snapshot(0, &[], &[("a", 40, 0), ("b", 60, 0), ("c", 90, 9_000), ("d", 1, 0), ("e", 999_000, 0)])),
    );
    let shown: Vec<_> = model.clients().0.iter().map(|client| (&*client.id, &*client.why)).collect();
    assert_eq!(
        shown,
        [
            ("e", "reads slowly"),
            ("c", "takes nothing"),
            ("b", "falls behind"),
            ("a", "catches up"),
            ("d", "reads slowly")
        ]
    );
}

#[test]
fn keys_do_what_the_help_says() {
    let mut model = model(Sort::Rate);
    model.looked(Instant::now(), Ok(snapshot(0, &[("orders.eu", 1, 1), ("q", 1, 1)], &[])));
    assert!(model.pressed(Key::Char('/')));
    for key in ['q', 'x'].map(Key::Char).into_iter().chain([Key::Backspace]) {
        assert!(model.pressed(key));
    }
    assert_eq!((model.filter.as_str(), names(&model)), ("q", vec!["q".to_owned()]));
    model.pressed(Key::Enter);
    model.pressed(Key::Char('?'));
    assert_eq!(model.mode, Mode::Help);
    assert!(model.pressed(Key::Char('q')));
    assert_eq!(model.mode, Mode::Commands);
    model.pressed(Key::Char('p'));
    assert!(model.is_paused);
    model.pressed(Key::Escape);
    assert_eq!(names(&model).len(), 2);
    assert!(!model.pressed(Key::Char('q')));
}
