//! Decodes the bytes of a client to messages.
//!
//! All connections of a worker read into one shared buffer, and bytes are decoded there in place. A connection uses
//! memory of its own only while one of its messages is incomplete. Limits are checked as soon as a header gives a
//! length, and text is checked as its bytes come, so that nothing is buffered that will be refused.

use crate::config::MessageLimits;
use crate::websocket::frame::{FrameHeader, Opcode, Violation, apply_mask};
use hubcast_protocol::CloseCode;

/// A complete and unmasked message or control frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// With the close code, if the client gave one.
    Close(Option<CloseCode>),
}

/// The decoder of one connection. It uses no memory of its own between messages.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: Option<Box<Partial>>,
}

/// An incomplete message, or an incomplete frame.
#[derive(Debug, Default)]
struct Partial {
    head: Vec<u8>,
    frame: Option<Frame>,
    control: Vec<u8>,
    message: Vec<u8>,
    /// Bytes at the start of a text message that are checked to be valid UTF-8.
    valid: usize,
    /// The kind of the message, from its first frame, while the message is incomplete.
    kind: Option<Opcode>,
    /// Number of continuation frames of the message.
    fragments: u32,
}

/// A frame whose payload is incomplete.
#[derive(Debug)]
struct Frame {
    header: FrameHeader,
    done: usize,
}

impl Decoder {
    /// Decodes bytes. Returns how many frames they completed.
    ///
    /// # Errors
    /// When the client broke the protocol or a limit. The decoder must not be fed again.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &mut [u8],
        limits: &MessageLimits,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> Result<usize, Violation> {
        let mut frames = 0;
        while !bytes.is_empty() {
            if self.partial.is_none() {
                match whole_frame(bytes, limits, &mut sink)? {
                    Some(taken) => {
                        bytes = &mut bytes[taken..];
                        frames += 1;
                        continue;
                    }
                    None => self.partial = Some(Box::default()),
                }
            }
            let partial = self.partial.get_or_insert_default();
            let (taken, completed) = partial.feed(bytes, limits, &mut sink)?;
            bytes = &mut bytes[taken..];
            frames += usize::from(completed);
            if partial.is_over() {
                self.partial = None;
            }
        }
        Ok(frames)
    }

    /// Bytes of memory that the incomplete message uses.
    pub(crate) fn bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.message.capacity() + size_of::<Partial>())
    }

    /// Whether a message or a frame is incomplete.
    pub(crate) fn is_mid_frame(&self) -> bool {
        self.partial.is_some()
    }
}

/// Decodes a frame that is a whole message and is complete in the buffer, the usual case; `None` for any other.
fn whole_frame(
    bytes: &mut [u8],
    limits: &MessageLimits,
    sink: &mut impl FnMut(Incoming<'_>),
) -> Result<Option<usize>, Violation> {
    let Some((header, start)) = FrameHeader::read(bytes)? else { return Ok(None) };
    check(&header, None, 0, limits)?;
    let Some(payload) = usize::try_from(header.payload).ok().and_then(|len| bytes[start..].get_mut(..len)) else {
        return Ok(None);
    };
    if !header.fin {
        return Ok(None);
    }
    apply_mask(payload, header.mask, 0);
    emit(header.opcode, payload, sink)?;
    Ok(Some(start + payload.len()))
}

/// Refuses a frame that is not allowed here or is too large, before its payload is read.
fn check(header: &FrameHeader, within: Option<Opcode>, so_far: usize, limits: &MessageLimits) -> Result<(), Violation> {
    match (header.opcode, within) {
        (opcode, _) if opcode.is_control() => return Ok(()),
        (Opcode::Continuation, None) => return Err(Violation::protocol("a continuation of nothing")),
        (Opcode::Text | Opcode::Binary, Some(_)) => {
            return Err(Violation::protocol("a new message within a fragmented one"));
        }
        _ => {}
    }
    if header.payload > limits.frame as u64 {
        return Err(Violation { code: CloseCode::TOO_BIG, reason: "frame is over the limit" });
    }
    if header.payload + so_far as u64 > limits.message as u64 {
        return Err(Violation { code: CloseCode::TOO_BIG, reason: "message is over the limit" });
    }
    Ok(())
}

impl Partial {
    /// Takes a header or a part of the payload. Returns how many bytes it took, and whether they completed a frame.
    fn feed(
        &mut self,
        bytes: &mut [u8],
        limits: &MessageLimits,
        sink: &mut impl FnMut(Incoming<'_>),
    ) -> Result<(usize, bool), Violation> {
        let Some(frame) = &mut self.frame else {
            let taken = self.feed_header(bytes, limits)?;
            return match &self.frame {
                Some(frame) if frame.header.payload == 0 => self.complete(sink).map(|()| (taken, true)),
                _ => Ok((taken, false)),
            };
        };
        let left = usize::try_from(frame.header.payload).unwrap_or(usize::MAX) - frame.done;
        let taken = left.min(bytes.len());
        let part = &mut bytes[..taken];
        apply_mask(part, frame.header.mask, frame.done);
        frame.done += taken;
        if frame.header.opcode.is_control() {
            self.control.extend_from_slice(part);
        } else {
            self.message.extend_from_slice(part);
            self.check_text()?;
        }
        if taken == left {
            self.complete(sink)?;
        }
        Ok((taken, taken == left))
    }

    fn feed_header(&mut self, bytes: &[u8], limits: &MessageLimits) -> Result<usize, Violation> {
        let had = self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(FrameHeader::MAX - had)]);
        let Some((header, len)) = FrameHeader::read(&self.head)? else { return Ok(self.head.len() - had) };
        check(&header, self.kind, self.message.len(), limits)?;
        match header.opcode {
            Opcode::Text | Opcode::Binary => self.kind = Some(header.opcode),
            Opcode::Continuation if self.fragments == limits.fragments => {
                return Err(Violation { code: CloseCode::POLICY, reason: "message has too many fragments" });
            }
            Opcode::Continuation => self.fragments += 1,
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        self.head.clear();
        self.frame = Some(Frame { header, done: 0 });
        Ok(len - had)
    }

    /// Ends the frame, and also the message if the frame was its last one.
    fn complete(&mut self, sink: &mut impl FnMut(Incoming<'_>)) -> Result<(), Violation> {
        let Some(Frame { header, .. }) = self.frame.take() else { return Ok(()) };
        if header.opcode.is_control() {
            emit(header.opcode, &self.control, sink)?;
            self.control = Vec::new();
        } else if header.fin
            && let Some(kind) = self.kind.take()
        {
            emit(kind, &self.message, sink)?;
            (self.message, self.valid, self.fragments) = (Vec::new(), 0, 0);
        }
        Ok(())
    }

    /// Refuses text at the first byte that makes it invalid UTF-8, whatever follows.
    fn check_text(&mut self) -> Result<(), Violation> {
        if self.kind != Some(Opcode::Text) {
            return Ok(());
        }
        match std::str::from_utf8(&self.message[self.valid..]) {
            Ok(_) => self.valid = self.message.len(),
            Err(fault) if fault.error_len().is_none() => self.valid += fault.valid_up_to(),
            Err(_) => return Err(Violation::not_utf8()),
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.head.is_empty() && self.frame.is_none() && self.kind.is_none()
    }
}

fn emit(kind: Opcode, payload: &[u8], sink: &mut impl FnMut(Incoming<'_>)) -> Result<(), Violation> {
    sink(match kind {
        Opcode::Text => Incoming::Text(std::str::from_utf8(payload).map_err(|_| Violation::not_utf8())?),
        Opcode::Binary | Opcode::Continuation => Incoming::Binary(payload),
        Opcode::Ping => Incoming::Ping(payload),
        Opcode::Pong => Incoming::Pong,
        Opcode::Close => Incoming::Close(read_close(payload)?),
    });
    Ok(())
}

/// Reads the payload of a close frame (RFC 6455 section 5.5.1).
fn read_close(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Violation::protocol("half a close code")),
        [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
    };
    if !code.may_be_sent() {
        return Err(Violation::protocol("a close code that may not be sent"));
    }
    std::str::from_utf8(reason).map_err(|_| Violation::not_utf8())?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests;
