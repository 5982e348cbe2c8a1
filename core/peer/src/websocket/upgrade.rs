//! The server's half of the upgrade (RFC 6455, 4.2), as a function of the request: who serves HTTP sends the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ALLOW, AsHeaderName, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use ring::digest;

use super::Framing;

/// The sub-protocol of those who take a batch of messages in one frame.
pub const SUBPROTOCOL: &str = "switchboard.1";

/// The one version of WebSocket that there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADES: HeaderValue = HeaderValue::from_static("Upgrade");

/// What every server adds to the key (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The size of a key, in bytes, once it is decoded.
pub(super) const KEY_BYTES: usize = 16;

/// A request to upgrade that can be granted, by 101 and [`headers`](Self::headers).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    accept: HeaderValue,
    framing: Framing,
}

/// Why a request cannot be upgraded: to be answered with [`status`](Self::status) and [`headers`](Self::headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// Another method than GET.
    #[error("a WebSocket is asked for by GET")]
    Method,
    /// Another version than HTTP/1.1.
    #[error("a WebSocket is asked for by HTTP/1.1")]
    HttpVersion,
    /// The request does not ask for an upgrade to WebSocket.
    #[error(
        "this address is for WebSocket: the request needs the headers \"Connection: Upgrade\" and \"Upgrade: websocket\""
    )]
    NotAsked,
    /// Another version of WebSocket than 13, or none.
    #[error("the request needs the header \"Sec-WebSocket-Version: 13\"")]
    Version,
    /// There is no key, or several, or it is not 16 bytes in base64.
    #[error("the request needs one header \"Sec-WebSocket-Key\" with 16 bytes in base64")]
    Key,
}

impl Upgrade {
    /// Checks a request to upgrade. Where it comes from is not looked at: the `Origin` is for the server to judge.
    ///
    /// # Errors
    /// If the request is not one that RFC 6455 allows.
    pub fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<Self, UpgradeError> {
        if method != Method::GET {
            return Err(UpgradeError::Method);
        }
        if version != Version::HTTP_11 {
            return Err(UpgradeError::HttpVersion);
        }
        if !has_token(headers, CONNECTION, "upgrade") || !has_token(headers, UPGRADE, "websocket") {
            return Err(UpgradeError::NotAsked);
        }
        if single(headers, SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(UpgradeError::Version);
        }
        let key = single(headers, SEC_WEBSOCKET_KEY).ok_or(UpgradeError::Key)?;
        let decoded = STANDARD.decode(key.as_bytes());
        if decoded.is_ok_and(|key| key.len() == KEY_BYTES) {
            Ok(Self {
                accept: accept_key(key.as_bytes()),
                framing: if has_token(headers, SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
                    Framing::Batch
                } else {
                    Framing::Pieces
                },
            })
        } else {
            Err(UpgradeError::Key)
        }
    }

    /// How the client wants to be written to: it offered [`SUBPROTOCOL`] or not.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The headers of the answer, whose status is 101.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, UPGRADES);
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if self.framing == Framing::Batch {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        headers
    }
}

impl UpgradeError {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAsked | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::HttpVersion | Self::Key => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers that belong to the status.
    pub fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NotAsked | Self::Version => {
                headers.insert(CONNECTION, UPGRADES);
                headers.insert(UPGRADE, WEBSOCKET);
                headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
            }
            Self::HttpVersion | Self::Key => {}
        }
        headers
    }
}

/// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
pub fn accept_key(key: &[u8]) -> HeaderValue {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID.as_bytes());
    let accept = STANDARD.encode(hash.finish());
    // Base64 is always fit for a header.
    HeaderValue::try_from(accept).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether one of the lists under this name has the token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).into_iter();
    let mut tokens = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a header that stands there once.
fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in RFC 6455, 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(changes: &[(&'static str, &'static str)]) -> Result<Upgrade, UpgradeError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        for (name, value) in changes {
            headers.remove(*name);
            for value in value.split(';').filter(|value| !value.is_empty()) {
                headers.append(*name, HeaderValue::from_static(value));
            }
        }
        Upgrade::check(&Method::GET, Version::HTTP_11, &headers)
    }

    #[test]
    fn a_good_request_is_granted() {
        let headers = request(&[]).unwrap().headers();
        assert_eq!(headers[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(headers[UPGRADE], "websocket");
        assert_eq!(headers[CONNECTION], "Upgrade");
        assert!(!headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn batches_are_for_those_who_offer_to_take_them() {
        for (offered, framing) in [
            ("", Framing::Pieces),
            ("whatever", Framing::Pieces),
            ("switchboard.10", Framing::Pieces),
            ("switchboard.1", Framing::Batch),
            ("chat , switchboard.1", Framing::Batch),
            ("chat;switchboard.1", Framing::Batch),
        ] {
            let upgrade = request(&[("sec-websocket-protocol", offered)]).unwrap();
            assert_eq!(upgrade.framing(), framing, "{offered}");
            let chosen = upgrade.headers().remove(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(chosen.is_some(), framing == Framing::Batch, "{offered}");
        }
    }

    #[test]
    fn every_other_request_is_refused_by_name() {
        use UpgradeError::{Key, NotAsked, Version};
        for (name, value, error, status) in [
            ("connection", "", NotAsked, 426),
            ("connection", "keep-alive", NotAsked, 426),
            ("upgrade", "", NotAsked, 426),
            ("upgrade", "h2c", NotAsked, 426),
            ("sec-websocket-version", "", Version, 426),
            ("sec-websocket-version", "8", Version, 426),
            ("sec-websocket-version", "13;13", Version, 426),
            ("sec-websocket-key", "", Key, 400),
            ("sec-websocket-key", "AAAA", Key, 400),
            ("sec-websocket-key", "?", Key, 400),
            (
                "sec-websocket-key",
                "dGhlIHNhbXBsZSBub25jZQ==;dGhlIHNhbXBsZSBub25jZQ==",
                Key,
                400,
            ),
        ] {
            assert_eq!(request(&[(name, value)]), Err(error), "{name}: {value}");
            assert_eq!(error.status(), status, "{name}: {value}");
        }
        assert_eq!(Version.headers()[SEC_WEBSOCKET_VERSION], "13");
    }

    #[test]
    fn it_is_asked_for_by_get_and_http_1_1() {
        let headers = HeaderMap::new();
        let check = |method, version| Upgrade::check(&method, version, &headers).unwrap_err();
        let method = check(Method::POST, Version::HTTP_11);
        assert_eq!(method.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(method.headers()[ALLOW], "GET");
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(check(Method::GET, version), UpgradeError::HttpVersion);
        }
        assert_eq!(UpgradeError::HttpVersion.status(), StatusCode::BAD_REQUEST);
    }
}
