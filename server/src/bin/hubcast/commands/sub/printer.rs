//! Prints messages and events to standard output.

use super::args::SubArgs;
use crate::commands::client::exit::Failure;
use crate::commands::client::moment::{self, rfc3339};
use crate::commands::client::terminal::{DIM, RESET, Terminal};
use crate::commands::listen::body::Body;
use crate::commands::listen::told::{Told, gap_of, is_line_end, message_event, names, on_one_line};
use crate::commands::printable;
use hubcast_client::{Author, Event, Member, Message, Payload, Resumed};
use hubcast_protocol::{Target, event};
use serde::Serialize;
use std::io::{self, Write};

/// Prints lines. It keeps them until [`Printer::flush`].
#[derive(Debug)]
pub(crate) struct Printer {
    terminal: Terminal,
    format: Format,
    has_time: bool,
    has_topics: bool,
    end: char,
    lines: String,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Its text, with escapes on a terminal.
    Text,
    /// Its text as it is.
    Raw,
    /// One JSON object a line.
    Json,
}

impl Printer {
    pub(super) fn new(args: &SubArgs, terminal: Terminal) -> Self {
        let format = match (args.json, args.raw) {
            (true, _) => Format::Json,
            (false, true) => Format::Raw,
            (false, false) => Format::Text,
        };
        let mut printer = Self::with(format, terminal);
        (printer.has_time, printer.has_topics) = (args.time, args.topics_first);
        printer.end = if args.null { '\0' } else { '\n' };
        printer
    }

    /// A printer of messages without their times and topics.
    pub(crate) fn with(format: Format, terminal: Terminal) -> Self {
        Self { terminal, format, has_time: false, has_topics: false, end: '\n', lines: String::new() }
    }

    /// Whether everything is written.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether so much waits that it should be written now.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= FULL
    }

    /// Writes all lines to standard output.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let mut output = io::stdout();
        let written = output.write_all(self.lines.as_bytes()).and_then(|()| output.flush());
        self.lines.clear();
        if self.lines.capacity() > 4 * FULL {
            self.lines.shrink_to(FULL);
        }
        written.map_err(|error| Failure::output(&error))
    }

    /// Prints an event of a subscription. Returns whether it is a message.
    pub(super) fn print(&mut self, target: &Target, event: &Event<Body>) -> bool {
        match event {
            Event::Message(message) => {
                self.message(message);
                return true;
            }
            Event::Gap(gap) => {
                self.terminal.warn(&gap.to_string());
                self.told(&gap_of(target, gap));
            }
            Event::Resumed(resumed) => {
                let Resumed { recovered, replayed, .. } = *resumed;
                let (topic, pattern) = names(target);
                let name = topic.or(pattern).unwrap_or_default();
                match recovered {
                    true => {
                        self.terminal.detail(&format!("{name:?} goes on, with {replayed} messages that were missed"));
                    }
                    false => self.terminal.detail(&format!("{name:?} goes on")),
                }
                self.told(&Told::Resumed { topic, pattern, recovered, replayed });
            }
            Event::Joined(member) => self.member("joined", member, event::Event::Join),
            Event::Left(member) => self.member("left", member, event::Event::Leave),
            // An event that is newer than this program.
            _ => {}
        }
        false
    }

    /// Prints a message.
    pub(crate) fn message(&mut self, message: &Message<Body>) {
        let Message { topic, value: Body(payload), author, .. } = message;
        if self.format == Format::Json {
            return self.json(&message_event(message));
        }
        self.before(topic.as_str(), author.as_ref());
        match (self.format, payload) {
            (Format::Raw, payload) => self.lines.push_str(payload.as_plain()),
            (_, payload) if self.terminal.shows_output => printable::push_line(payload.as_plain(), &mut self.lines),
            (_, Payload::Text(text)) => self.lines.push_str(text),
            // Outside of its strings JSON may have line ends, which mean nothing.
            (_, json) => self.lines.extend(json.as_plain().chars().map(|c| if is_line_end(c) { ' ' } else { c })),
        }
        self.lines.push(self.end);
    }

    /// The time and the topic before a message.
    fn before(&mut self, topic: &str, author: Option<&Author>) {
        if !self.has_time && !self.has_topics {
            return;
        }
        if self.terminal.colors_output {
            self.lines.push_str(DIM);
        }
        if self.has_time {
            self.lines.push_str(&author.map_or_else(moment::now, |author| rfc3339(author.time)));
            self.lines.push('\t');
        }
        if self.has_topics {
            // A topic may hold anything, and must not look like the message of another one.
            printable::push_line(topic, &mut self.lines);
            self.lines.push('\t');
        }
        if self.terminal.colors_output {
            self.lines.push_str(RESET);
        }
    }

    fn member(&mut self, what: &str, member: &Member, event: fn(Member) -> event::Event) {
        if self.format == Format::Json {
            return self.json(&event(member.clone()));
        }
        let who = member.user.as_deref().map_or_else(|| member.client.to_string(), str::to_owned);
        self.terminal.note(&format!("{:?}: {who} {what}", member.topic));
    }

    fn told(&mut self, told: &Told<'_>) {
        if self.format == Format::Json {
            self.json(told);
        }
    }

    /// Prints a JSON object on one line.
    pub(crate) fn json(&mut self, value: &impl Serialize) {
        let mut json = on_one_line(value);
        if self.has_time && json.pop() == Some('}') {
            json.push_str(&format!(",\"received\":\"{}\"}}", moment::now()));
        }
        match self.terminal.shows_output {
            // What is escaped here stands in strings, and the escapes are those of JSON.
            true => printable::push_line(&json, &mut self.lines),
            false => self.lines.push_str(&json),
        }
        self.lines.push(self.end);
    }
}

/// So many bytes are written at once at most, apart from the last message of them.
const FULL: usize = 64 << 10;
