//! Publishing as fast as the server takes it.

use anyhow::{Result, ensure};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// Publishes texts without asking for answers. The frames are made once and written many at a time, so that this costs
/// little of the core that it shares with the server.
pub fn flood(address: &str, bytes: usize, count: u64) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /socket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: hubcast.v1\r\n\r\n"
    )?;
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer)?;
    ensure!(answer[..read].starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer[..read]));
    let frame = frame(&format!(r#"{{"action":"publish","topic":"bench","message":"{}"}}"#, "x".repeat(bytes)))?;
    let mut left = count;
    while left > 0 {
        let some = left.min(256);
        stream.write_all(&frame.repeat(usize::try_from(some)?))?;
        left -= some;
    }
    // Waits until the server has read all, by a pong.
    stream.write_all(&self::frame(r#"{"action":"ping","id":1}"#)?)?;
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(r#""pong""#) {
        let read = stream.read(&mut answer)?;
        ensure!(read > 0, "the server closed the connection");
        heard.extend_from_slice(&answer[..read]);
    }
    stream.shutdown(Shutdown::Both)?;
    Ok(())
}

/// A masked text frame. The mask is zero, which changes no byte.
fn frame(text: &str) -> Result<Vec<u8>> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(text.len())?.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    Ok(frame)
}
