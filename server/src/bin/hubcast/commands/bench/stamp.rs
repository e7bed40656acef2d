//! The stamp of a published message, by which each subscriber checks what it receives.

/// The first 25 bytes of a message: its publisher, its number among that publisher's publications, and its scheduled
/// time.
///
/// On the wire: `#`, then 4, 8 and 12 hexadecimal digits. The `#` distinguishes it from a plain server's own messages.
/// Because of the fixed width it can be read without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The index of the publisher among all publishers.
    pub(super) publisher: u16,
    /// The number of the publication among those of its publisher, from 0.
    pub(super) sequence: u32,
    /// The scheduled time in nanoseconds since the load began; 48 bits are more than three days.
    pub(super) scheduled: u64,
}

impl Stamp {
    /// The bytes of a stamp, which is also the smallest size of a message.
    pub(super) const LENGTH: usize = 25;

    /// Reads the stamp at the beginning of `message`.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let (stamp, _) = message.split_first_chunk::<{ Self::LENGTH }>()?;
        if stamp[0] != MARK {
            return None;
        }
        Some(Self {
            publisher: u16::try_from(number(&stamp[1..5])).ok()?,
            sequence: u32::try_from(number(&stamp[5..13])).ok()?,
            scheduled: number(&stamp[13..]),
        })
    }

    /// Writes the stamp to the beginning of `message`.
    pub(super) fn write(self, message: &mut [u8; Self::LENGTH]) {
        message[0] = MARK;
        digits(self.publisher.into(), &mut message[1..5]);
        digits(self.sequence.into(), &mut message[5..13]);
        digits(self.scheduled, &mut message[13..]);
    }
}

/// Reads hexadecimal digits without branches. Other bytes give other numbers; the caller's checks find those.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number << 4 | u64::from((digit & 0x0f) + 9 * (digit >> 6)))
}

fn digits(mut number: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0x0f) as usize];
        number >>= 4;
    }
}

const MARK: u8 = b'#';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for (publisher, sequence, scheduled) in
            [(0, 0, 0), (7, 0x9abc_def0, 1_234_567_890), (u16::MAX, u32::MAX, (1 << 48) - 1)]
        {
            let stamp = Stamp { publisher, sequence, scheduled };
            let mut message = [b'.'; Stamp::LENGTH];
            stamp.write(&mut message);
            assert_eq!(Stamp::read(&message), Some(stamp));
        }
    }

    #[test]
    fn what_a_server_says_itself_has_no_stamp() {
        assert_eq!(Stamp::read(b"Server: Welcome! Your ID is 7f0c"), None);
        assert_eq!(Stamp::read(b"#0001"), None);
    }

    #[test]
    fn any_bytes_can_be_read_without_a_panic() {
        for byte in 0..=u8::MAX {
            let mut message = [byte; Stamp::LENGTH];
            message[0] = MARK;
            assert!(Stamp::read(&message).is_none_or(|stamp| stamp.scheduled < 1 << 52));
        }
    }
}
