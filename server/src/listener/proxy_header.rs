//! The header of the PROXY protocol, in which a proxy says whose connection it passes on (versions 1 and 2 of
//! `proxy-protocol.txt`).

use proxy_header::{ParseConfig, ProxyHeader};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Why there is no header that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyFault {
    /// The connection begins with something else.
    #[error("the connection begins with no PROXY header")]
    Missing,
    /// The header breaks the rules.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// The header is longer than any that a proxy sends.
    #[error("the PROXY header is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The connection ended within it.
    #[error("the connection ended: {0}")]
    Ended(#[from] io::Error),
}

/// Reads a header, and not one byte more. Returns the address of the client; `None` if the proxy speaks for itself, such
/// as for a health check, or the client has no address.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyFault> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_binary(stream, &mut header).await?;
    } else if header.starts_with(b"PROXY ") {
        read_line(stream, &mut header).await?;
    } else {
        return Err(ProxyFault::Missing);
    }
    parse(&header)
}

/// Reads the rest of a header of version 2: its length is in the bytes after the signature.
async fn read_binary(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> Result<(), ProxyFault> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    header.extend_from_slice(&fixed);
    let length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header.len() + length > MAX_BYTES {
        return Err(ProxyFault::TooLong);
    }
    let begun = header.len();
    header.resize(begun + length, 0);
    stream.read_exact(&mut header[begun..]).await?;
    Ok(())
}

/// Reads the rest of a line of version 1. What follows the line is not ours, so it is read byte by byte.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> Result<(), ProxyFault> {
    while header.last() != Some(&b'\n') {
        if header.len() == MAX_LINE_BYTES {
            return Err(ProxyFault::Malformed);
        }
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

/// The client's address in a whole header.
fn parse(header: &[u8]) -> Result<Option<SocketAddr>, ProxyFault> {
    let is_local = header.starts_with(&SIGNATURE) && header[SIGNATURE.len()] == LOCAL;
    if is_local {
        // What such a header has as an address is not meant to be used.
        return Ok(None);
    }
    match ProxyHeader::parse(header, ParseConfig::default()) {
        Ok((parsed, length)) if length == header.len() => Ok(parsed.proxied_address().map(|address| address.source)),
        _ => Err(ProxyFault::Malformed),
    }
}

/// The begin of a header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The byte of version 2 with the command LOCAL.
const LOCAL: u8 = 0x20;

/// The longest header of version 2 that is read, and the longest line of version 1.
const MAX_BYTES: usize = 536;
const MAX_LINE_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    /// What comes of these bytes, and how many of them are left.
    fn outcome(bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, usize) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut left = bytes;
        let read = runtime.block_on(read(&mut left)).map_err(|fault| fault.to_string());
        (read, left.len())
    }

    /// A header of version 2: command, family, and what follows.
    fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    #[test]
    fn the_address_of_the_client_is_read_and_nothing_after_it() {
        let client = |text: &str| Ok(Some(text.parse().unwrap()));
        let line = b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\nGET /";
        assert_eq!(outcome(line), (client("192.0.2.7:8080"), 5));
        assert_eq!(outcome(b"PROXY TCP6 2001:db8::7 ::1 8080 80\r\nGET /"), (client("[2001:db8::7]:8080"), 5));
        assert_eq!(outcome(&[binary(0x21, 0x11, &IPV4), b"rest".to_vec()].concat()), (client("192.0.2.7:8080"), 4));
        let with_more = [&IPV4[..], &[0x04, 0, 2, 0, 0]].concat();
        assert_eq!(outcome(&binary(0x21, 0x11, &with_more)), (client("192.0.2.7:8080"), 0), "TLVs follow the address");
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        assert_eq!(outcome(b"PROXY UNKNOWN\r\nGET /"), (Ok(None), 5));
        assert_eq!(outcome(&binary(0x20, 0x11, &IPV4)), (Ok(None), 0), "LOCAL, whose address means nothing");
        assert_eq!(outcome(&binary(0x20, 0, &[])), (Ok(None), 0));
        assert_eq!(outcome(&binary(0x21, 0x31, &[0; 216])).0, Ok(None), "a client of a Unix socket");
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for length in 0..IPV4.len() {
            assert!(outcome(&binary(0x21, 0x11, &IPV4[..length])).0.is_err(), "{length} bytes of an address");
        }
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 99999\r\n".to_vec(),
            b"PROXY TCP4 192.0.2 10.0.0.1 8080 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\n".to_vec(),
            b"PROXY TCP5 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            binary(0x31, 0x11, &IPV4),
            binary(0x22, 0x11, &IPV4),
            binary(0x21, 0x11, &[0; 521]),
            binary(0x21, 0x21, &IPV4),
        ] {
            assert!(outcome(&bytes).0.is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_header_that_ends_early_is_waited_for() {
        for header in [binary(0x21, 0x11, &IPV4), b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec()] {
            for end in 0..header.len() {
                assert!(outcome(&header[..end]).0.is_err_and(|fault| fault.contains("ended")), "{end}");
            }
        }
    }
}
