//! One publication as frames.

use crate::frame::{self, Opcode};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Event, plain, typed};
use std::sync::{Arc, OnceLock};

/// A publication, encoded once for each dialect that somebody listens in, by whoever needs it first.
#[derive(Debug)]
pub(crate) struct Frames {
    publication: Publication,
    plain: OnceLock<Bytes>,
    typed: OnceLock<Bytes>,
}

impl Frames {
    pub(crate) fn new(publication: Publication) -> Arc<Self> {
        Arc::new(Self { publication, plain: OnceLock::new(), typed: OnceLock::new() })
    }

    /// The frame for one dialect; its bytes are shared.
    pub(crate) fn get(&self, dialect: Dialect) -> Bytes {
        let publication = &self.publication;
        let frame = match dialect {
            Dialect::Plain => self.plain.get_or_init(|| text(publication.payload().as_plain())),
            Dialect::Typed => self.typed.get_or_init(|| {
                text(&typed::encode_message(publication.topic(), publication.position(), publication.payload()))
            }),
        };
        frame.clone()
    }
}

/// An event as the frame that a client of this dialect gets, if it is told at all.
pub(crate) fn of_event(event: &Event, dialect: Dialect) -> Option<Bytes> {
    match dialect {
        Dialect::Plain => plain::encode(event).map(|event| text(&event)),
        Dialect::Typed => Some(text(&typed::encode(event))),
    }
}

fn text(text: &str) -> Bytes {
    frame::write(Opcode::Text, text.as_bytes())
}
