//! Positions in the histories of topics.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A position in one topic's history: after the publication with this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The identity of the history.
    pub epoch: Epoch,
    /// The offset of the last publication before this position. Offsets start at 1, so 0 is before the first.
    pub offset: u64,
}

impl Position {
    /// The highest possible offset, 2^53. Up to it, every JSON reader tells each number from the next.
    pub const MAX_OFFSET: u64 = 1 << 53;
}

/// The identity of one topic's history: a short text, opaque to clients.
///
/// It changes whenever the server cannot prove that the history is continuous. The text is at most [`Epoch::MAX_LEN`]
/// bytes and is stored in place, so that copying a position does not allocate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Epoch {
    len: u8,
    text: [u8; Epoch::MAX_LEN],
}

impl Epoch {
    /// The longest text, in bytes.
    pub const MAX_LEN: usize = 15;

    /// An epoch that no history has.
    pub const OF_NONE: Self = Self { len: 0, text: [0; Self::MAX_LEN] };

    /// Makes an epoch from a random number: base 62, at most eleven characters.
    pub fn from_random(mut number: u64) -> Self {
        let mut epoch = Self { len: 0, text: [0; Self::MAX_LEN] };
        loop {
            epoch.text[usize::from(epoch.len)] = DIGITS[(number % 62) as usize];
            epoch.len += 1;
            number /= 62;
            if number == 0 {
                return epoch;
            }
        }
    }

    /// The text as it is on the wire.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let mut epoch = Self { len: u8::try_from(text.len()).map_err(|_| InvalidEpoch)?, text: [0; Self::MAX_LEN] };
        epoch.text.get_mut(..text.len()).ok_or(InvalidEpoch)?.copy_from_slice(text.as_bytes());
        Ok(epoch)
    }
}

impl TryFrom<String> for Epoch {
    type Error = InvalidEpoch;

    fn try_from(text: String) -> Result<Self, InvalidEpoch> {
        text.parse()
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> Self {
        epoch.as_str().to_owned()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The text is longer than any epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an epoch has at most 15 bytes")]
pub struct InvalidEpoch;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_back_as_it_was_written() {
        for number in [0, 61, 62, u64::MAX] {
            let epoch = Epoch::from_random(number);
            assert_eq!(epoch.as_str().parse(), Ok(epoch));
        }
        assert_eq!("sixteen bytes...".parse::<Epoch>(), Err(InvalidEpoch));
    }
}
