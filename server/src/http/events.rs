//! Server-sent events. Not built yet: the stream is refused.

use crate::listener::limit::Permit;
use crate::worker::Worker;
use crate::worker::service::Service;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use std::rc::Rc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Takes over the socket of a request for a stream, which is not answered yet. `leftover` is what the client has sent
/// after it.
pub(super) fn open<S: Service>(
    worker: &Rc<Worker<S>>,
    mut socket: TcpStream,
    _leftover: Bytes,
    _request: Parts,
    permit: Rc<Permit>,
) {
    worker.spawn(async move {
        // Whether the client takes it or not, this is the end.
        let _ = socket.write_all(NOT_BUILT).await;
        drop(permit);
    });
}

const NOT_BUILT: &[u8] = b"HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
