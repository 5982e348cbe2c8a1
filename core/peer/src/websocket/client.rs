//! The client's half of the upgrade (RFC 6455, 4.1).

use std::fmt::Write;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use http::header::{
    CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::upgrade::{KEY_BYTES, SUBPROTOCOL, accept_key, has_token};
use super::{Framing, Role, WebSocket, WebSocketOptions};

/// The head of the server's answer, in bytes: far more than any needs.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The headers of the server's answer.
const HEADERS_MAX: usize = 64;

/// Those that make the upgrade: nobody else may set them.
const OURS: [HeaderName; 6] = [
    CONNECTION,
    UPGRADE,
    SEC_WEBSOCKET_VERSION,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_EXTENSIONS,
];

/// What is asked of whom.
pub(crate) struct Target<'a> {
    /// That of the HTTP below.
    scheme: &'static str,
    host: &'a str,
    /// `None` if it is that of the scheme.
    port: Option<u16>,
    path: &'a str,
}

impl<'a> Target<'a> {
    /// `path` on the server: printable ASCII without spaces, as the host, of which an IPv6 address has no brackets.
    pub(crate) fn new(tls: bool, host: &'a str, port: u16, path: &'a str) -> Self {
        let (scheme, usual) = if tls { ("https", 443) } else { ("http", 80) };
        Self {
            scheme,
            host,
            port: Some(port).filter(|port| *port != usual),
            path,
        }
    }

    /// As in a `Host` header.
    fn authority(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        if self.host.contains(':') {
            format!("[{}]{port}", self.host)
        } else {
            format!("{}{port}", self.host)
        }
    }
}

/// Why a server did not upgrade.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the server answered {0} to the request for a WebSocket")]
    Status(StatusCode),
    #[error("the server's answer to the request for a WebSocket is no HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    #[error("the server's answer to the request for a WebSocket is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    #[error("the server's answer to the request for a WebSocket has a bad header: {0}")]
    Header(&'static str),
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                io::ErrorKind::PermissionDenied
            }
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, refusal)
    }
}

/// Asks for the upgrade, and offers [`SUBPROTOCOL`]. Unless `headers` say otherwise, the `Origin` is the server's own:
/// some want one.
pub(crate) async fn upgrade<S>(
    mut io: S,
    target: &Target<'_>,
    headers: &HeaderMap,
    options: &WebSocketOptions,
) -> io::Result<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = draw_key()?;
    io.write_all(&request(target, headers, &key)).await?;
    io.flush().await?;
    let mut answer = BytesMut::new();
    let framing = loop {
        if io.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((head, framing)) = read_answer(&answer, &key)? {
            answer.advance(head);
            break framing;
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(Refusal::TooLong.into());
        }
    };
    let websocket = WebSocket::new(io, Role::Client, framing, options);
    Ok(websocket.with_leftover(answer))
}

/// A key that nobody has seen.
fn draw_key() -> io::Result<String> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| io::Error::other("the system has no random numbers for a WebSocket key"))?;
    Ok(STANDARD.encode(key))
}

fn request(target: &Target<'_>, headers: &HeaderMap, key: &str) -> Vec<u8> {
    let Target { scheme, path, .. } = target;
    let authority = target.authority();
    let mut head = format!("GET {path} HTTP/1.1\r\n");
    let mut line = |name: &HeaderName, value: &str| {
        // Writing to a string cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    };
    if !headers.contains_key(HOST) {
        line(&HOST, &authority);
    }
    line(&CONNECTION, "Upgrade");
    line(&UPGRADE, "websocket");
    line(&SEC_WEBSOCKET_VERSION, "13");
    line(&SEC_WEBSOCKET_KEY, key);
    line(&SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    if !headers.contains_key(ORIGIN) {
        line(&ORIGIN, &format!("{scheme}://{authority}"));
    }
    let mut request = head.into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| !OURS.contains(name)) {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            request.extend_from_slice(piece);
        }
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Reads the server's answer: how long its head is, and how the server wants to be written to. `None` while it is
/// incomplete.
fn read_answer(bytes: &[u8], key: &str) -> Result<Option<(usize, Framing)>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = answer.parse(bytes)? else {
        return Ok(None);
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    match status {
        Some(StatusCode::SWITCHING_PROTOCOLS) => {}
        Some(status) => return Err(Refusal::Status(status)),
        None => return Err(Refusal::Header("the status")),
    }
    let mut map = HeaderMap::new();
    for header in answer.headers.iter() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(header.name),
            HeaderValue::from_bytes(header.value),
        ) {
            map.append(name, value);
        }
    }
    check(&map, key).map(|framing| Some((length, framing)))
}

fn check(headers: &HeaderMap, key: &str) -> Result<Framing, Refusal> {
    if !has_token(headers, CONNECTION, "upgrade") {
        return Err(Refusal::Header("Connection"));
    }
    if !has_token(headers, UPGRADE, "websocket") {
        return Err(Refusal::Header("Upgrade"));
    }
    if headers.get(SEC_WEBSOCKET_ACCEPT) != Some(&accept_key(key.as_bytes())) {
        return Err(Refusal::Header("Sec-WebSocket-Accept"));
    }
    // None was offered.
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(Refusal::Header("Sec-WebSocket-Extensions"));
    }
    match headers.get(SEC_WEBSOCKET_PROTOCOL) {
        None => Ok(Framing::Pieces),
        Some(chosen) if chosen == SUBPROTOCOL => Ok(Framing::Batch),
        Some(_) => Err(Refusal::Header("Sec-WebSocket-Protocol")),
    }
}
