//! Text of a token for a terminal. A token can come from anybody: nothing in it may move the cursor or hide text.

use crate::commands::printable;
use serde::de::IgnoredAny;
use std::time::{Duration, UNIX_EPOCH};

/// JSON text with its members one below the other, in their order and as they were written, also those that come twice.
/// `None` if it is no JSON.
pub(super) fn indented(json: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let (mut text, mut depth, mut is_open) = (String::new(), 1, false);
    let (mut in_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            text.push(c);
            continue;
        }
        match c {
            '}' | ']' => {
                depth -= 1;
                if !std::mem::take(&mut is_open) {
                    break_line(&mut text, depth);
                }
                text.push(c);
                continue;
            }
            c if c.is_ascii_whitespace() => continue,
            _ if std::mem::take(&mut is_open) => break_line(&mut text, depth),
            _ => {}
        }
        text.push(c);
        match c {
            '"' => in_string = true,
            '{' | '[' => (depth, is_open) = (depth + 1, true),
            ',' => break_line(&mut text, depth),
            ':' => text.push(' '),
            _ => {}
        }
    }
    Some(printable::lines(&text))
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A moment, and how far it is from now.
pub(super) fn time(unix: u64, unix_now: u64) -> String {
    if unix > LAST_SECOND {
        return format!("{unix}, after the year 9999");
    }
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix));
    match unix.checked_sub(unix_now) {
        Some(left) => format!("{date}, in {}", roughly(left)),
        None => format!("{date}, {} ago", roughly(unix_now - unix)),
    }
}

fn roughly(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The last second of the year 9999, after which there is no date of HTTP.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_order_its_numbers_and_members_that_come_twice() {
        let json = r#"{"b":1e400,"a":[ ],"b":{"x":"a,\"{:\\"},"c":["y",2]}"#;
        let expected = "{\n    \"b\": 1e400,\n    \"a\": [],\n    \"b\": {\n      \"x\": \"a,\\\"{:\\\\\"\n    },\n    \"c\": [\n      \"y\",\n      2\n    ]\n  }";
        assert_eq!(indented(json).unwrap(), expected);
        assert_eq!(indented("{}").unwrap(), "{}");
        for text in ["", "{", "{\"a\":\"\u{1b}\"}", "a"] {
            assert_eq!(indented(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text_around() {
        let json = "{\"sub\":\"\u{9b}2J\u{202e}\u{7f}\"}";
        assert_eq!(indented(json).unwrap(), "{\n    \"sub\": \"\\u009b2J\\u202e\\u007f\"\n  }");
        assert_eq!(printable::lines("\u{1b}[2Já\n"), "\\u001b[2Já\n");
    }

    #[test]
    fn a_moment_has_its_distance() {
        assert_eq!(time(1_790_000_000, 1_790_000_000 - 3_600), "Mon, 21 Sep 2026 14:13:20 GMT, in 60m");
        assert_eq!(time(1_790_000_000, 1_790_000_090), "Mon, 21 Sep 2026 14:13:20 GMT, 90s ago");
        assert!(time(u64::MAX, 0).ends_with("after the year 9999"));
    }
}
