//! What comes from a connection.

use crate::machine::Input;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A text frame, or another input.
pub(super) enum Received {
    /// A text frame, which shares the memory that it was read into.
    Frame(Utf8Bytes),
    Input(Input),
}
