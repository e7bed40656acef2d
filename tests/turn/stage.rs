//! A simulated server with its clients, which are known by their numbers.

use hubcast_protocol::{Dialect, Event, typed};
use hubcast_server::Config;
use hubcast_server::simulated::{ClientEnd, Load, Simulated};
use hubcast_tests::{Frame, Heard};
use std::time::{Duration, Instant};

/// A simulated server, its clients and the virtual time.
pub(crate) struct Stage {
    pub(crate) server: Simulated,
    workers: usize,
    now: Instant,
    clients: Vec<Client>,
}

/// A client's end of its connection, and what came through it.
struct Client {
    end: ClientEnd,
    partial: Vec<u8>,
    heard: Vec<Heard>,
}

impl Stage {
    /// Starts a server with `workers` workers.
    pub(crate) fn new(workers: usize, config: Config) -> Self {
        let (now, config) = (Instant::now(), Config { workers: Some(workers), ..config });
        Self { server: Simulated::new(config, 7, None, now), workers, now, clients: Vec::new() }
    }

    /// Opens a connection on a worker. The server can write at most `room` bytes to it. Returns the client's number.
    pub(crate) fn connect(&mut self, worker: usize, room: usize) -> usize {
        let end = self.server.connect(worker, Dialect::Typed);
        end.give_room(room);
        self.clients.push(Client { end, partial: Vec::new(), heard: Vec::new() });
        self.clients.len() - 1
    }

    /// Opens a connection that reads everything at once, and subscribes it to a topic.
    pub(crate) fn listen(&mut self, worker: usize, topic: &str) -> usize {
        let client = self.connect(worker, usize::MAX);
        self.say(client, &format!(r#"{{"action":"subscribe","topic":"{topic}"}}"#));
        self.settle();
        client
    }

    /// Sends a text message.
    pub(crate) fn say(&mut self, client: usize, text: &str) {
        self.send(client, &Frame::text(text));
    }

    /// Publishes a message of `bytes` bytes.
    pub(crate) fn publish(&mut self, client: usize, topic: &str, bytes: usize) {
        let message = "x".repeat(bytes);
        self.say(client, &format!(r#"{{"action":"publish","topic":"{topic}","message":"{message}"}}"#));
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, client: usize, frame: &Frame) {
        self.clients[client].end.send(&frame.bytes());
    }

    /// The client's end of its connection.
    pub(crate) fn end(&self, client: usize) -> &ClientEnd {
        &self.clients[client].end
    }

    /// Polls the tasks of one worker until none is ready.
    pub(crate) fn settle_worker(&mut self, worker: usize) {
        while self.server.poll(worker) {}
    }

    /// Polls the tasks of all workers until none is ready.
    pub(crate) fn settle(&mut self) {
        while (0..self.workers).filter(|worker| self.server.poll(*worker)).count() > 0 {}
    }

    /// Polls tasks of a worker until it has taken a turn or none is ready.
    pub(crate) fn take_turn(&mut self, worker: usize) {
        let before = self.server.turns(worker);
        while self.server.turns(worker) == before && self.server.poll(worker) {}
    }

    /// Number of turns that each worker has taken.
    pub(crate) fn turns(&self) -> Vec<u64> {
        (0..self.workers).map(|worker| self.server.turns(worker)).collect()
    }

    /// Lets `time` pass: runs every timer when it is due, and polls all tasks after each.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.settle();
        while let Some(at) = self.server.next_timer().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.server.advance(self.now);
            self.settle();
        }
        self.now = until;
        self.server.advance(until);
        self.settle();
    }

    /// All frames that a client has received so far.
    pub(crate) fn heard(&mut self, client: usize) -> &[Heard] {
        let client = &mut self.clients[client];
        client.partial.extend(client.end.take_written());
        let mut read = 0;
        while let Some((heard, length)) = Heard::read(&client.partial[read..]) {
            client.heard.push(heard);
            read += length;
        }
        client.partial.drain(..read);
        &client.heard
    }

    /// All events that a client has received so far.
    pub(crate) fn events(&mut self, client: usize) -> Vec<Event> {
        let texts = self.heard(client).iter().filter_map(|heard| match heard {
            Heard::Text(text) => Some(text),
            _ => None,
        });
        texts.map(|text| typed::decode_event(text).expect("the server sends events")).collect()
    }

    /// Number of publications that a client has received.
    pub(crate) fn messages(&mut self, client: usize) -> usize {
        self.events(client).iter().filter(|event| matches!(event, Event::Message(_))).count()
    }

    /// Whether a client has received the answer to its request with the id "small".
    pub(crate) fn is_answered(&mut self, client: usize) -> bool {
        let is_answer = |heard: &Heard| matches!(heard, Heard::Text(text) if text.contains("\"small\""));
        self.heard(client).iter().any(is_answer)
    }

    /// The code of the close frame that a client has received, if any.
    pub(crate) fn closed_with(&mut self, client: usize) -> Option<u16> {
        self.heard(client).iter().find_map(|heard| match heard {
            Heard::Close(code, _) => Some(*code),
            _ => None,
        })
    }

    /// Checks that no worker and no outbox holds anything after all clients have gone.
    pub(crate) fn check_nothing_is_left(&self) {
        for worker in 0..self.workers {
            assert_eq!(self.server.load(worker), Load::default(), "of worker {worker}");
        }
        assert_eq!(self.server.waiting(), 0, "bytes that wait to be written");
    }
}
