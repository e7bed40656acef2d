//! The schedule: the order in which it hands out items, and which connections it stops.
use super::*;
use crate::schedule::item::Item;
use hubcast_hub::{Input, SessionId};
use hubcast_protocol::{ClientId, typed};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

/// The item of a request that the connection in `slot` sent. `text` is the request in the typed dialect.
fn input(slot: u32, text: &str) -> Item {
    Item::Input(Input::Request { session: SessionId(slot), request: typed::decode(text) })
}

/// The item of a publish request.
fn publication(slot: u32) -> Item {
    input(slot, r#"{"action":"publish","topic":"t","message":"x"}"#)
}

/// The item of a ping request.
fn ping(slot: u32) -> Item {
    input(slot, r#"{"id":1,"action":"ping"}"#)
}

/// Hands out one slice, in which `cost` says what each item costs. Returns the slot of each item, in order.
fn slice(schedule: &mut Schedule, is_behind: bool, cost: impl Fn(u32, &Item) -> Cost) -> Vec<u32> {
    let mut served = Vec::new();
    schedule.begin_slice(is_behind);
    while let Some((slot, item)) = schedule.next(None) {
        schedule.charge(cost(slot, &item));
        served.push(slot);
    }
    schedule.end_slice(|_| {}, |_| {});
    served
}

/// A cost of 1000 nanoseconds in the hub and `delivery` nanoseconds to carry out what follows.
fn costs(delivery: u64) -> Cost {
    Cost { hub: 1_000, delivery, joined: false }
}

#[test]
fn what_fits_into_a_slice_is_served_in_the_order_in_which_it_came() {
    let mut schedule = Schedule::default();
    let order = [3, 1, 2, 1, 3, 3, 2];
    order.iter().for_each(|slot| schedule.push(*slot, publication(*slot)));
    assert_eq!(slice(&mut schedule, false, |_, _| costs(1_000)), order);
    assert!(schedule.is_empty() && schedule.lanes.is_empty() && schedule.bytes == 0);
}

#[test]
fn a_ping_goes_before_crowds_of_costly_publications() {
    let mut schedule = Schedule::default();
    for slot in 0..100 {
        (0..50).for_each(|_| schedule.push(slot, publication(slot)));
    }
    let cost = |slot: u32, _: &Item| costs(if slot < 100 { 36_000_000 } else { 500 });
    assert_eq!(slice(&mut schedule, false, cost).len(), 1, "one is more than a slice");
    for round in 0..200 {
        schedule.push(100, ping(100));
        let served = slice(&mut schedule, false, cost);
        assert_eq!(served.first(), Some(&100), "round {round}");
        assert_eq!(served.len(), 2, "round {round}");
    }
}

#[test]
fn what_is_left_of_an_item_goes_on_before_the_next_of_its_connection_and_after_others() {
    let mut schedule = Schedule::default();
    (0..2).for_each(|_| schedule.push(1, publication(1)));
    schedule.push(2, ping(2));
    // The hub handles each publication in three parts. After the first and the second part, the test puts the rest
    // back.
    let (mut served, mut parts) = (Vec::new(), 0);
    for _ in 0..10 {
        schedule.begin_slice(false);
        while let Some((slot, item)) = schedule.next(None) {
            served.push((slot, item.kind() == Kind::Rest));
            let is_part = slot == 1 && {
                parts += 1;
                parts % 3 != 0
            };
            if is_part {
                schedule.put_back(slot, Item::Input(Input::Continue { session: SessionId(slot) }));
            }
            schedule.charge(Cost { hub: if slot == 1 { 1_000_000 } else { 1_000 }, ..Cost::default() });
        }
        schedule.end_slice(|_| {}, |_| {});
    }
    let publication = [(1, false), (1, true), (1, true)];
    let expected = [&publication[..1], &[(2, false)], &publication[1..], &publication].concat();
    assert_eq!(served, expected);
    assert!(schedule.is_empty() && schedule.bytes == 0);
}

#[test]
fn a_new_connection_owes_nothing_for_the_one_that_had_its_slot() {
    let cost = |_: u32, item: &Item| costs(if item.kind() == Kind::Departure { 900_000_000 } else { 3_000_000 });
    let mut schedule = Schedule::default();
    (0..1000).for_each(|_| schedule.push(2, publication(2)));
    slice(&mut schedule, false, cost);
    schedule.push(1, Item::Input(Input::Closed { session: SessionId(1), lost: true }));
    while schedule.has_lane(1) {
        slice(&mut schedule, false, cost);
    }
    schedule.push(1, Item::Input(Input::connect(SessionId(1), ClientId::from_random([1; 16]))));
    schedule.push(1, publication(1));
    let served: Vec<_> = (0..3).flat_map(|_| slice(&mut schedule, false, cost)).collect();
    assert_eq!(served.iter().filter(|slot| **slot == 1).count(), 2, "{served:?}");
    assert!(schedule.has_lane(2));
}

#[test]
fn who_causes_much_work_waits_for_itself() {
    let mut schedule = Schedule::default();
    for _ in 0..1000 {
        schedule.push(1, publication(1));
        schedule.push(2, publication(2));
    }
    let cost = |slot: u32, _: &Item| costs(if slot == 1 { 9_000_000 } else { 3_000_000 });
    let mut served = BTreeMap::<u32, u64>::new();
    for _ in 0..100 {
        slice(&mut schedule, false, cost).into_iter().for_each(|slot| *served.entry(slot).or_default() += 1);
    }
    let ratio = (served[&2] * 10) / served[&1];
    assert!((27..=33).contains(&ratio), "three times as much costs as much: {served:?}");
}

#[test]
fn one_that_is_behind_does_only_what_is_quickly_done() {
    let mut schedule = Schedule::default();
    schedule.push(1, publication(1));
    schedule.push(2, ping(2));
    assert_eq!(slice(&mut schedule, true, |_, _| costs(500)), [2]);
    assert!(schedule.has_lane(1) && !schedule.has_lane(2));
    assert_eq!(slice(&mut schedule, false, |_, _| costs(500)), [1]);
    assert!(schedule.is_empty());
}

#[test]
fn what_joins_goes_on_after_the_end_of_a_slice() {
    let mut schedule = Schedule::default();
    (0..10).for_each(|slot| schedule.push(slot, publication(slot)));
    schedule.push(10, ping(10));
    let topic = "t".into();
    schedule.begin_slice(false);
    let mut served = 0;
    while let Some((slot, _)) = schedule.next((served > 0).then_some(Growing { topic: &topic, room: 1 })) {
        assert_eq!(slot, served);
        schedule.charge(Cost { hub: 500, delivery: if served == 0 { 90_000_000 } else { 500 }, joined: served > 0 });
        served += 1;
    }
    assert_eq!(served, 10, "and the ping does not join");
}

#[test]
fn a_connection_is_not_read_while_something_of_it_is_left_over() {
    let mut schedule = Schedule::default();
    (0..3).for_each(|_| schedule.push(7, publication(7)));
    let mut calls = Vec::new();
    for _ in 0..3 {
        schedule.begin_slice(false);
        while schedule.next(None).is_some() {
            schedule.charge(costs(30_000_000));
        }
        let (mut stopped, mut released) = (Vec::new(), Vec::new());
        schedule.end_slice(|slot| stopped.push(slot), |slot| released.push(slot));
        calls.push((stopped, released));
    }
    assert_eq!(calls, [(vec![7], vec![]), (vec![], vec![]), (vec![], vec![7])]);
}

#[test]
fn the_more_waits_the_less_is_read_at_once() {
    let mut schedule = Schedule::default();
    let text = "x".repeat(60_000);
    let large = || input(1, &format!(r#"{{"action":"publish","topic":"t","message":"{text}"}}"#));
    let mut limits = vec![schedule.read_limit()];
    for _ in 0..200 {
        schedule.push(1, large());
        limits.push(schedule.read_limit());
    }
    limits.dedup();
    assert_eq!(limits, [usize::MAX, SHORT_READ_BYTES, SHORTEST_READ_BYTES]);
    while !schedule.is_empty() {
        slice(&mut schedule, false, |_, _| costs(5_000_000));
    }
    assert_eq!((schedule.bytes, schedule.read_limit()), (0, usize::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every item is handed out, and none twice. A ping is in the second slice after its arrival at the latest,
    /// whatever the items of other connections cost.
    #[test]
    fn nobody_waits_for_long_and_nothing_is_lost_or_overtaken(
        steps in vec((0..6u32, 1..20usize, 0..4usize), 1..60),
    ) {
        const COSTS: [u64; 4] = [500, 90_000, 9_000_000, 90_000_000];
        let mut schedule = Schedule::default();
        let (mut pushed, mut served) = (BTreeMap::<u32, u64>::new(), BTreeMap::<u32, u64>::new());
        for (slot, count, _) in &steps {
            (0..*count).for_each(|_| schedule.push(*slot, publication(*slot)));
            *pushed.entry(*slot).or_default() += *count as u64;
            schedule.push(9, ping(9));
            *pushed.entry(9).or_default() += 1;
            for wait in 0.. {
                let costly = COSTS[steps[usize::try_from(*slot).unwrap() % steps.len()].2];
                let of_slice = slice(&mut schedule, false, |slot, _| costs(if slot == 9 { 500 } else { costly }));
                of_slice.iter().for_each(|slot| *served.entry(*slot).or_default() += 1);
                prop_assert!(wait < 2, "the ping waits for {wait} slices");
                if of_slice.contains(&9) {
                    break;
                }
            }
        }
        for _ in 0..10_000 {
            slice(&mut schedule, false, |_, _| costs(1_000_000)).into_iter()
                .for_each(|slot| *served.entry(slot).or_default() += 1);
        }
        prop_assert!(schedule.is_empty() && schedule.bytes == 0);
        prop_assert_eq!(pushed, served);
    }
}

#[test]
fn a_ping_goes_before_publications_that_are_joined() {
    let mut schedule = Schedule::default();
    for slot in 0..8 {
        (0..1700).for_each(|_| schedule.push(slot, publication(slot)));
    }
    schedule.push(8, ping(8));
    let topic = "t".into();
    for round in 0..200 {
        schedule.begin_slice(false);
        let (mut joined, mut answered) = (None, false);
        while let Some((slot, _)) =
            schedule.next(joined.filter(|joined| *joined < 64).map(|_| Growing { topic: &topic, room: 1 }))
        {
            answered |= slot == 8;
            let growing = joined.filter(|joined| slot != 8 && *joined < 64);
            let delivery = match (slot, growing) {
                (8, _) => 500,
                (_, Some(_)) => 100_000,
                (_, None) => 36_000_000,
            };
            joined = if slot == 8 { joined } else { Some(growing.map_or(1, |joined| joined + 1)) };
            schedule.charge(Cost { hub: 500, delivery, joined: growing.is_some() });
        }
        schedule.end_slice(|_| {}, |_| {});
        assert!(answered || round == 0, "round {round} {schedule:?}");
        schedule.push(8, ping(8));
    }
}
