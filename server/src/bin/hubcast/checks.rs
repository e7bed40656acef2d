//! What a value must be, alone and beside the others; a fault is named as the value was written.

use crate::effective::Effective;
use crate::units::{AutoCount, Period, Size};
use anyhow::bail;
use std::time::Duration;

/// One demand on a setting.
struct Rule {
    key: &'static str,
    holds: bool,
    allowed: String,
}

/// Checks all rules.
///
/// # Errors
/// Every rule that is broken, a line for each.
pub(crate) fn check(effective: &Effective) -> anyhow::Result<()> {
    let rules = [numbers(effective), durations(effective), beside_each_other(effective)];
    let broken = rules.iter().flatten().filter(|rule| !rule.holds);
    let faults: Vec<_> =
        broken.map(|rule| format!("{}: must be {}", effective.written(rule.key), rule.allowed)).collect();
    if faults.is_empty() { Ok(()) } else { bail!(faults.join("\n       ")) }
}

fn numbers(effective: &Effective) -> Vec<Rule> {
    let options = &effective.options;
    let workers = match options.workers {
        AutoCount::Auto => true,
        AutoCount::Exactly(workers) => (1..=256).contains(&workers),
    };
    vec![
        rule("workers", workers, "1 to 256, or auto"),
        rule("max_connections", options.max_connections != AutoCount::Exactly(0), "at least 1, or auto"),
        rule("max_head", options.max_head >= Size(8 * 1024), "at least 8KiB"),
        rule("max_headers", options.max_headers.0 > 0, "at least 1"),
        rule("max_frame", options.max_frame.0 > 0, "at least 1"),
        rule("max_fragments", options.max_fragments.0 > 0, "at least 1"),
        rule("max_topic", options.max_topic.0 >= UUID, "at least 36, the length of a connection's own topic"),
        rule("max_subscriptions", options.max_subscriptions.0 > 0, "at least 1"),
    ]
}

fn durations(effective: &Effective) -> Vec<Rule> {
    let options = &effective.options;
    let waits = [
        ("head_timeout", options.head_timeout),
        ("upgrade_timeout", options.upgrade_timeout),
        ("message_timeout", options.message_timeout),
        ("ping", options.ping),
        ("pong_timeout", options.pong_timeout),
        ("write_timeout", options.write_timeout),
        ("close_timeout", options.close_timeout),
    ];
    waits.into_iter().map(|(key, wait)| rule(key, wait > Period(Duration::ZERO), "longer than nothing")).collect()
}

fn beside_each_other(effective: &Effective) -> Vec<Rule> {
    let options = &effective.options;
    let at_most = |other| format!("at most {}", effective.written(other));
    let at_least = |other| format!("at least {}", effective.written(other));
    vec![
        rule("max_frame", options.max_frame <= options.max_message, at_most("max_message")),
        rule("max_topic", options.max_topic <= options.max_message, at_most("max_message")),
        rule("max_outbox", options.max_outbox >= options.max_message, at_least("max_message")),
        rule("max_waiting", options.max_waiting >= options.max_outbox, at_least("max_outbox")),
        rule("drain_spread", options.drain_spread <= options.drain_deadline, at_most("drain_deadline")),
    ]
}

fn rule(key: &'static str, holds: bool, allowed: impl Into<String>) -> Rule {
    Rule { key, holds, allowed: allowed.into() }
}

/// Bytes of a UUID as text: what a private topic is called.
const UUID: usize = 36;

#[cfg(test)]
mod tests {
    use crate::effective::tests::of_file;

    fn fault(text: &str) -> String {
        of_file(text).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_hold() {
        assert!(of_file("").is_ok());
    }

    #[test]
    fn a_number_out_of_range_is_named_with_the_range() {
        assert_eq!(fault("workers = 257"), "some.toml: workers = 257: must be 1 to 256, or auto");
        assert_eq!(fault("workers = 0"), "some.toml: workers = 0: must be 1 to 256, or auto");
        assert_eq!(fault("max_head = \"4KiB\""), "some.toml: max_head = \"4KiB\": must be at least 8KiB");
        assert_eq!(fault("ping = \"0s\""), "some.toml: ping = \"0s\": must be longer than nothing");
        for key in ["max_connections", "max_headers", "max_frame", "max_fragments", "max_topic", "max_subscriptions"] {
            assert!(fault(&format!("{key} = 0")).contains("must be at least"), "{key}");
        }
    }

    #[test]
    fn a_frame_is_no_larger_than_its_message() {
        let fault = fault("max_frame = \"128KiB\"");
        assert_eq!(fault, "some.toml: max_frame = \"128KiB\": must be at most max_message = \"64KiB\" (the default)");
    }

    #[test]
    fn an_outbox_holds_at_least_one_message() {
        assert!(fault("max_outbox = \"32KiB\"").contains("must be at least max_message = \"64KiB\" (the default)"));
    }

    #[test]
    fn all_outboxes_together_hold_at_least_one() {
        assert!(fault("max_waiting = \"512KiB\"").contains("must be at least max_outbox = \"1MiB\" (the default)"));
    }

    #[test]
    fn draining_ends_no_later_than_its_deadline() {
        let fault = fault("drain_spread = \"20s\"\ndrain_deadline = \"15s\"");
        assert_eq!(fault, "some.toml: drain_spread = \"20s\": must be at most some.toml: drain_deadline = \"15s\"");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(fault("workers = 0\nping = \"0s\"").lines().count(), 2);
    }

    #[test]
    fn lingering_spreading_and_the_rate_may_be_nothing() {
        assert!(of_file("linger = \"0s\"\ndrain_spread = \"0s\"\nrequests_per_second = 0").is_ok());
    }
}
