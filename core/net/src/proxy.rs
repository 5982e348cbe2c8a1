//! The PROXY protocol, versions 1 and 2: a header by which a proxy tells the address of its client.
//!
//! Written after the specification of HAProxy, "The PROXY protocol", sections 2.1 and 2.2. A pure function of bytes.
//! By hand, because what the header says decides who somebody is: the crates at hand take a `+` before a port, any byte
//! for a space, or a header of 64 KiB.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Longest header of version 1 in bytes, with its line end (section 2.1).
const V1_BYTES_MAX: usize = 107;

/// How every header of version 1 begins.
const V1_PREFIX: &[u8] = b"PROXY ";

/// How every header of version 2 begins.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, and length.
const V2_FIXED_BYTES: usize = 16;

/// Longest header of version 2 taken, in bytes. The format allows 64 KiB; addresses and the usual extensions (TLS
/// details, ids) fit into a few hundred.
const V2_BYTES_MAX: usize = 4_096;

/// Longest header of any version, in bytes: nobody needs to buffer more before calling [`parse`].
pub const HEADER_BYTES_MAX: usize = V2_BYTES_MAX;

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes it takes up; the client's own follow.
    pub length: usize,
    /// The client, or `None` if the proxy speaks for itself or cannot tell (`LOCAL`, `UNKNOWN`, Unix sockets).
    pub client: Option<Client>,
}

/// The connection that the client made to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address.
    pub source: SocketAddr,
    /// The address to which it connected.
    pub destination: SocketAddr,
}

/// What [`parse`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The whole header is there.
    Complete(Header),
    /// All bytes so far belong to a header that is not complete yet.
    Incomplete,
}

/// Why bytes are not a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// They begin like neither version.
    #[error("the connection does not begin with a PROXY header")]
    NotAHeader,
    /// The header is longer than it may be.
    #[error("the PROXY header is too long")]
    TooLong,
    /// The header contradicts its format.
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the header at the start of `bytes`, which may hold more than the header.
///
/// # Errors
/// As soon as the bytes cannot become a header any more, however few they are.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    match bytes.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'P') => parse_v1(bytes),
        Some(_) => parse_v2(bytes),
    }
}

/// Whether `bytes` begin with `prefix`, as far as they go.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(byte, expected)| byte == expected)
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    if !begins(bytes, V1_PREFIX) {
        return Err(ProxyError::NotAHeader);
    }
    let head = bytes.get(..V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= V1_BYTES_MAX {
            Err(ProxyError::TooLong)
        } else {
            Ok(Parsed::Incomplete)
        };
    };
    let line = head
        .get(V1_PREFIX.len()..end)
        .and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or(ProxyError::Malformed("the line is not text"))?;
    let header = |client| {
        Ok(Parsed::Complete(Header {
            length: end + 2,
            client,
        }))
    };
    let mut words = line.split(' ');
    match words.next() {
        Some("TCP4") => header(Some(v1_client::<Ipv4Addr>(words)?)),
        Some("TCP6") => header(Some(v1_client::<Ipv6Addr>(words)?)),
        // Whatever follows UNKNOWN must be ignored.
        Some("UNKNOWN") => header(None),
        _ => Err(ProxyError::Malformed(
            "the protocol is none of TCP4, TCP6 and UNKNOWN",
        )),
    }
}

fn v1_client<'a, A>(mut words: impl Iterator<Item = &'a str>) -> Result<Client, ProxyError>
where
    A: FromStr + Into<IpAddr>,
{
    let mut address = || {
        let address = words.next().and_then(|word| word.parse::<A>().ok());
        address
            .map(Into::into)
            .ok_or(ProxyError::Malformed("an address is wrong"))
    };
    let (source, destination): (IpAddr, IpAddr) = (address()?, address()?);
    let mut port = || {
        words
            .next()
            .and_then(v1_port)
            .ok_or(ProxyError::Malformed("a port is wrong"))
    };
    let (source_port, destination_port) = (port()?, port()?);
    match words.next() {
        None => Ok(client(source, source_port, destination, destination_port)),
        Some(_) => Err(ProxyError::Malformed("there is more after the ports")),
    }
}

/// A port in decimal without signs and leading zeros.
fn v1_port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, ProxyError> {
    if !begins(bytes, V2_SIGNATURE) {
        return Err(ProxyError::NotAHeader);
    }
    let Some((fixed, _)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(Parsed::Incomplete);
    };
    let &[.., version_command, family, high, low] = fixed;
    let local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::Malformed("the version or the command is unknown")),
    };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > V2_BYTES_MAX {
        return Err(ProxyError::TooLong);
    }
    let Some(payload) = bytes.get(V2_FIXED_BYTES..length) else {
        return Ok(Parsed::Incomplete);
    };
    // The proxy speaks for itself: whatever addresses there are must be ignored.
    let client = if local { None } else { v2_client(family, payload)? };
    Ok(Parsed::Complete(Header { length, client }))
}

/// The addresses at the start of `payload`; what follows them are extensions, which are skipped.
fn v2_client(family: u8, payload: &[u8]) -> Result<Option<Client>, ProxyError> {
    const SHORT: ProxyError = ProxyError::Malformed("the addresses do not fit into the length");
    match family {
        // TCP over IPv4: two addresses of 4 bytes, two ports.
        0x11 => {
            let &[a, b, c, d, e, f, g, h, ref ports @ ..] = payload.first_chunk::<12>().ok_or(SHORT)?;
            Ok(Some(v2_ports([a, b, c, d].into(), [e, f, g, h].into(), ports)))
        }
        // TCP over IPv6: two addresses of 16 bytes, two ports.
        0x21 => {
            let (source, rest) = payload.split_first_chunk::<16>().ok_or(SHORT)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let ports = rest.first_chunk::<4>().ok_or(SHORT)?;
            Ok(Some(v2_ports((*source).into(), (*destination).into(), ports)))
        }
        // Unspecified, or Unix sockets: nobody whose address would mean anything here.
        0x00 | 0x31 => Ok(None),
        _ => Err(ProxyError::Malformed(
            "the family is none of TCP over IPv4, over IPv6, Unix and unspecified",
        )),
    }
}

fn v2_ports(source: IpAddr, destination: IpAddr, ports: &[u8; 4]) -> Client {
    let [a, b, c, d] = *ports;
    client(
        source,
        u16::from_be_bytes([a, b]),
        destination,
        u16::from_be_bytes([c, d]),
    )
}

/// A client whose addresses are IPv4 wherever they stand for IPv4.
fn client(source: IpAddr, source_port: u16, destination: IpAddr, destination_port: u16) -> Client {
    Client {
        source: SocketAddr::new(source.to_canonical(), source_port),
        destination: SocketAddr::new(destination.to_canonical(), destination_port),
    }
}

#[cfg(test)]
mod tests;
