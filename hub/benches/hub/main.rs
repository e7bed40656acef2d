//! What the hub costs: one publication to few and to many, with and without a history, and coming and going in a
//! small and in a large crowd, and under few rules and many.
//!
//! `cargo bench -p hubcast-hub` runs all of it; `cargo bench -p hubcast-hub -- subscribe` what has that in its name.

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
