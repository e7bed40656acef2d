//! One TLS connection without its socket: bytes in, bytes out.

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{Error, ServerConfig};
use std::mem;
use std::sync::Arc;

/// The state of one TLS connection. At rest all three buffers are empty and have no memory.
pub(super) struct Session {
    connection: UnbufferedServerConnection,
    /// The begin of a record whose rest has not come.
    partial: Vec<u8>,
    /// Records that the socket has not taken.
    pub(super) outgoing: Vec<u8>,
    /// What was opened and not read yet.
    opened: Vec<u8>,
    /// Whether the client has said that it sends nothing more.
    is_peer_closed: bool,
    has_said_goodbye: bool,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            partial: Vec::new(),
            outgoing: Vec::new(),
            opened: Vec::new(),
            is_peer_closed: false,
            has_said_goodbye: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether nothing more will be opened.
    pub(super) fn is_over(&self) -> bool {
        self.is_peer_closed && self.opened.is_empty()
    }

    /// Whether something was opened that is not read yet.
    pub(super) fn has_opened(&self) -> bool {
        !self.opened.is_empty()
    }

    /// Moves what was opened into `buffer`; returns how much that was.
    pub(super) fn take_opened(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.opened.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.opened[..count]);
        if count == self.opened.len() {
            self.opened = Vec::new();
        } else {
            self.opened.drain(..count);
        }
        count
    }

    /// How many bytes of a begun record have come. The next ones are to be read behind so many bytes.
    pub(super) fn partial(&self) -> usize {
        self.partial.len()
    }

    /// Puts the begun record in front of the bytes that were read after it.
    pub(super) fn put_partial(&mut self, scratch: &mut [u8]) {
        let partial = mem::take(&mut self.partial);
        scratch[..partial.len()].copy_from_slice(&partial);
    }

    /// Opens the records in `bytes`. What they contain goes into `buffer`, and what does not fit waits in the session.
    /// What is to be sent because of them is in `outgoing`, also after an error.
    ///
    /// # Errors
    /// When the client breaks the protocol, or its handshake fails.
    pub(super) fn open(&mut self, bytes: &mut [u8], buffer: &mut [u8]) -> Result<usize, Error> {
        let (mut filled, mut consumed) = (0, 0);
        let opened = &mut self.opened;
        let mut keep = |payload: &[u8]| {
            let fits = if opened.is_empty() { payload.len().min(buffer.len() - filled) } else { 0 };
            buffer[filled..filled + fits].copy_from_slice(&payload[..fits]);
            filled += fits;
            opened.extend_from_slice(&payload[fits..]);
        };
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut bytes[consumed..]);
            let is_all = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        keep(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, |room| needed_of(data.encode(room)));
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_peer_closed = true;
                    false
                }
                Ok(_) => true,
                Err(fault) => {
                    self.queue_alert();
                    return Err(fault);
                }
            };
            consumed += discard;
            if is_all {
                break;
            }
        }
        if consumed < bytes.len() && !self.is_peer_closed {
            self.partial = bytes[consumed..].to_vec();
        }
        Ok(filled)
    }

    /// Seals `bytes` as one record, or as several if they are long, behind what is in `sealed`.
    ///
    /// # Errors
    /// When the handshake is not complete, or the connection is closed.
    pub(super) fn seal(&mut self, bytes: &[u8], sealed: &mut Vec<u8>) -> Result<(), Error> {
        self.write(Some(bytes), sealed)
    }

    /// Says that nothing more will be sent (`close_notify`), once.
    pub(super) fn say_goodbye(&mut self) {
        if mem::replace(&mut self.has_said_goodbye, true) || self.is_handshaking() {
            return;
        }
        let mut goodbye = Vec::new();
        // After an error there is an alert already.
        let _ = self.write(None, &mut goodbye);
        self.outgoing.extend_from_slice(&goodbye);
    }

    /// Writes data, or else the goodbye. What the protocol itself has to send before it goes into `outgoing`.
    fn write(&mut self, data: Option<&[u8]>, sealed: &mut Vec<u8>) -> Result<(), Error> {
        loop {
            match self.connection.process_tls_records(&mut []).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    append(sealed, |room| match data {
                        Some(data) => needed(traffic.encrypt(data, room)),
                        None => needed(traffic.queue_close_notify(room)),
                    });
                    return Ok(());
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.outgoing, |room| needed_of(data.encode(room)));
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_peer_closed = true,
                _ => return Err(Error::HandshakeNotComplete),
            }
        }
    }

    /// Puts the alert that explains an error into `outgoing`.
    fn queue_alert(&mut self) {
        while let Ok(state) = self.connection.process_tls_records(&mut []).state {
            match state {
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut self.outgoing, |room| needed_of(data.encode(room)));
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return,
            }
        }
    }
}

/// What was written, or else how much room is needed, if room is what is missing.
fn needed(written: Result<usize, EncryptError>) -> Result<usize, Option<usize>> {
    written.map_err(|fault| match fault {
        EncryptError::InsufficientSize(short) => Some(short.required_size),
        EncryptError::EncryptExhausted => None,
    })
}

/// The same, of a message of the protocol itself.
fn needed_of(written: Result<usize, EncodeError>) -> Result<usize, Option<usize>> {
    written.map_err(|fault| match fault {
        EncodeError::InsufficientSize(short) => Some(short.required_size),
        EncodeError::AlreadyEncoded => None,
    })
}

/// Lets `write` write behind the end of `bytes`. If there is too little room it says how much it needs, and is called
/// again.
fn append(bytes: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>) {
    let end = bytes.len();
    let mut room = ROOM;
    loop {
        bytes.resize(end + room, 0);
        match write(&mut bytes[end..]) {
            Ok(written) => return bytes.truncate(end + written),
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => return bytes.truncate(end),
        }
    }
}

/// Bytes for which there is room at first: a flight of the handshake with a usual certificate.
const ROOM: usize = 4 * 1024;
