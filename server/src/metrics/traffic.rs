//! What went over one connection.

/// The sums of one connection, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Messages that came from its client.
    pub(crate) messages: u64,
    /// Publications that were handed to it.
    pub(crate) deliveries: u64,
    /// Bytes of frames, without those of the handshake.
    pub(crate) received_bytes: u64,
    /// Bytes that its socket took: of frames, and of records where it is TLS.
    pub(crate) sent_bytes: u64,
}
