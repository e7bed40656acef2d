//! One client of the plain dialect: it connects, subscribes, and reads messages in place.

use super::frame::{self, CLOSE, PING, PONG, TEXT};
use super::stream::{Security, Stream};
use crate::settings::excerpt::excerpt;
use anyhow::{Context as _, anyhow, bail, ensure};
use hyper::Uri;
use hyper::http::uri::Authority;
use std::cell::RefCell;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A WebSocket to the server: first [`open`](Self::open) and [`subscribe`](Self::subscribe), then [`read`](Self::read)
/// and [`write`](Self::write) until it ends.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// The beginning of an incomplete frame; almost always empty, and then without memory.
    rest: Vec<u8>,
}

impl Connection {
    /// Connects and completes the handshake.
    pub(super) async fn open(target: &Target) -> anyhow::Result<Self> {
        let opening = async {
            let stream = TcpStream::connect(&*target.address)
                .await
                .with_context(|| format!("no server answers on {}", target.address))?;
            stream.set_nodelay(true)?;
            let stream = match &target.security {
                Some(security) => security.secure(stream).await?,
                None => Stream::Plain(stream),
            };
            shake_hands(stream, target).await
        };
        timeout(PATIENCE, opening).await.with_context(|| format!("{} did not finish the handshake", target.address))?
    }

    /// Subscribes to `topic`, and returns when the server has done so.
    ///
    /// In the plain dialect the server does not confirm a subscription, but it answers in order. So a request with an
    /// unknown action follows the subscribe: when the server refuses it, the subscription is in effect. The unknown
    /// action leaves nothing in the server.
    pub(super) async fn subscribe(&mut self, topic: &str, scratch: &Scratch) -> anyhow::Result<()> {
        let mut requests = Vec::new();
        request(&mut requests, "subscribe", topic, "");
        request(&mut requests, "settled?", "", "");
        self.write(&requests).await?;
        let settling = async {
            let mut answer = None;
            while answer.is_none() {
                let heard = self.read(scratch, |text| {
                    if !text.starts_with(GREETING) {
                        answer = Some(String::from_utf8_lossy(text).into_owned());
                    }
                });
                if let Heard::End(why) = heard.await? {
                    bail!("{why} before the subscription stood");
                }
            }
            Ok(answer.unwrap_or_default())
        };
        let answer = timeout(PATIENCE, settling).await.context("the server did not answer a subscription")??;
        ensure!(answer == UNKNOWN_ACTION, "the server refused a subscription: {answer}");
        Ok(())
    }

    /// Waits for bytes, passes each text that is complete to `each`, and answers pings.
    pub(super) async fn read(&mut self, scratch: &Scratch, mut each: impl FnMut(&[u8])) -> anyhow::Result<Heard> {
        poll_fn(|context| self.poll_read(context, &mut scratch.borrow_mut(), &mut each)).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("the server cut a connection")?;
        self.stream.flush().await.context("the server cut a connection")
    }

    /// Waits until the server has closed, and drops all bytes before that.
    pub(super) async fn gone(mut self) -> anyhow::Result<()> {
        let mut passed = [0; 256];
        while self.stream.read(&mut passed).await.context("the server cut a connection")? > 0 {}
        Ok(())
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
        each: &mut impl FnMut(&[u8]),
    ) -> Poll<anyhow::Result<Heard>> {
        let kept = self.rest.len();
        scratch[..kept].copy_from_slice(&self.rest);
        let mut fresh = ReadBuf::new(&mut scratch[kept..]);
        // `poll_read` and not `try_read`: after a short read it knows that there are no more bytes, which saves a
        // system call.
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut fresh)).context("the server cut a connection")?;
        let filled = fresh.filled().len();
        if filled == 0 {
            return Poll::Ready(Ok(Heard::End("the server cut a connection".to_owned())));
        }
        let (mut bytes, mut pings) = (&scratch[..kept + filled], Vec::new());
        while let Some(frame) = frame::take(&mut bytes)? {
            match frame.opcode {
                TEXT => each(frame.payload),
                PING => pings.push(frame.payload.to_vec()),
                CLOSE => return Poll::Ready(Ok(Heard::End(closed(frame.payload)))),
                PONG => {}
                opcode => return Poll::Ready(Err(anyhow!("the server sent a frame with opcode {opcode}"))),
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        pings.iter().for_each(|ping| self.pong(ping));
        Poll::Ready(Ok(Heard::Texts))
    }

    fn pong(&mut self, payload: &[u8]) {
        let mut pong = Vec::new();
        frame::append(&mut pong, PONG, payload);
        // A full socket means that the server has many of our bytes to read, and these are a sign of life too.
        self.stream.try_write(&pong);
    }
}

/// The address of the server, and the path of its WebSocket.
#[derive(Clone, Debug)]
pub(super) struct Target {
    address: Rc<str>,
    path: Rc<str>,
    /// `Some` for TLS.
    security: Option<Security>,
}

impl Target {
    /// # Errors
    /// When `url` is not `ws://host[:port][/path]`, or `wss://` with the certificates to trust in `ca`, or its port is
    /// none.
    pub(super) fn parse(url: &str, ca: Option<&Path>) -> anyhow::Result<Self> {
        let shown = excerpt(url);
        let uri: Uri = url.parse().with_context(|| format!("{shown:?} is not a URL"))?;
        let (Some(scheme @ ("ws" | "wss")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("{shown:?} must be of the form ws://host:port/path");
        };
        let security = match (scheme, ca) {
            ("wss", Some(ca)) => Some(Security::new(ca, authority.host())?),
            ("wss", None) => bail!("wss:// needs --ca with the certificates to trust"),
            _ => None,
        };
        let port = port(authority, if scheme == "wss" { 443 } else { 80 })
            .with_context(|| format!("the port in {shown:?} is wrong; it must be a number from 1 to 65535"))?;
        let address = format!("{}:{port}", authority.host());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { address: address.into(), path: path.into(), security })
    }
}

/// The port, or the scheme's default if there is none. `Authority::port` cannot tell a wrong port from none.
fn port(authority: &Authority, usual: u16) -> Option<u16> {
    let after_host = authority.as_str().rsplit('@').next()?.strip_prefix(authority.host())?;
    let Some(digits) = after_host.strip_prefix(':') else { return Some(usual) };
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    number.filter(|port| *port > 0)
}

/// The result of a read.
#[derive(Debug)]
pub(super) enum Heard {
    /// Bytes came, and the complete texts were passed on.
    Texts,
    /// The connection has ended, for this reason.
    End(String),
}

/// A read buffer that all connections share, so that an idle connection has none.
pub(super) type Scratch = Rc<RefCell<Box<[u8]>>>;

pub(super) fn scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; 2 * frame::MAX_PAYLOAD].into_boxed_slice()))
}

/// Appends the frame of a request. The arguments must not need escapes in JSON.
pub(super) fn request(out: &mut Vec<u8>, action: &str, topic: &str, message: &str) {
    let json = format!(r#"{{"action":"{action}","topic":"{topic}","message":"{message}"}}"#);
    frame::append(out, TEXT, json.as_bytes());
}

async fn shake_hands(mut stream: Stream, target: &Target) -> anyhow::Result<Connection> {
    let Target { address, path, .. } = target;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(answer.len() < 16_384, "the server's answer to the handshake has no end");
        ensure!(stream.read_buf(&mut answer).await? > 0, "the server hung up on the handshake");
    };
    let rest = answer.split_off(end);
    let head = String::from_utf8_lossy(&answer);
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.starts_with("HTTP/1.1 101"), "the server refused the handshake: {status}");
    ensure!(head.contains(ACCEPT), "the server accepted another handshake than ours");
    let mut connection = Connection { stream, rest: Vec::new() };
    connection.rest.extend_from_slice(&rest);
    Ok(connection)
}

fn closed(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => {
            let code = u16::from_be_bytes(*code);
            format!("the server closed a connection with {code} {}", String::from_utf8_lossy(reason)).trim_end().into()
        }
        None => "the server closed a connection".to_owned(),
    }
}

/// The beginning of the first message of a plain server.
pub(super) const GREETING: &[u8] = b"Server: Welcome!";

/// The longest time for a handshake, a subscription or a close.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const UNKNOWN_ACTION: &str = "Server: Action unrecognized";

// The example of RFC 6455, section 1.3: with a constant key the loader need not compute a digest for each connection.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_port_and_a_path() {
        let target = Target::parse("ws://localhost:9001/socket?x=y", None).unwrap();
        assert_eq!((&*target.address, &*target.path), ("localhost:9001", "/socket?x=y"));
        let target = Target::parse("ws://[::1]", None).unwrap();
        assert_eq!((&*target.address, &*target.path), ("[::1]:80", "/"));
        assert_eq!(&*Target::parse("ws://ada:pw@localhost:65535/", None).unwrap().address, "localhost:65535");
        assert!(Target::parse("wss://localhost/", None).is_err());
        assert!(Target::parse("localhost:8080", None).is_err());
    }

    #[test]
    fn a_wrong_port_is_refused_rather_than_replaced_by_80() {
        for port in ["99999", "65536", "808O", "", "0", "+80"] {
            for host in ["127.0.0.1", "[::1]", "localhost"] {
                let url = format!("ws://{host}:{port}/socket");
                let fault = Target::parse(&url, None).err().unwrap().to_string();
                assert_eq!(fault, format!("the port in {url:?} is wrong; it must be a number from 1 to 65535"));
            }
        }
    }

    #[test]
    fn a_close_frame_is_reported_with_code_and_reason() {
        assert_eq!(closed(b"\x0f\xa2slow consumer"), "the server closed a connection with 4002 slow consumer");
        assert_eq!(closed(b""), "the server closed a connection");
    }
}
