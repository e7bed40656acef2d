//! Benchmarks of the hub: one publication to few and to many sessions, with and without a history; connecting,
//! subscribing and leaving among few and among many others; and leaving under few and under many rules.
//!
//! `cargo bench -p hubcast-hub` runs all; `cargo bench -p hubcast-hub -- subscribe` runs those with `subscribe` in
//! their name.

mod churn;
mod crowd;
mod fan_out;
mod members;
mod rules;

use criterion::Criterion;
use std::time::Duration;

fn main() {
    let short = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut criterion = short.configure_from_args();
    fan_out::subscribers(&mut criterion);
    fan_out::unrelated_patterns(&mut criterion);
    fan_out::wide_patterns(&mut criterion);
    members::come_and_go(&mut criterion);
    members::come_and_go_watched(&mut criterion);
    churn::among_other_topics(&mut criterion);
    rules::leave_under_rules(&mut criterion);
    criterion.final_summary();
}
