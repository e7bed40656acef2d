//! The shipped server and the shipped client machines in a simulated world in which everything breaks.
//!
//! One seed is one run: clients connect, subscribe, publish and unsubscribe at random, while connections break, readers
//! are slow, and servers restart with their state or without it. A run has no socket, no thread and no clock, only a
//! queue of events in virtual time. The server is the real one except for these three, with its workers, its turns and
//! its deadlines. The seed decides which worker runs next, and the wire to a client carries the bytes of real frames.
//!
//! A record says what the hub made of each publication, and each subscription is checked against it: it receives
//! everything once and in order, or a gap for what is missing, and in the end nothing is left anywhere. Direct messages
//! reach their owner and no other client. Where requests are limited, no more than the limit take effect.
//!
//! - `scenario`: what a seed decides before anything happens
//! - `world`: a run, with the server's side, the clients' side and what breaks between them
//! - `wire`, `client`: a connection; a machine and the program that uses it
//! - `record`, `stream`, `direct`: what really happened, and what subscriptions and owners of ids received of it
//! - `queue`, `random`, `trace`: the events to come, random numbers from a seed, and the last lines before a failure
//!
//! `HUBCAST_SEEDS=n` makes n small runs, `HUBCAST_SEED=k` makes one run again and shows its last events.

mod client;
mod direct;
mod queue;
mod random;
mod record;
mod scenario;
mod stream;
mod trace;
mod wire;
mod world;

use scenario::Size;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use world::{Failure, Tally, World};

#[test]
fn every_subscriber_of_a_few_saw_everything_or_got_a_gap_for_what_it_missed() {
    run_all(Size::Small, 1000);
}

#[test]
fn every_subscriber_of_hundreds_saw_everything_or_got_a_gap_for_what_it_missed() {
    run_all(Size::Large, 20);
}

/// Makes the runs that the environment asks for, or `usual` runs.
fn run_all(size: Size, usual: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("HUBCAST_SEED") {
        return show(seed, size);
    }
    let runs = match size {
        Size::Small => number("HUBCAST_SEEDS").unwrap_or(usual),
        Size::Large => usual,
    };
    let (next, outcome) = (AtomicU64::new(0), Mutex::new((Tally::default(), None)));
    let outcome = || outcome.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= runs || outcome().1.is_some() {
                        break;
                    }
                    match catch_unwind(|| World::run(seed, size, false)) {
                        Ok(Ok(tally)) => outcome().0.add(tally),
                        _ => _ = outcome().1.get_or_insert(seed),
                    }
                }
            });
        }
    });
    let (sum, failed) = *outcome();
    if let Some(seed) = failed {
        show(seed, size);
        panic!("seed {seed} failed among others, but not alone: a run depends on more than its seed");
    }
    println!("{runs} runs: {sum:?}");
    let is_whole = sum.directs > 0 && sum.limited > 0;
    assert!(is_whole || runs < usual, "nobody got a direct message, or nobody asked too often");
}

/// Makes one run, and panics with all that is known if it fails.
fn show(seed: u64, size: Size) {
    let name = match size {
        Size::Small => "of_a_few",
        Size::Large => "of_hundreds",
    };
    println!("HUBCAST_SEED={seed} cargo test -p hubcast-tests --test simulation {name} -- --nocapture");
    if let Err(Failure { client, what, trace }) = World::run(seed, size, true) {
        let who = client.map_or("the server".to_owned(), |client| format!("client {client}"));
        panic!("seed {seed}, {who}: {what}\nbefore that:\n{}", trace.join("\n"));
    }
}
