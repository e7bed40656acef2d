//! The outbox: what it writes, in which order, and what it counts as waiting.
use super::*;
use crate::encode::batch::append;
use std::cell::RefCell;

/// A sink that takes at most so many bytes of each write, and the bytes that it took. A write of which it takes nothing
/// fails with `WouldBlock`.
struct Narrow(usize, RefCell<Vec<u8>>);

impl Sink for Narrow {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.1.borrow_mut().extend(&bytes[..taken]);
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&bytes.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>())
    }
}

#[test]
fn frames_leave_in_order_whatever_the_sink_takes_at_once() {
    let frames: Vec<Bytes> = (0..150_u8).map(|n| Bytes::from(vec![n; 1 + usize::from(n % 5)])).collect();
    for width in [1, 2, 3, 7, 100, 10_000] {
        let (mut outbox, sink) = (Outbox::default(), Narrow(width, RefCell::default()));
        frames.iter().cloned().for_each(|frame| assert!(outbox.push(frame, 100_000)));
        assert_eq!(outbox.charged(), frames.iter().map(frame_cost).sum::<usize>());
        outbox.write_to(&sink, Dialect::Plain).unwrap();
        assert_eq!(*sink.1.borrow(), frames.concat(), "{width} at once");
        assert_eq!((outbox.charged(), outbox.frames.len()), (0, 0));
    }
}

#[test]
fn nothing_is_written_past_what_waits() {
    let (mut outbox, frames) = (Outbox::default(), Bytes::from_static(b"abc"));
    assert_eq!(outbox.try_write_direct(&frames, |bytes| Ok(bytes.len())), DirectWrite::All);
    assert_eq!(outbox.try_write_direct(&frames, |_| Err(io::ErrorKind::WouldBlock.into())), DirectWrite::Nothing);
    assert_eq!(outbox.charged(), 0);
    assert_eq!(outbox.try_write_direct(&frames, |_| Ok(1)), DirectWrite::Part);
    assert_eq!(outbox.try_write_direct(&frames, |_| panic!("there is more of the first one")), DirectWrite::Nothing);
    let sink = Narrow(100, RefCell::default());
    outbox.write_to(&sink, Dialect::Plain).unwrap();
    assert_eq!(*sink.1.borrow(), b"bc");
}

#[test]
fn what_is_larger_than_all_that_may_wait_goes_by_itself_or_gets_a_gap() {
    let large = Batch::new(Publication::new("t".into(), "x".repeat(400).as_str().into(), None));
    for (blocked, end) in [(false, &b"xxx\"}"[..]), (true, br#"{"event":"gap","topic":"t","reason":"slow_consumer"}"#)]
    {
        let (mut outbox, sink) = (Outbox::default(), Narrow(1000, RefCell::default()));
        assert!(outbox.push_publications(&large, Slow::Drop, Dialect::Typed, blocked, 300));
        assert!(blocked || !outbox.push(Bytes::from_static(b"more"), 300), "nothing goes with it");
        outbox.write_to(&sink, Dialect::Typed).unwrap();
        assert!(sink.1.borrow().ends_with(end), "{:?}", sink.1);
    }
}

#[test]
fn what_was_missed_is_encoded_as_it_is_taken_and_comes_before_all_that_is_newer() {
    let missed: Vec<_> =
        (0..10).map(|_| Publication::new("t".into(), "x".repeat(30_000).as_str().into(), None)).collect();
    let mut expected = Vec::new();
    missed.iter().for_each(|publication| append(&mut expected, publication, Dialect::Plain));
    expected.extend(b"newer");
    let (mut outbox, sink) = (Outbox::default(), Narrow(1000, RefCell::default()));
    outbox.push_missed(missed);
    assert!(outbox.push(Bytes::from_static(b"newer"), 1000));
    assert!(outbox.exempt() > 300_000 && outbox.charged() == FRAME_OVERHEAD_BYTES + 5);
    outbox.catch_up(Dialect::Plain);
    assert!(outbox.frames.iter().map(|frame| frame.bytes.len()).sum::<usize>() < 2 * CATCH_UP_BYTES);
    assert!(outbox.exempt() > 300_000);
    write_all(&mut outbox, &sink);
    assert!(*sink.1.borrow() == expected);
    assert_eq!((outbox.charged(), outbox.exempt()), (0, 0));
}

#[test]
fn who_takes_everything_lets_others_have_a_turn() {
    let large = Publication::new("t".into(), "x".repeat(60_000).as_str().into(), None);
    let (mut outbox, sink) = (Outbox::default(), Narrow(usize::MAX, RefCell::default()));
    outbox.push_missed(vec![large; 30]);
    let fault = outbox.write_to(&sink, Dialect::Plain).unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::WouldBlock);
    assert!((MAX_WRITE_BYTES..MAX_WRITE_BYTES + 200_000).contains(&sink.1.borrow().len()));
    write_all(&mut outbox, &sink);
    assert!(outbox.is_empty());
}

/// Writes until the outbox is empty. Each `WouldBlock` in between is where a worker would serve other connections.
fn write_all(outbox: &mut Outbox, sink: &Narrow) {
    while let Err(fault) = outbox.write_to(sink, Dialect::Plain) {
        assert_eq!(fault.kind(), io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_frame_that_has_begun_is_never_discarded() {
    let mut outbox = Outbox::default();
    assert!(outbox.push(Bytes::from_static(b"abc"), 1000));
    assert!(outbox.push(Bytes::from_static(b"def"), 1000));
    outbox.advance(1);
    outbox.discard_unsent();
    assert_eq!(outbox.charged(), FRAME_OVERHEAD_BYTES + 2);
    outbox.advance(2);
    assert!(outbox.frames.is_empty());
    assert!(outbox.push(Bytes::from_static(b"ghi"), 100));
    outbox.discard_unsent();
    assert_eq!((outbox.charged(), outbox.frames.len()), (0, 0));
}
