//! Counts wrong API keys by address. It never refuses a right key: whoever asks has looked the key up before.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The addresses that presented wrong keys within the last minute, at most 65,536.
#[derive(Debug, Default)]
pub struct KeyFailures(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The time of the first failure, and how many there were.
    of: HashMap<IpAddr, (Instant, u32)>,
    /// The addresses in the order of their first failures.
    in_order: VecDeque<IpAddr>,
}

impl KeyFailures {
    /// Counts a wrong key. Returns after how long the address can try again, if it has had more than 20 in a minute:
    /// the answer is then 429 in place of 401.
    pub fn note(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let address = subscriber(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.forget(now);
        if !counts.of.contains_key(&address) {
            counts.in_order.push_back(address);
        }
        let (first, count) = counts.of.entry(address).or_insert((now, 0));
        *count = count.saturating_add(1);
        let left = MINUTE.saturating_sub(now.saturating_duration_since(*first));
        (*count > MAX_A_MINUTE).then_some(left)
    }
}

impl Counts {
    /// Drops the addresses whose minute is over, and the oldest one if there are too many.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.in_order.front() {
            let is_over = |(first, _): &(Instant, u32)| now.saturating_duration_since(*first) >= MINUTE;
            if !self.of.get(oldest).is_none_or(is_over) && self.in_order.len() < MAX_ADDRESSES {
                break;
            }
            self.of.remove(oldest);
            self.in_order.pop_front();
        }
    }
}

/// The address that one subscriber of a network has: an IPv4 address, or the first 64 bits of an IPv6 address, of which
/// it can use every one.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

const MAX_A_MINUTE: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
const MAX_ADDRESSES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_twenty_first_wrong_key_of_a_minute_is_too_many() {
        let (failures, start) = (KeyFailures::default(), Instant::now());
        let one = address("192.0.2.1");
        for second in 0..20 {
            assert_eq!(failures.note(one, start + Duration::from_secs(second)), None);
        }
        assert_eq!(failures.note(one, start + Duration::from_secs(20)), Some(Duration::from_secs(40)));
        assert_eq!(failures.note(address("192.0.2.2"), start + Duration::from_secs(20)), None);
        assert_eq!(failures.note(one, start + Duration::from_secs(60)), None);
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address_and_a_folded_ipv4_address_is_itself() {
        assert_eq!(subscriber(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(subscriber(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        let (failures, now) = (KeyFailures::default(), Instant::now());
        let last = (0..21).map(|host| failures.note(address(&format!("2001:db8::{host:x}")), now)).last();
        assert_eq!(last, Some(Some(MINUTE)));
    }

    #[test]
    fn the_oldest_address_goes_when_there_are_too_many() {
        let (failures, now) = (KeyFailures::default(), Instant::now());
        let first = IpAddr::from([10, 0, 0, 0]);
        for _ in 0..20 {
            failures.note(first, now);
        }
        for number in 1..=MAX_ADDRESSES {
            failures.note(IpAddr::from(u32::try_from(number).unwrap().to_be_bytes()), now);
        }
        let counts = failures.0.lock().unwrap();
        assert_eq!((counts.of.len(), counts.in_order.len()), (MAX_ADDRESSES, MAX_ADDRESSES));
        assert!(!counts.of.contains_key(&first));
    }
}
