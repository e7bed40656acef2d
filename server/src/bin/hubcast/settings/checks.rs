//! Checks the settings by the library's rules. An error names each value as it was written.

use super::layered::Settings;
use super::units::AutoCount;
use anyhow::bail;
use hubcast_server::{Allowed, Config, InvalidSetting};

/// Checks all rules of the library.
///
/// # Errors
/// All broken rules, one line each.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    // The number for `auto` is found later; the default satisfies the rules.
    let max_connections = match settings.options.max_connections {
        AutoCount::Auto => Config::default().max_connections,
        AutoCount::Exactly(asked) => asked as usize,
    };
    let config = settings.options.config(max_connections);
    let Err(error) = config.validate() else { return Ok(()) };
    let invalid: Vec<_> = error.invalid.iter().map(|fault| line(settings, fault)).collect();
    bail!(invalid.join("\n       "))
}

fn line(settings: &Settings, fault: &InvalidSetting) -> String {
    let key = key(fault.field);
    let allowed = match fault.allowed {
        Allowed::AtMost(field) => format!("at most {}", settings.origin_of(self::key(field))),
        Allowed::AtLeast(field) => format!("at least {}", settings.origin_of(self::key(field))),
        allowed => allowed.to_string(),
    };
    let or_auto = if ["workers", "max_connections"].contains(&key) { ", or auto" } else { "" };
    format!("{}: must be {allowed}{or_auto}", settings.origin_of(key))
}

/// The key of the setting for this field of the library's configuration.
fn key(field: &'static str) -> &'static str {
    match field {
        "http.head" => "max_head",
        "http.headers" => "max_headers",
        "messages.message" => "max_message",
        "messages.frame" => "max_frame",
        "messages.fragments" => "max_fragments",
        "limits.topic" => "max_topic",
        "limits.subscriptions" => "max_subscriptions",
        "limits.requests_per_second" => "requests_per_second",
        "outbox" => "max_outbox",
        "timeouts.head" => "head_timeout",
        "timeouts.upgrade" => "upgrade_timeout",
        "timeouts.message" => "message_timeout",
        "timeouts.ping" => "ping",
        "timeouts.pong" => "pong_timeout",
        "timeouts.write" => "write_timeout",
        "timeouts.close" => "close_timeout",
        "timeouts.linger" => "linger",
        "timeouts.publisher_pause" => "publisher_pause",
        "drain.spread" => "drain_spread",
        "drain.deadline" => "drain_deadline",
        rule if rule.starts_with("rules.") => "topics",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::super::layered::tests::of_file;
    use super::*;
    use std::time::Duration;

    fn fault(text: &str) -> String {
        check(&of_file(text).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_hold() {
        assert!(check(&of_file("").unwrap()).is_ok());
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
    fn a_smaller_message_alone_is_no_fault() {
        assert!(check(&of_file("max_message = \"32KiB\"").unwrap()).is_ok());
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
        assert!(check(&of_file("linger = \"0s\"\ndrain_spread = \"0s\"\nrequests_per_second = 0").unwrap()).is_ok());
    }

    #[test]
    fn every_field_that_the_library_checks_is_a_setting() {
        let (nothing, endless) = (Duration::ZERO, Duration::MAX);
        let mut config = Config { workers: Some(0), max_connections: 0, outbox: 0, ..Config::default() };
        (config.http.head, config.http.headers) = (0, 0);
        (config.messages.message, config.messages.frame, config.messages.fragments) = (1, 0, 0);
        (config.limits.topic, config.limits.subscriptions, config.limits.requests_per_second) = (0, 0, Some(0));
        (config.max_waiting, config.linger_bytes, config.history_max_bytes) = (0, usize::MAX, usize::MAX);
        let times = &mut config.timeouts;
        (times.head, times.upgrade, times.message, times.ping) = (nothing, nothing, nothing, nothing);
        (times.pong, times.write, times.close) = (nothing, nothing, nothing);
        (times.linger, times.publisher_pause) = (endless, endless);
        (config.drain.spread, config.drain.deadline) = (endless, endless);
        let settings = of_file("").unwrap();
        let invalid = config.validate().unwrap_err().invalid;
        assert!(invalid.len() > 20, "{invalid:?}");
        // `line` panics for a field without a setting.
        invalid.iter().for_each(|fault| drop(line(&settings, fault)));
    }
}
