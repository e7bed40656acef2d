//! The answer to a `history` request as one frame, encoded in parts as the socket takes it.
//!
//! An answer may be sixty megabytes long, and its client may read none of it. So only the publications wait here, which
//! the history keeps in memory in any case. To find the length for the header of the frame, they are encoded once
//! before, without keeping the text.

use crate::encode::batch;
use crate::websocket::frame::{self, Opcode};
use bytes::Bytes;
use hubcast_hub::{HistoryAnswer, Publication};
use hubcast_protocol::{Position, typed};
use serde_json::Value;
use std::io::{self, Write};
use std::vec;

/// A frame of which the rest is still to be written.
#[derive(Debug)]
pub(crate) struct HistoryReply {
    /// The bytes before the publications: the header, and the beginning of the JSON object.
    begin: Vec<u8>,
    publications: vec::IntoIter<Publication>,
    /// Whether the first publication is written.
    has_begun: bool,
    /// Approximate bytes that are left.
    left: usize,
    is_over: bool,
}

impl HistoryReply {
    pub(crate) fn new(answer: &HistoryAnswer) -> Self {
        let HistoryAnswer { id, topic, position, publications } = answer;
        let text = typed::encode_history_begin(id, topic, *position);
        let mut count = Count(text.len() + typed::HISTORY_END.len());
        for (number, publication) in publications.iter().enumerate() {
            write_entry(&mut count, publication, number == 0);
        }
        let mut begin = Vec::with_capacity(text.len() + 10);
        frame::append_header(&mut begin, Opcode::Text, count.0);
        begin.extend_from_slice(text.as_bytes());
        let left = begin.len() + publications.iter().map(batch::size).sum::<usize>();
        Self { begin, publications: publications.clone().into_iter(), has_begun: false, left, is_over: false }
    }

    /// The answer for HTTP: the JSON of a history, without a frame and without an id.
    pub(crate) fn as_json(answer: &HistoryAnswer) -> Self {
        let HistoryAnswer { topic, position: Position { epoch, offset }, publications, .. } = answer;
        let topic = Value::from(topic.as_str());
        let begin = format!("{{\"topic\":{topic},\"epoch\":\"{epoch}\",\"offset\":{offset},\"messages\":[");
        Self {
            left: begin.len() + publications.iter().map(batch::size).sum::<usize>(),
            begin: begin.into_bytes(),
            publications: publications.clone().into_iter(),
            has_begun: false,
            is_over: false,
        }
    }

    /// Whether the last bytes are taken.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Approximate bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Number of publications that are left.
    pub(crate) fn publications(&self) -> usize {
        self.publications.len()
    }

    /// The next bytes: at least `enough`, unless they are the last ones. The second value says whether they are the
    /// last ones.
    pub(crate) fn next(&mut self, enough: usize) -> (Bytes, bool) {
        let mut bytes = batch::room_for(self.publications.as_slice(), enough);
        bytes.append(&mut self.begin);
        while bytes.len() < enough
            && let Some(publication) = self.publications.next()
        {
            write_entry(&mut bytes, &publication, !self.has_begun);
            self.has_begun = true;
        }
        let is_last = self.publications.as_slice().is_empty();
        if is_last {
            self.is_over = true;
            bytes.extend_from_slice(typed::HISTORY_END.as_bytes());
        }
        self.left = self.publications.as_slice().iter().map(batch::size).sum();
        (Bytes::from(bytes), is_last)
    }
}

/// Writes a publication as an element of the list, after a comma if it is not the first one.
fn write_entry(out: &mut impl Write, publication: &Publication, is_first: bool) {
    let Some(position) = publication.position() else { return };
    let comma: &[u8] = if is_first { b"" } else { b"," };
    out.write_all(comma)
        .and_then(|()| typed::write_history_entry(out, position.offset, publication.payload(), publication.author()))
        .expect("memory takes everything");
}

/// A writer that counts bytes and drops them.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::batch::of_event;
    use hubcast_protocol::{Dialect, Epoch, Position, RequestId, Topic};

    fn answer(texts: impl IntoIterator<Item = String>) -> HistoryAnswer {
        let (topic, epoch) = (Topic::from("a \"topic\""), Epoch::from_random(7));
        let publications = (1..).zip(texts).map(|(offset, text)| {
            let position = Some(Position { epoch, offset });
            Publication::new(topic.clone(), text.as_str().into(), position)
        });
        let publications: Vec<_> = publications.collect();
        let position = Position { epoch, offset: publications.len() as u64 };
        HistoryAnswer { id: RequestId::Number(8), topic, position, publications }
    }

    #[test]
    fn in_parts_it_is_the_frame_that_it_is_as_a_whole() {
        for lengths in [vec![], vec![0], vec![5, 70_000, 1, 200_000], vec![3000; 50]] {
            let answer = answer(lengths.iter().map(|length| "\"ü\n".repeat(length / 4)));
            let whole = of_event(&answer.to_event(), Dialect::Typed).unwrap();
            for enough in [1, 1000, usize::MAX] {
                let (mut frame, mut bytes) = (HistoryReply::new(&answer), Vec::new());
                while {
                    let (part, is_last) = frame.next(enough);
                    bytes.extend_from_slice(&part);
                    !is_last
                } {}
                assert!(bytes == whole, "{lengths:?}, {enough} at once");
                assert_eq!(frame.left(), 0);
            }
        }
    }
}
