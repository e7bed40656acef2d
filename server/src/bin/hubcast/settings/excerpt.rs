//! Shortens the values that an error shows: a file or a variable can be many megabytes long.

use std::borrow::Cow;

/// The first [`SHOWN`] characters of a value; `…` stands for the rest.
pub(crate) fn excerpt(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]).into(),
        None => value.into(),
    }
}

/// The most characters of a value that an error shows.
pub(super) const SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters_and_a_short_one_stays() {
        assert_eq!(excerpt(&"ä".repeat(201)), format!("{}…", "ä".repeat(200)));
        assert_eq!(excerpt(&"ä".repeat(200)), "ä".repeat(200));
        assert_eq!(excerpt(""), "");
    }
}
