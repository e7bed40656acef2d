//! Frames: which the server accepts, and with which code it closes the connection after a wrong one.

use hubcast_tests::{Frame, Heard, Plain, Server};

/// Opens a connection that is subscribed to `t`.
fn stage(server: &Server) -> Plain {
    let mut peer = server.plain();
    peer.subscribes("t");
    peer.hears_nothing();
    peer
}

/// Sends each group of frames on a connection of its own, and expects a close frame with this code and a reason.
#[track_caller]
fn each_is_closed_with<const N: usize>(code: u16, groups: [(&str, Vec<Frame>); N]) {
    let server = Server::start();
    for (what, frames) in groups {
        let mut peer = server.plain();
        peer.socket.sends(&frames);
        match peer.socket.next_frame() {
            Heard::Close(heard, reason) => assert!(heard == code && !reason.is_empty(), "{what}: {heard} {reason:?}"),
            other => panic!("{what}: close {code} was to come, not {other:?}"),
        }
        peer.socket.hears_end();
    }
}

/// A publish request for the topic `t`.
fn publish(message: &str) -> String {
    format!(r#"{{"action":"publish","topic":"t","message":"{message}"}}"#)
}

#[test]
fn frames_against_the_protocol_are_closed_with_1002() {
    each_is_closed_with(
        1002,
        [
            ("without a mask", vec![Frame::text("{}").unmasked()]),
            ("a ping without a mask", vec![Frame::ping("").unmasked()]),
            ("reserved bit 1", vec![Frame::text("{}").reserved(4)]),
            ("reserved bit 2", vec![Frame::text("{}").reserved(2)]),
            ("reserved bit 3", vec![Frame::ping("").reserved(1)]),
            ("opcode 3", vec![Frame::new(0x3, "")]),
            ("opcode 7", vec![Frame::new(0x7, "")]),
            ("opcode B", vec![Frame::new(0xB, "")]),
            ("opcode F", vec![Frame::new(0xF, "")]),
            ("a long ping", vec![Frame::ping([0; 126])]),
            ("a long close", vec![Frame::close(1000, [b'x'; 124])]),
            ("half a ping", vec![Frame::ping("").unfinished()]),
            ("half a close", vec![Frame::close(1000, "").unfinished()]),
            ("a continuation of nothing", vec![Frame::continuation("x")]),
            ("text in text", vec![Frame::text("a").unfinished(), Frame::text("b")]),
            ("binary in text", vec![Frame::text("a").unfinished(), Frame::binary("b")]),
            ("two bytes for a short length", vec![Frame::text("abc").with_length_in(2)]),
            ("eight bytes for a short length", vec![Frame::text("abc").with_length_in(8)]),
            ("eight bytes for a middle length", vec![Frame::text([b' '; 200]).with_length_in(8)]),
            ("the highest bit of a length", vec![Frame::text("").announcing(1 << 63)]),
        ],
    );
}

#[test]
fn close_frames_that_may_not_be_are_closed_with_1002() {
    let server = Server::start();
    let mut frames: Vec<Frame> = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
        .map(|code| Frame::close(code, ""))
        .to_vec();
    frames.push(Frame::new(0x8, [3]));
    for frame in frames {
        let mut peer = server.plain();
        peer.socket.sends([&frame]);
        peer.socket.hears_close(1002);
    }
}

#[test]
fn text_that_is_not_utf_8_is_closed_with_1007_as_soon_as_it_is_seen() {
    each_is_closed_with(
        1007,
        [
            ("a lone byte", vec![Frame::text([0xFF])]),
            ("an overlong form", vec![Frame::text([0xC0, 0xAF])]),
            ("a surrogate", vec![Frame::text([0xED, 0xA0, 0x80])]),
            ("beyond Unicode", vec![Frame::text([0xF4, 0x90, 0x80, 0x80])]),
            ("cut within a character", vec![Frame::text([b'a', 0xC3])]),
            ("in a first fragment", vec![Frame::text([0xFF]).unfinished()]),
            ("across fragments", vec![Frame::text([0xC3]).unfinished(), Frame::continuation("x").unfinished()]),
            ("in a frame that is not whole", vec![Frame::text([0xFF, b'a']).announcing(1000)]),
            ("in a close frame", vec![Frame::close(1000, [0xFF])]),
        ],
    );
}

#[test]
fn what_is_over_a_limit_is_closed_with_1009_before_it_has_come() {
    each_is_closed_with(
        1009,
        [
            ("a frame one byte too long", vec![Frame::text([b' '; 65_537])]),
            ("a frame of a gigabyte", vec![Frame::text("{").announcing(1 << 30)]),
            ("a frame of all that can be named", vec![Frame::text("{").announcing(i64::MAX as u64)]),
            ("a binary frame of a gigabyte", vec![Frame::binary("{").announcing(1 << 30)]),
            ("a long continuation", vec![Frame::text("{").unfinished(), Frame::continuation("").announcing(1 << 40)]),
            (
                "fragments that are too much together",
                vec![Frame::text([b' '; 65_536]).unfinished(), Frame::continuation(" ")],
            ),
        ],
    );
}

#[test]
fn a_message_of_exactly_the_limit_is_taken_whole_or_in_fragments() {
    let server = Server::with(|config| {
        config.messages.message = 1000;
        config.messages.frame = 600;
        config.limits.topic = 100;
    });
    let whole = publish(&"x".repeat(1000 - publish("").len()));
    let mut peer = stage(&server);
    let (head, tail) = whole.split_at(600);
    peer.socket.sends([&Frame::text(head).unfinished(), &Frame::continuation(tail)]);
    assert_eq!(peer.socket.hears_text().len(), 1000 - publish("").len());
    peer.socket.sends([&Frame::text(&head[..500]).unfinished(), &Frame::continuation(&whole[500..])]);
    peer.socket.hears_text();
    peer.socket.sends([&Frame::text(head).unfinished(), &Frame::continuation(format!("{tail} "))]);
    peer.socket.hears_close(1009);
    let mut peer = server.plain();
    peer.socket.sends([&Frame::text([b' '; 600])]);
    peer.hears("Server: Invalid msg");
    peer.socket.sends([&Frame::text([b' '; 601])]);
    peer.socket.hears_close(1009);
}

#[test]
fn a_message_has_so_many_continuations_and_one_more_is_closed_with_1008() {
    let server = Server::with(|config| config.messages.fragments = 3);
    let mut peer = stage(&server);
    let text = publish("heard");
    let (first, rest) = text.split_at(10);
    let empty = Frame::continuation("").unfinished();
    for _ in 0..2 {
        peer.socket.sends([&Frame::text(first).unfinished(), &empty, &empty, &Frame::continuation(rest)]);
        peer.hears("heard");
    }
    peer.socket.sends([&Frame::text(first).unfinished(), &empty, &empty, &empty, &Frame::continuation(rest)]);
    peer.socket.hears_close(1008);
}

#[test]
fn fragments_make_one_message_with_control_frames_in_between() {
    let server = Server::start();
    let mut peer = stage(&server);
    let text = publish("é日本🦀");
    // One frame for each byte, so that the cuts are also within characters.
    let mut frames: Vec<Frame> = text.as_bytes().iter().map(|byte| Frame::continuation([*byte]).unfinished()).collect();
    frames[0] = Frame::text(&text[..1]).unfinished();
    frames.insert(5, Frame::ping("between"));
    frames.insert(9, Frame::pong("unasked"));
    frames.push(Frame::continuation(""));
    peer.socket.sends(&frames);
    peer.socket.hears(&Heard::Pong(b"between".to_vec()));
    peer.hears("é日本🦀");
    peer.hears_nothing();
}

#[test]
fn frames_may_come_byte_by_byte_or_many_at_once() {
    let server = Server::start();
    let mut peer = stage(&server);
    let long = publish(&"x".repeat(300));
    let frames = [Frame::text(publish("1")), Frame::text(&long), Frame::binary(publish("2"))];
    for byte in frames.iter().flat_map(Frame::bytes) {
        peer.socket.writes(&[byte]);
    }
    peer.hears("1");
    peer.hears(&"x".repeat(300));
    peer.hears("2");
    peer.socket.writes(&Frame::text(publish("3")).bytes().repeat(1000));
    for _ in 0..1000 {
        peer.hears("3");
    }
    peer.hears_nothing();
}

#[test]
fn every_ping_is_answered_with_its_payload_and_a_pong_with_nothing() {
    let server = Server::start();
    let mut peer = server.plain();
    for payload in [vec![], b"hello".to_vec(), vec![0xFF, 0, 0xFE], vec![b'x'; 125]] {
        peer.socket.sends([&Frame::pong(&payload), &Frame::ping(&payload)]);
        peer.socket.hears(&Heard::Pong(payload));
    }
    peer.hears_nothing();
}

#[test]
fn a_pong_comes_after_the_answers_to_what_was_sent_before_the_ping() {
    let server = Server::start();
    let mut peer = server.plain();
    peer.socket.sends([&Frame::text("broken"), &Frame::ping("1"), &Frame::text("broken"), &Frame::ping("2")]);
    for payload in [b"1", b"2"] {
        peer.hears("Server: Invalid msg");
        peer.socket.hears(&Heard::Pong(payload.to_vec()));
    }
}

#[test]
fn who_asks_and_ends_in_one_breath_is_answered() {
    let server = Server::start();
    for (end, code) in
        [(Frame::close(1000, ""), 1000), (Frame::binary([0xFF]), 1003), (Frame::ping("").unmasked(), 1002)]
    {
        let mut peer = server.plain();
        peer.socket.sends([&Frame::text("broken"), &Frame::ping("1"), &end]);
        peer.hears("Server: Invalid msg");
        peer.socket.hears(&Heard::Pong(b"1".to_vec()));
        assert!(matches!(peer.socket.next_frame(), Heard::Close(heard, _) if heard == code));
    }
}

#[test]
fn a_close_is_answered_with_its_code_and_the_connection_ends() {
    let server = Server::start();
    for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
        let mut peer = server.plain();
        peer.socket.sends([&Frame::close(code, "bye")]);
        peer.socket.hears_close(code);
    }
    let mut peer = server.plain();
    peer.socket.sends([&Frame::new(0x8, "")]);
    peer.socket.hears_close(1005);
    let mut peer = server.plain();
    peer.socket.sends([&Frame::close(1000, [b'x'; 123])]);
    peer.socket.hears_close(1000);
}

#[test]
fn what_was_asked_before_a_close_is_answered_and_what_comes_after_it_is_not() {
    let server = Server::start();
    let (mut listener, mut peer) = (stage(&server), stage(&server));
    peer.socket.sends([&Frame::text(publish("before")), &Frame::close(1000, ""), &Frame::text(publish("after"))]);
    listener.hears("before");
    listener.hears_nothing();
    peer.hears("before");
    peer.socket.hears_close(1000);
}

#[test]
fn who_closes_and_shuts_its_side_at_once_still_gets_the_answer() {
    let server = Server::start();
    let mut peer = server.plain();
    peer.socket.sends([&Frame::close(1000, "")]);
    peer.socket.ends_writing();
    peer.socket.hears_close(1000);
}

#[test]
fn what_was_sent_before_the_connection_broke_is_heard() {
    let server = Server::start();
    let mut listener = stage(&server);
    let mut peer = server.plain();
    peer.publishes("t", "last words");
    peer.socket.ends_writing();
    listener.hears("last words");
    peer.socket.hears_end();
    let mut peer = server.plain();
    peer.hears_nothing();
    peer.socket.resets();
    listener.hears_nothing();
}
