//! A reader of server-sent events.

use crate::{DEADLINE, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// An open stream, read block by block as a browser reads it (WHATWG HTML, section 9.2.6).
#[derive(Debug)]
pub struct EventReader {
    /// The head of the answer, with lower-case names.
    pub head: String,
    reader: BufReader<TcpStream>,
    /// The last position that a block named, which a browser sends when it comes back.
    pub last_id: Option<String>,
    /// The milliseconds after which a browser comes back.
    pub retry: Option<u64>,
}

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The name of the event; `message` if the block has none.
    pub name: String,
    /// Its data.
    pub data: String,
}

impl EventReader {
    /// Opens a stream at `/events?` and this query, with these header lines.
    ///
    /// # Panics
    /// If the server is not reachable.
    pub fn open(server: &Server, query: &str, headers: &[&str]) -> Self {
        let mut socket = TcpStream::connect(server.address()).expect("the server listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket has a timeout");
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!("GET /events?{query} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).expect("the server takes a request");
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).expect("an answer") > 0 {}
        Self { head: head.to_lowercase(), reader, last_id: None, retry: None }
    }

    /// The next event that a page would hear; `None` at the end of the stream.
    pub fn next_event(&mut self) -> Option<Dispatched> {
        let (mut name, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches('\n');
            let (field, value) = line.split_once(": ").unwrap_or((line, ""));
            match field {
                "" if line.is_empty() && !data.is_empty() => {
                    let name = if name.is_empty() { "message".into() } else { name };
                    return Some(Dispatched { name, data });
                }
                "" if line.is_empty() => name.clear(),
                "event" => name = value.into(),
                "data" => data.push_str(value),
                "id" => self.last_id = Some(value.into()),
                "retry" => self.retry = value.parse().ok(),
                _ => {}
            }
        }
    }

    /// The names and data of the next events.
    ///
    /// # Panics
    /// If the stream ends before.
    pub fn take(&mut self, count: usize) -> Vec<Dispatched> {
        (0..count).map(|_| self.next_event().expect("the stream goes on")).collect()
    }

    /// The bytes until the stream ends.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        // A stream that was cut is at its end too.
        let _ = self.reader.read_to_string(&mut rest);
        rest
    }

    /// The socket, to write to it.
    pub fn socket(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }
}
