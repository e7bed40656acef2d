//! Text from others for a terminal: nothing in it may move the cursor, set a title or turn text around.

/// Appends the text with control characters, and those that change the direction of text, as escapes. Line ends are
/// escaped too: what others write stays on its line.
pub(crate) fn push_line(text: &str, shown: &mut String) {
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c => push(c, shown),
        }
    }
}

/// The text as [`push_line`] writes it.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push_line(text, &mut shown);
    shown
}

/// The text with control characters, and those that change the direction of text, as escapes. Line ends stay.
pub(crate) fn lines(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c == '\n' {
            shown.push(c);
        } else {
            push(c, &mut shown);
        }
        shown
    })
}

fn push(c: char, shown: &mut String) {
    if c.is_control() || DIRECTIONS.contains(&c) {
        shown.push_str(&format!("\\u{:04x}", u32::from(c)));
    } else {
        shown.push(c);
    }
}

/// Characters that reorder the text around them, and the two further ends of a line.
const DIRECTIONS: [char; 14] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
    '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_that_steers_a_terminal_is_left() {
        let controls = (0..=0x9f).filter_map(char::from_u32).filter(|c| c.is_control());
        let all: String = controls.chain(DIRECTIONS).collect();
        assert_eq!(all.chars().count(), 32 + 33 + DIRECTIONS.len());
        let shown = line(&all);
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        assert_eq!(line("a\u{1b}]0;x\u{7}\né"), "a\\u001b]0;x\\u0007\\né");
        assert_eq!(lines("a\n\r"), "a\n\\u000d");
    }
}
