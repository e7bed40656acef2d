//! The records of one publisher: what it has published, and when it may publish next. It has no socket.

use super::connection;
use super::pace::Pace;
use super::stamp::Stamp;
use std::mem;
use std::rc::Rc;
use tokio::sync::Notify;

/// One publisher, without its connection.
#[derive(Debug)]
pub(super) struct Publisher {
    index: u16,
    /// The frame of a publication, with a placeholder for its stamp.
    frame: Vec<u8>,
    stamp_at: usize,
    /// The next sequence number.
    next: u32,
    /// How many subscribers have not received a publication yet, by sequence number modulo the length; empty on a
    /// schedule.
    awaited: Box<[u32]>,
    outbox: Vec<u8>,
    bell: Rc<Notify>,
}

impl Publisher {
    pub(super) fn new(index: u16, topic: &str, payload: usize, pace: Pace) -> Self {
        let mut frame = Vec::new();
        connection::request(&mut frame, "publish", topic, &".".repeat(payload));
        let stamp_at = frame.len() - payload - r#""}"#.len();
        let awaited = match pace {
            Pace::Outstanding(count) => vec![0; count as usize].into(),
            Pace::Every(_) => Box::default(),
        };
        Self { index, frame, stamp_at, next: 0, awaited, outbox: Vec::new(), bell: Rc::default() }
    }

    /// The bytes of each frame in the outbox.
    pub(super) fn frame_len(&self) -> usize {
        self.frame.len()
    }

    /// Takes the outbox, and leaves `empty` in its place.
    pub(super) fn take_outbox(&mut self, empty: Vec<u8>) -> Vec<u8> {
        mem::replace(&mut self.outbox, empty)
    }

    pub(super) fn has_published(&self, sequence: u32) -> bool {
        sequence < self.next
    }

    /// A bell that rings when the outbox is not empty.
    pub(super) fn bell(&self) -> Rc<Notify> {
        self.bell.clone()
    }

    pub(super) fn publish(&mut self, scheduled: u64, subscribers: u32) {
        let stamp = Stamp { publisher: self.index, sequence: self.next, scheduled };
        if let Some(awaited) = self.slot(self.next) {
            *awaited = subscribers;
        }
        self.next += 1;
        let begin = self.outbox.len() + self.stamp_at;
        self.outbox.extend_from_slice(&self.frame);
        let (message, _) = self.outbox[begin..]
            .split_first_chunk_mut()
            .expect("the frame holds the payload, which is at least a stamp");
        stamp.write(message);
        self.bell.notify_one();
    }

    pub(super) fn has_room(&mut self) -> bool {
        self.slot(self.next).is_some_and(|awaited| *awaited == 0)
    }

    /// Records one arrival of a publication; `true` if it was the last outstanding one.
    pub(super) fn arrived(&mut self, sequence: u32) -> bool {
        self.slot(sequence).is_some_and(|awaited| {
            *awaited = awaited.saturating_sub(1);
            *awaited == 0
        })
    }

    fn slot(&mut self, sequence: u32) -> Option<&mut u32> {
        let slot = sequence.checked_rem(u32::try_from(self.awaited.len()).ok()?)?;
        self.awaited.get_mut(slot as usize)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::frame;
    use super::*;

    /// The messages of the publications in an outbox, which must contain whole frames.
    pub(in super::super) fn messages(mut outbox: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while !outbox.is_empty() {
            // Without mask bit and key it is a server's frame, which `take` can read.
            let key = if outbox[1] & 0x7f < 126 { 2 } else { 4 };
            let mut frame = [&outbox[..key], &outbox[key + 4..]].concat();
            frame[1] &= 0x7f;
            let mut left = frame.as_slice();
            let text = frame::take(&mut left).unwrap().expect("a whole frame").payload;
            let request: serde_json::Value = serde_json::from_slice(text).unwrap();
            assert_eq!(request["action"], "publish");
            messages.push(request["message"].as_str().unwrap().as_bytes().to_vec());
            outbox = &outbox[outbox.len() - left.len()..];
        }
        messages
    }

    #[test]
    fn messages_have_the_length_asked_for_and_count_on() {
        for payload in [25, 128, 60_000] {
            let mut publisher = Publisher::new(3, "t", payload, Pace::Outstanding(2));
            publisher.publish(10, 1);
            publisher.publish(20, 1);
            let outbox = publisher.take_outbox(Vec::new());
            let messages = messages(&outbox);
            assert!(messages.iter().all(|message| message.len() == payload));
            let stamps: Vec<_> = messages.iter().filter_map(|message| Stamp::read(message)).collect();
            assert_eq!(
                stamps,
                [
                    Stamp { publisher: 3, sequence: 0, scheduled: 10 },
                    Stamp { publisher: 3, sequence: 1, scheduled: 20 },
                ]
            );
        }
    }

    #[test]
    fn there_is_room_until_as_many_are_outstanding_as_may_be() {
        let mut publisher = Publisher::new(0, "t", 25, Pace::Outstanding(2));
        publisher.publish(0, 2);
        assert!(publisher.has_room());
        publisher.publish(0, 2);
        assert!(!publisher.has_room());
        assert!(!publisher.arrived(0));
        assert!(publisher.arrived(0));
        assert!(publisher.has_room());
    }
}
