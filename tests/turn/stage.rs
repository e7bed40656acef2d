//! A server with its clients.

use hubcast_protocol::{Dialect, Event, typed};
use hubcast_server::Config;
use hubcast_server::simulated::{ClientEnd, Load, Simulated};
use hubcast_tests::{Frame, Heard};
use std::time::{Duration, Instant};

pub(crate) struct Stage {
    pub(crate) server: Simulated,
    workers: usize,
    now: Instant,
    clients: Vec<Client>,
}

struct Client {
    end: ClientEnd,
    partial: Vec<u8>,
    heard: Vec<Heard>,
}

impl Stage {
    /// A server with so many workers.
    pub(crate) fn new(workers: usize, config: Config) -> Self {
        let (now, config) = (Instant::now(), Config { workers: Some(workers), ..config });
        Self { server: Simulated::new(config, 7, None, now), workers, now, clients: Vec::new() }
    }

    /// Opens a connection on a worker, to which it may write so many bytes.
    pub(crate) fn connect(&mut self, worker: usize, room: usize) -> usize {
        let end = self.server.connect(worker, Dialect::Typed);
        end.give_room(room);
        self.clients.push(Client { end, partial: Vec::new(), heard: Vec::new() });
        self.clients.len() - 1
    }

    /// Opens a connection that reads at once whatever comes, and listens to a topic.
    pub(crate) fn listen(&mut self, worker: usize, topic: &str) -> usize {
        let client = self.connect(worker, usize::MAX);
        self.say(client, &format!(r#"{{"action":"subscribe","topic":"{topic}"}}"#));
        self.settle();
        client
    }

    pub(crate) fn say(&mut self, client: usize, text: &str) {
        self.send(client, &Frame::text(text));
    }

    pub(crate) fn publish(&mut self, client: usize, topic: &str, bytes: usize) {
        let message = "x".repeat(bytes);
        self.say(client, &format!(r#"{{"action":"publish","topic":"{topic}","message":"{message}"}}"#));
    }

    pub(crate) fn send(&mut self, client: usize, frame: &Frame) {
        self.clients[client].end.send(&frame.bytes());
    }

    pub(crate) fn end(&self, client: usize) -> &ClientEnd {
        &self.clients[client].end
    }

    /// Polls tasks of one worker until nothing is ready there.
    pub(crate) fn settle_worker(&mut self, worker: usize) {
        while self.server.poll(worker) {}
    }

    /// Polls tasks until nothing is ready anywhere.
    pub(crate) fn settle(&mut self) {
        while (0..self.workers).filter(|worker| self.server.poll(*worker)).count() > 0 {}
    }

    /// Lets a worker take one turn, if it wants one.
    pub(crate) fn take_turn(&mut self, worker: usize) {
        let before = self.server.turns(worker);
        while self.server.turns(worker) == before && self.server.poll(worker) {}
    }

    /// How many turns each worker has taken.
    pub(crate) fn turns(&self) -> Vec<u64> {
        (0..self.workers).map(|worker| self.server.turns(worker)).collect()
    }

    /// Lets time pass, with all that happens meanwhile.
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

    /// All that a client has heard.
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

    /// The events among that.
    pub(crate) fn events(&mut self, client: usize) -> Vec<Event> {
        let texts = self.heard(client).iter().filter_map(|heard| match heard {
            Heard::Text(text) => Some(text),
            _ => None,
        });
        texts.map(|text| typed::decode_event(text).expect("the server sends events")).collect()
    }

    /// How many publications a client has got.
    pub(crate) fn messages(&mut self, client: usize) -> usize {
        self.events(client).iter().filter(|event| matches!(event, Event::Message(_))).count()
    }

    /// Whether a client has an answer to what it asked as "small".
    pub(crate) fn is_answered(&mut self, client: usize) -> bool {
        let is_answer = |heard: &Heard| matches!(heard, Heard::Text(text) if text.contains("\"small\""));
        self.heard(client).iter().any(is_answer)
    }

    /// The code with which a client was closed.
    pub(crate) fn closed_with(&mut self, client: usize) -> Option<u16> {
        self.heard(client).iter().find_map(|heard| match heard {
            Heard::Close(code, _) => Some(*code),
            _ => None,
        })
    }

    /// Says what is left anywhere after everybody has gone.
    pub(crate) fn check_nothing_is_left(&self) {
        for worker in 0..self.workers {
            assert_eq!(self.server.load(worker), Load::default(), "of worker {worker}");
        }
        assert_eq!(self.server.waiting(), 0, "bytes that wait to be written");
    }
}
